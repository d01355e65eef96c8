// What /v1/live answers: the figures of now, for whoever shows them as they move.
#pragma once
#include <boost/json/object.hpp>

#include "server/metrics/snapshot.h"

namespace tallygate::metrics {

// Totals only grow while the server runs; whoever wants rates makes them of two answers.
//   now_ms, started_at, version, generation, status
//   connections, transfers, bytes_sent_total, requests_total, copies_total
//   requests_by_status   {"200": n, …}; "none": the connection ended without an answer
//   refusals             {"downloads-exhausted": n, …}, every name of them
//   fsync                {"count", "seconds_total", "le": [[seconds, so many took at most that],
//   …]} batch_records        {"count", "total"} shop                 null, or {"engine",
//   "reachable", "lag_seconds", "copies_waiting",
//                        "last_error"?}
//   links, open_files, cold_reads_total, tls_handshakes_total, loop_stall_longest_ms,
//   log_lines_dropped
[[nodiscard]] boost::json::object write_live(const Snapshot& snapshot);

}  // namespace tallygate::metrics
