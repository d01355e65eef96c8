// All figures of a server at one moment: what /metrics and /v1/live are written from.
//
// Taken by any thread, without stopping anybody: each figure is right, two of them may be of two
// moments a little apart. Costs a few locks of a moment (the ledger's shards, the journal, the
// shop, the log), less than a millisecond in all.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/metrics/process.h"
#include "server/metrics/worker_counters.h"

namespace tallygate::net {
struct Services;
class Workers;
}  // namespace tallygate::net

namespace tallygate::metrics {

// Of the configuration in force.
struct ConfigurationFigures {
  std::uint64_t generation = 1;
  bool last_reload_successful = true;
  std::int64_t taken_on_at = 0;  // unix seconds
};

// Values and their sum in the metric's unit. One count more than bounds: what is beyond the last.
struct HistogramFigures {
  std::vector<double> bounds;
  std::vector<std::uint64_t> counts;
  double sum = 0;
  [[nodiscard]] std::uint64_t count() const;
};

struct ShopFigures {
  std::string engine;
  bool reachable = false;
  std::string last_error;
  bool alarm = false;
  bool warning = false;
  std::int64_t lag_seconds = 0;
  std::uint64_t events_waiting = 0;
  std::uint64_t batches_waiting = 0;
  std::uint64_t copies_waiting = 0;
  std::uint64_t history_dropped = 0;
  std::uint64_t parked = 0;
  std::int64_t last_push_at = 0;  // unix seconds
  std::int64_t last_scan_at = 0;
};

enum class State : std::uint8_t { ok, degraded, failed, draining };
inline constexpr std::array<State, 4> kStates{State::ok, State::degraded, State::failed,
                                              State::draining};
[[nodiscard]] std::string_view to_string(State state) noexcept;

struct Snapshot {
  std::int64_t now_ms = 0;      // unix milliseconds
  std::int64_t started_at = 0;  // unix seconds
  State state = State::ok;
  ConfigurationFigures configuration;

  std::array<std::uint64_t, kStatuses.size()> answers{};
  std::array<std::uint64_t, kRefusalKinds> refusals{};
  std::array<std::uint64_t, kAdmitted> admissions{};
  std::uint64_t transfers_begun = 0;
  std::uint64_t transfers_complete = 0;
  std::uint64_t transfers_partial = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t copies = 0;

  std::uint64_t connections = 0;
  std::uint64_t connections_max = 0;
  std::uint64_t accepted_http = 0;
  std::uint64_t accepted_https = 0;
  std::uint64_t pauses_at_limit = 0;
  std::uint64_t pauses_for_errors = 0;
  std::uint64_t closed_for_address = 0;
  std::uint64_t closed_for_room = 0;
  std::uint64_t proxy_headers_untrusted = 0;
  std::uint64_t proxy_headers_missing = 0;
  std::uint64_t handshakes_full = 0;
  std::uint64_t handshakes_resumed = 0;
  std::uint64_t handshakes_failed = 0;

  std::uint64_t links = 0;
  std::uint64_t links_memory_bytes = 0;
  bool ledger_failed = false;
  bool ledger_warning = false;
  HistogramFigures sync_seconds;
  std::uint64_t sync_failures = 0;
  HistogramFigures batch_records;
  HistogramFigures batch_bytes;
  std::uint64_t journal_bytes = 0;
  std::uint64_t journal_waiting_bytes = 0;

  std::optional<ShopFigures> shop;

  std::uint64_t clock_steps = 0;
  bool clock_wrong = false;
  bool stands_still = false;  // a worker, or the journal
  std::uint64_t exceptions = 0;

  HistogramFigures loop_stall_seconds;
  double loop_stall_longest_seconds = 0;
  std::uint64_t open_files = 0;
  std::uint64_t open_file_hits = 0;
  std::uint64_t open_file_misses = 0;
  struct ColdReads {
    std::uint64_t reads = 0;
    std::uint64_t bytes = 0;
    std::uint64_t failures = 0;
  };
  ColdReads cold_by_ring;
  ColdReads cold_by_threads;
  std::uint64_t blocking_threads = 0;
  std::uint64_t blocking_threads_running = 0;
  std::uint64_t log_lines_dropped = 0;
  std::uint64_t log_lines_left_out = 0;
  ProcessFigures process;

  [[nodiscard]] std::uint64_t transfers_in_flight() const;
};

// What /healthz calls the server's status: of the ledger, the shop and the last reload.
[[nodiscard]] State state_of(const Snapshot& snapshot, bool draining);

[[nodiscard]] Snapshot take_snapshot(const net::Services& services, const net::Workers& workers);

}  // namespace tallygate::metrics
