// Who asks, when the request came through proxies that write the address they were asked from into
// a field: X-Forwarded-For, or Forwarded (RFC 7239).
//
// Each proxy appends the address of whom it was asked by, so the list is read from its end, as long
// as whoever wrote the next member is trusted: our peer wrote the last one, the address that stands
// there the one before it, and so on. The first address that is not trusted is the client; what
// stands left of it is the client's own word, and is not looked at.
//
// Pure; allocates nothing. Callable from any thread.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/http/request_head.h"
#include "core/link/ip_block.h"

namespace tallygate::http {

// Members that are looked at. More proxies than a request ever passes; without a bound a head full
// of trusted addresses would cost as much as a hundred requests.
inline constexpr std::size_t kProxiesMax = 32;

// Only the field that the proxies write is ever read. No rule over both could be right: a proxy
// that writes one of them hands on the other one as the client sent it.
enum class ForwardedField : std::uint8_t { x_forwarded_for, forwarded };

// Whose word on the client's address is believed, and where it stands.
struct TrustedProxies {
  std::span<const link::IpBlock> blocks;
  ForwardedField field = ForwardedField::x_forwarded_for;

  [[nodiscard]] bool include(const link::IpAddress& address) const noexcept;
};

// The client of a request that came over a connection from `peer`; `peer` itself if that is no
// trusted proxy. All lines of the field are one list (RFC 9110 §5.3).
//
// A member without an address that can be read (an obfuscated identifier, "unknown", an empty or
// malformed one) ends the walk, and the client is whom the trusted proxy that wrote it has for an
// address: we know that much and no more. Where all are trusted, it is the leftmost one, or the
// kProxiesMax-th from the right.
//
// Ports are dropped, obfuscated ones too (RFC 7239 §6.2). IPv6 stands in brackets, or without a
// port and bare, as many write it in X-Forwarded-For.
[[nodiscard]] link::IpAddress find_client(const RequestHead& head, const link::IpAddress& peer,
                                          const TrustedProxies& proxies) noexcept;

}  // namespace tallygate::http
