// Every metric that /metrics shows, once: name, type, labels, what it says, what to do when it
// grows.
//
// Names follow Prometheus' conventions: base units (seconds, bytes), `_total` for what only grows.
// The table in README.md, the dashboard and the alerts in conf/ are compared with this by tests.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace tallygate::metrics {

enum class Type : std::uint8_t { counter, gauge, histogram };
[[nodiscard]] std::string_view to_string(Type type) noexcept;

// In the order in which they are shown.
enum class Id : std::uint8_t {
  build_info,
  status,
  config_generation,
  config_last_reload_successful,
  config_last_reload_success,
  requests,
  refusals,
  admissions,
  transfers_in_flight,
  transfers_started,
  transfers_ended,
  sent_bytes,
  copies_completed,
  connections,
  connections_max,
  connections_accepted,
  accept_pauses,
  connections_shed,
  proxy_headers_refused,
  tls_handshakes,
  ledger_links,
  ledger_memory,
  ledger_failed,
  ledger_warning,
  journal_sync,
  journal_sync_failures,
  journal_batch_records,
  journal_batch_bytes,
  journal_written,
  journal_waiting,
  shop_reachable,
  shop_lag,
  shop_events_waiting,
  shop_batches_waiting,
  shop_copies_waiting,
  shop_alarm,
  shop_warning,
  shop_history_dropped,
  shop_parked,
  shop_last_push,
  shop_last_scan,
  clock_steps,
  clock_wrong,
  exceptions,
  loop_stall,
  loop_stall_longest,
  open_files,
  open_file_lookups,
  cold_reads,
  cold_read_bytes,
  cold_read_failures,
  blocking_threads,
  blocking_threads_running,
  log_lines_dropped,
  log_lines_left_out,
  process_start,
  process_cpu,
  process_resident_memory,
  process_virtual_memory,
  process_open_fds,
  process_max_fds,
};
inline constexpr std::size_t kMetrics = 61;

struct Metric {
  Id id;
  std::string_view name;
  Type type;
  std::array<std::string_view, 2> labels;  // empty: none
  std::string_view help;
  std::string_view when_it_grows;  // for whoever looks at it at night
};

[[nodiscard]] std::span<const Metric, kMetrics> all_metrics() noexcept;
[[nodiscard]] const Metric& describe(Id id) noexcept;

}  // namespace tallygate::metrics
