// The header with which a proxy of bytes says whose connection it hands on: the PROXY protocol of
// HAProxy (proxy-protocol.txt), version 1, a line of text, and version 2, binary.
//
// Pure: bytes in, an address out; nothing is allocated. Callable from any thread.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/link/ip_block.h"

namespace tallygate::net {

// §2.1: the longest line of version 1, CR LF included.
inline constexpr std::size_t kProxyLineBytesMax = 107;
// Of a whole header. Version 2 could have 65,551 bytes, nearly all of them extensions (TLVs) that
// are skipped here; real ones have some hundred, the certificate of a client perhaps two thousand.
inline constexpr std::size_t kProxyHeaderBytesMax = 4096;

struct ProxyHeader {
  enum class State : std::uint8_t { incomplete, complete, malformed };
  State state = State::incomplete;
  std::size_t bytes = 0;  // of the header, where complete; what follows is the client's
  // Where complete: the client. nullopt: the proxy speaks for itself, to see whether we are well
  // (LOCAL), or cannot say whom it speaks for (UNKNOWN, no address, a Unix socket).
  std::optional<link::IpAddress> source;
};

// Looks at all bytes received so far, also those behind the header. Malformed as soon as no further
// byte can make a header of them: another protocol is told by its first byte. While it is
// incomplete, every byte belongs to the header.
//
// Strict: what the specification does not define, a datagram in a stream, or addresses that do not
// fit into the length are malformed. TLVs are skipped unread.
[[nodiscard]] ProxyHeader parse_proxy_header(std::string_view received) noexcept;

}  // namespace tallygate::net
