#include "server/metrics/exposition.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>
#include <utility>

#include "core/base/result.h"
#include "core/http/problem.h"

namespace tallygate::metrics {
namespace {

using namespace std::string_view_literals;

// In HELP a quote stands for itself, in a label's value it does not.
void append_escaped(std::string& out, std::string_view text, bool quoted) {
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quoted) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

void append_number(std::string& out, double value) {
  if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
  } else if (std::isnan(value)) {
    out += "NaN";
  } else {
    fmt::format_to(std::back_inserter(out), "{}", value);
  }
}

std::uint64_t flag(bool set) {
  return set ? 1 : 0;
}

double of_seconds(std::int64_t seconds) {
  return static_cast<double>(seconds);
}

}  // namespace

// -- the form -----------------------------------------------------------------------------------

void Exposition::begin(Id id) {
  if (at_ == id) return;
  TALLYGATE_ASSERT(!at_ || *at_ < id);
  at_ = id;
  const Metric& metric = describe(id);
  fmt::format_to(std::back_inserter(text_), "# HELP {} ", metric.name);
  append_escaped(text_, metric.help, false);
  fmt::format_to(std::back_inserter(text_), "\n# TYPE {} {}\n", metric.name,
                 to_string(metric.type));
}

void Exposition::write_labels(const Metric& metric, LabelValues values) {
  if (values.size() == 0) return;
  char before = '{';
  const std::string_view* name = metric.labels.data();
  for (const std::string_view value : values) {
    TALLYGATE_ASSERT(name != metric.labels.data() + metric.labels.size() && !name->empty());
    text_ += std::exchange(before, ',');
    text_ += *name++;
    text_ += "=\"";
    append_escaped(text_, value, true);
    text_ += '"';
  }
  text_ += '}';
}

void Exposition::add(Id id, LabelValues values, std::uint64_t value) {
  begin(id);
  const Metric& metric = describe(id);
  text_ += metric.name;
  write_labels(metric, values);
  fmt::format_to(std::back_inserter(text_), " {}\n", value);
}

void Exposition::add(Id id, LabelValues values, double value) {
  begin(id);
  const Metric& metric = describe(id);
  text_ += metric.name;
  write_labels(metric, values);
  text_ += ' ';
  append_number(text_, value);
  text_ += '\n';
}

void Exposition::add(Id id, const HistogramFigures& figures) {
  begin(id);
  const std::string_view name = describe(id).name;
  std::uint64_t upto = 0;
  for (std::size_t i = 0; i < figures.counts.size(); ++i) {
    upto += figures.counts[i];
    fmt::format_to(std::back_inserter(text_), "{}_bucket{{le=\"", name);
    append_number(text_, i < figures.bounds.size() ? figures.bounds[i] : INFINITY);
    fmt::format_to(std::back_inserter(text_), "\"}} {}\n", upto);
  }
  fmt::format_to(std::back_inserter(text_), "{}_sum ", name);
  append_number(text_, figures.sum);
  fmt::format_to(std::back_inserter(text_), "\n{}_count {}\n", name, upto);
}

// -- the figures --------------------------------------------------------------------------------

namespace {

void write_server(Exposition& out, const Snapshot& s) {
  out.add(Id::build_info, {TALLYGATE_VERSION}, std::uint64_t{1});
  for (const State state : kStates) {
    out.add(Id::status, {to_string(state)}, flag(s.state == state));
  }
  out.add(Id::config_generation, {}, s.configuration.generation);
  out.add(Id::config_last_reload_successful, {}, flag(s.configuration.last_reload_successful));
  out.add(Id::config_last_reload_success, {}, of_seconds(s.configuration.taken_on_at));
}

void write_requests(Exposition& out, const Snapshot& s) {
  for (std::size_t i = 0; i < kStatuses.size(); ++i) {
    const std::string status = kStatuses[i] == 0 ? "none" : fmt::format("{}", kStatuses[i]);
    out.add(Id::requests, {status}, s.answers[i]);
  }
  const auto kinds = refusal_kinds();
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    out.add(Id::refusals, {http::describe(kinds[i].problem).name, kinds[i].reason}, s.refusals[i]);
  }
  constexpr std::array kResults{"admitted"sv, "exhausted"sv, "traffic"sv, "busy"sv,
                                "unavailable"sv};
  static_assert(kResults.size() == kAdmitted);
  for (std::size_t i = 0; i < kAdmitted; ++i) {
    out.add(Id::admissions, {kResults[i]}, s.admissions[i]);
  }
  out.add(Id::transfers_in_flight, {}, s.transfers_in_flight());
  out.add(Id::transfers_started, {}, s.transfers_begun);
  out.add(Id::transfers_ended, {"complete"}, s.transfers_complete);
  out.add(Id::transfers_ended, {"partial"}, s.transfers_partial);
  out.add(Id::sent_bytes, {}, s.file_bytes);
  out.add(Id::copies_completed, {}, s.copies);
}

