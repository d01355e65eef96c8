// What waits in a TCP socket's send queue.
#pragma once
#include <cstdint>
#include <optional>

namespace tallygate::net {

// Bytes that were written and that the peer's TCP has not acknowledged (SIOCOUTQ, tcp(7)); a FIN
// counts as one. nullopt: the socket is gone. One system call.
[[nodiscard]] std::optional<std::uint64_t> queued_bytes(int socket);

}  // namespace tallygate::net
