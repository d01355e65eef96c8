// What a worker counts while it serves. Written by its thread alone, read by any.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "server/metrics/counter.h"
#include "server/metrics/refusals.h"

namespace tallygate::metrics {

// The statuses that a request can end with; 0: the connection ended without an answer.
inline constexpr std::array<std::uint16_t, 21> kStatuses{0,   200, 204, 206, 304, 400, 403,
                                                         404, 405, 408, 410, 412, 413, 414,
                                                         416, 417, 429, 431, 500, 503, 505};
// Of no status that tallygate answers with: that of 0.
[[nodiscard]] constexpr std::size_t index_of_status(unsigned status) {
  for (std::size_t i = 0; i < kStatuses.size(); ++i) {
    if (kStatuses[i] == status) return i;
  }
  return 0;
}

// What became of a request that asked for bytes.
enum class Admitted : std::uint8_t { admitted, exhausted, traffic, busy, unavailable };
inline constexpr std::size_t kAdmitted = 5;

// In lines of the cache that no other worker writes.
struct alignas(64) WorkerCounters {
  // In the order of a request, so that what nearly all of them touch lies together.
  std::array<Counter, kAdmitted> admissions;
  Counter transfers_begun;
  Counter file_bytes;  // handed to the kernel
  Counter copies;
  Counter transfers_complete;
  Counter transfers_partial;
  std::array<Counter, kStatuses.size()> answers;
  std::array<Counter, kRefusalKinds> refusals;
  Counter accepted_http;
  Counter accepted_https;
  Counter pauses_at_limit;          // of accepting: max_connections
  Counter pauses_for_errors;        // descriptors, memory
  Counter closed_for_address;       // max_connections_per_address
  Counter closed_for_room;          // idle ones, while new ones waited
  Counter proxy_headers_untrusted;  // where one is demanded: from no trusted proxy
  Counter proxy_headers_missing;    // none, a malformed one, or none in time
  Counter handshakes_full;
  Counter handshakes_resumed;
  Counter handshakes_failed;
  Counter exceptions;  // that ended a connection or a task
};

}  // namespace tallygate::metrics