void write_connections(Exposition& out, const Snapshot& s) {
  out.add(Id::connections, {}, s.connections);
  out.add(Id::connections_max, {}, s.connections_max);
  out.add(Id::connections_accepted, {"http"}, s.accepted_http);
  out.add(Id::connections_accepted, {"https"}, s.accepted_https);
  out.add(Id::accept_pauses, {"limit"}, s.pauses_at_limit);
  out.add(Id::accept_pauses, {"error"}, s.pauses_for_errors);
  out.add(Id::connections_shed, {"address"}, s.closed_for_address);
  out.add(Id::connections_shed, {"idle"}, s.closed_for_room);
  out.add(Id::proxy_headers_refused, {"untrusted"}, s.proxy_headers_untrusted);
  out.add(Id::proxy_headers_refused, {"missing"}, s.proxy_headers_missing);
  out.add(Id::tls_handshakes, {"full"}, s.handshakes_full);
  out.add(Id::tls_handshakes, {"resumed"}, s.handshakes_resumed);
  out.add(Id::tls_handshakes, {"failed"}, s.handshakes_failed);
}

void write_ledger(Exposition& out, const Snapshot& s) {
  out.add(Id::ledger_links, {}, s.links);
  out.add(Id::ledger_memory, {}, s.links_memory_bytes);
  out.add(Id::ledger_failed, {}, flag(s.ledger_failed));
  out.add(Id::ledger_warning, {}, flag(s.ledger_warning));
  out.add(Id::journal_sync, s.sync_seconds);
  out.add(Id::journal_sync_failures, {}, s.sync_failures);
  out.add(Id::journal_batch_records, s.batch_records);
  out.add(Id::journal_batch_bytes, s.batch_bytes);
  out.add(Id::journal_written, {}, s.journal_bytes);
  out.add(Id::journal_waiting, {}, s.journal_waiting_bytes);
}

void write_shop(Exposition& out, const ShopFigures& shop) {
  out.add(Id::shop_reachable, {}, flag(shop.reachable));
  out.add(Id::shop_lag, {}, of_seconds(shop.lag_seconds));
  out.add(Id::shop_events_waiting, {}, shop.events_waiting);
  out.add(Id::shop_batches_waiting, {}, shop.batches_waiting);
  out.add(Id::shop_copies_waiting, {}, shop.copies_waiting);
  out.add(Id::shop_alarm, {}, flag(shop.alarm));
  out.add(Id::shop_warning, {}, flag(shop.warning));
  out.add(Id::shop_history_dropped, {}, shop.history_dropped);
  out.add(Id::shop_parked, {}, shop.parked);
  out.add(Id::shop_last_push, {}, of_seconds(shop.last_push_at));
  out.add(Id::shop_last_scan, {}, of_seconds(shop.last_scan_at));
}

void write_machine(Exposition& out, const Snapshot& s) {
  out.add(Id::clock_steps, {}, s.clock_steps);
  out.add(Id::clock_wrong, {}, flag(s.clock_wrong));
  out.add(Id::exceptions, {}, s.exceptions);
  out.add(Id::loop_stall, s.loop_stall_seconds);
  out.add(Id::loop_stall_longest, {}, s.loop_stall_longest_seconds);
  out.add(Id::open_files, {}, s.open_files);
  out.add(Id::open_file_lookups, {"hit"}, s.open_file_hits);
  out.add(Id::open_file_lookups, {"miss"}, s.open_file_misses);
  out.add(Id::cold_reads, {"io_uring"}, s.cold_by_ring.reads);
  out.add(Id::cold_reads, {"thread"}, s.cold_by_threads.reads);
  out.add(Id::cold_read_bytes, {"io_uring"}, s.cold_by_ring.bytes);
  out.add(Id::cold_read_bytes, {"thread"}, s.cold_by_threads.bytes);
  out.add(Id::cold_read_failures, {"io_uring"}, s.cold_by_ring.failures);
  out.add(Id::cold_read_failures, {"thread"}, s.cold_by_threads.failures);
  out.add(Id::blocking_threads, {}, s.blocking_threads);
  out.add(Id::blocking_threads_running, {}, s.blocking_threads_running);
  out.add(Id::log_lines_dropped, {}, s.log_lines_dropped);
  out.add(Id::log_lines_left_out, {}, s.log_lines_left_out);
  out.add(Id::process_start, {}, of_seconds(s.started_at));
  out.add(Id::process_cpu, {}, s.process.cpu_seconds);
  out.add(Id::process_resident_memory, {}, s.process.resident_bytes);
  out.add(Id::process_virtual_memory, {}, s.process.virtual_bytes);
  out.add(Id::process_open_fds, {}, s.process.open_fds);
  out.add(Id::process_max_fds, {},
          s.process.max_fds == 0 ? INFINITY : static_cast<double>(s.process.max_fds));
}

}  // namespace

std::string write_text(const Snapshot& snapshot) {
  Exposition out;
  write_server(out, snapshot);
  write_requests(out, snapshot);
  write_connections(out, snapshot);
  write_ledger(out, snapshot);
  if (snapshot.shop) write_shop(out, *snapshot.shop);
  write_machine(out, snapshot);
  return out.text();
}

}  // namespace tallygate::metrics
