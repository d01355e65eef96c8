// For how many connections the process has room: descriptors, and memory.
//
// Known before anything is served, and again at each reload, so that connections can never take
// the descriptors that the journal, the database and the admin interface need.
#pragma once
#include <cstdint>
#include <string>

#include "core/config/settings.h"
#include "core/net/capacity.h"

namespace tallygate::net {

struct Room {
  std::uint64_t connections_wanted = 0;  // server.max_connections
  std::uint64_t connections = 0;         // that many, or as many as the descriptors are enough for
  std::uint64_t descriptors = 0;         // that the process may have
  std::uint64_t descriptors_needed = 0;  // for all that are wanted
  // Memory of a connection, in bytes: usually, and the most one can take; TLS' and the kernel's
  // apart. That of the machine, or of the control group (memory.max).
  std::uint64_t bytes_each = 0;
  std::uint64_t bytes_each_max = 0;
  std::uint64_t memory_bytes = 0;
};

// Raises the soft limit of descriptors to the hard one where it is too low.
[[nodiscard]] Room find_room(const config::Settings& settings, unsigned threads);
[[nodiscard]] Equipment equipment_of(const config::Settings& settings, unsigned threads);
// Of each worker: files that its cache keeps open at most, and pipes.
[[nodiscard]] std::size_t open_files_max(unsigned threads);
[[nodiscard]] std::size_t pipes_max(unsigned threads);

// A server that could not take even so many is not worth its start.
inline constexpr std::uint64_t kConnectionsLeast = 16;

// For the operator. Empty: there is room enough to start; else what to set.
[[nodiscard]] std::string why_too_small(const Room& room);
// What there is, in one line.
[[nodiscard]] std::string describe(const Room& room);
// What is less than was asked for. Empty: nothing.
[[nodiscard]] std::string describe_shortage(const Room& room);

}  // namespace tallygate::net
