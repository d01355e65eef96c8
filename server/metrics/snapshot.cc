#include "server/metrics/snapshot.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <span>

#include "core/clock/built_on.h"
#include "server/disk/blocking_pool.h"
#include "server/http/access_log.h"
#include "server/ledger/ledger.h"
#include "server/metrics/journal_counters.h"
#include "server/net/worker.h"
#include "server/shop/sync.h"

namespace tallygate::metrics {
namespace {

// `unit`: how many of the counted make one of the metric's.
template <std::size_t kBounds>
HistogramFigures figures_of(const Histogram<kBounds>& histogram,
                            std::span<const std::uint64_t, kBounds> bounds, double unit) {
  HistogramFigures figures;
  for (const std::uint64_t bound : bounds) {
    figures.bounds.push_back(static_cast<double>(bound) / unit);
  }
  for (std::size_t i = 0; i <= kBounds; ++i) figures.counts.push_back(histogram.in_bucket(i));
  figures.sum = static_cast<double>(histogram.sum()) / unit;
  return figures;
}

template <std::size_t kSize>
void add_all(std::array<std::uint64_t, kSize>& sums, const std::array<Counter, kSize>& counters) {
  for (std::size_t i = 0; i < kSize; ++i) sums[i] += counters[i].value();
}

void add(Snapshot::ColdReads& sum, const disk::ColdReader::Counters::Way& way) {
  sum.reads += way.reads.value();
  sum.bytes += way.bytes.value();
  sum.failures += way.failures.value();
}

void add_stalls(Snapshot& out, const disk::StallHistogram& stalls) {
  using disk::StallHistogram;
  using Seconds = std::chrono::duration<double>;
  HistogramFigures& sum = out.loop_stall_seconds;
  if (sum.counts.empty()) {
    sum.counts.assign(StallHistogram::kBuckets, 0);
    for (std::size_t i = 0; i + 1 < StallHistogram::kBuckets; ++i) {
      sum.bounds.push_back(Seconds(StallHistogram::upper_bound(i)).count());
    }
  }
  for (std::size_t i = 0; i < StallHistogram::kBuckets; ++i) sum.counts[i] += stalls.in_bucket(i);
  sum.sum += Seconds(stalls.sum()).count();
  out.loop_stall_longest_seconds =
      std::max(out.loop_stall_longest_seconds, Seconds(stalls.max()).count());
}

void add_worker(Snapshot& out, const net::Worker& worker) {
  const WorkerCounters& counters = worker.counters();
  add_all(out.answers, counters.answers);
  add_all(out.refusals, counters.refusals);
  add_all(out.admissions, counters.admissions);
  // Ended before begun: what ends in between is in flight rather than ended before it began.
  out.transfers_complete += counters.transfers_complete.value();
  out.transfers_partial += counters.transfers_partial.value();
  out.transfers_begun += counters.transfers_begun.value();
  out.file_bytes += counters.file_bytes.value();
  out.copies += counters.copies.value();
  out.accepted_http += counters.accepted_http.value();
  out.accepted_https += counters.accepted_https.value();
  out.pauses_at_limit += counters.pauses_at_limit.value();
  out.pauses_for_errors += counters.pauses_for_errors.value();
  out.closed_for_address += counters.closed_for_address.value();
  out.closed_for_room += counters.closed_for_room.value();
  out.proxy_headers_untrusted += counters.proxy_headers_untrusted.value();
  out.proxy_headers_missing += counters.proxy_headers_missing.value();
  out.handshakes_full += counters.handshakes_full.value();
  out.handshakes_resumed += counters.handshakes_resumed.value();
  out.handshakes_failed += counters.handshakes_failed.value();
  out.exceptions += counters.exceptions.value();
  out.open_files += worker.file_counters().open.value();
  out.open_file_hits += worker.file_counters().hits.value();
  out.open_file_misses += worker.file_counters().misses.value();
  add(out.cold_by_ring, worker.cold_counters().ring);
  add(out.cold_by_threads, worker.cold_counters().threads);
  add_stalls(out, worker.stalls());
}

ConfigurationFigures configuration_of(const net::Policies& policies) {
  const net::SharedPolicy policy = policies.current();
  return {.generation = policy->generation,
          .last_reload_successful = !policies.reloads().last_failed(),
          .taken_on_at = policy->loaded_at};
}

void look_at_ledger(Snapshot& out, const ledger::Ledger& ledger) {
  out.links = ledger.links();
  out.links_memory_bytes = ledger.memory_bytes();
  out.ledger_failed = !ledger.failure().empty();
  out.ledger_warning = !ledger.warning().empty();
  const ledger::Journal& journal = ledger.journal();
  const JournalCounters& counters = journal.counters();
  out.sync_seconds = figures_of(counters.sync_ns, std::span(kSyncBounds), 1e9);
  out.sync_failures = counters.sync_failures.value();
  out.batch_records = figures_of(counters.batch_records, std::span(kBatchRecordBounds), 1);
  out.batch_bytes = figures_of(counters.batch_bytes, std::span(kBatchByteBounds), 1);
  out.journal_bytes = journal.bytes_written();
  out.journal_waiting_bytes = journal.bytes_waiting();
}

ShopFigures figures_of(const shop::Status& status, std::int64_t now) {
  ShopFigures figures;
  figures.engine = status.engine;
  figures.reachable = status.reachable;
  figures.last_error = status.last_error;
  figures.alarm = !status.alarm.empty();
  figures.warning = !status.warning.empty();
  if (status.oldest_waiting_at != 0) {
    figures.lag_seconds = std::max<std::int64_t>(now - status.oldest_waiting_at, 0);
  }
  figures.events_waiting = status.events_waiting;
  figures.batches_waiting = status.batches_waiting;
  figures.copies_waiting = status.copies_waiting;
  figures.history_dropped = status.history_dropped;
  figures.parked = status.parked;
  figures.last_push_at = status.last_push_at;
  figures.last_scan_at = status.last_scan_at;
  return figures;
}

}  // namespace

std::uint64_t HistogramFigures::count() const {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

std::string_view to_string(State state) noexcept {
  constexpr std::array<std::string_view, kStates.size()> kNames{"ok", "degraded", "failed",
                                                                "draining"};
  return kNames[static_cast<std::size_t>(state)];
}

std::uint64_t Snapshot::transfers_in_flight() const {
  const std::uint64_t ended = transfers_complete + transfers_partial;
  return transfers_begun - std::min(ended, transfers_begun);
}

State state_of(const Snapshot& snapshot, bool draining) {
  if (draining) return State::draining;
  if (snapshot.ledger_failed || snapshot.clock_wrong || snapshot.stands_still) return State::failed;
  bool degraded = snapshot.ledger_warning || !snapshot.configuration.last_reload_successful;
  if (const auto& shop = snapshot.shop) {
    degraded |= !shop->reachable || shop->alarm || shop->warning || shop->history_dropped != 0;
  }
  return degraded ? State::degraded : State::ok;
}

Snapshot take_snapshot(const net::Services& services, const net::Workers& workers) {
  Snapshot out;
  out.now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                   std::chrono::system_clock::now().time_since_epoch())
                   .count();
  out.started_at = workers.started_at();
  out.configuration = configuration_of(services.policies);
  for (std::size_t i = 0; i < workers.size(); ++i) add_worker(out, workers.at(i));
  out.connections = workers.connections();
  out.connections_max = workers.connections_max();
  look_at_ledger(out, services.ledger);
  out.clock_steps = workers.clock_watcher().steps();
  out.clock_wrong = clock::is_before_build(services.clock.unix_now());
  out.stands_still = !workers.find_standstill().empty();
  if (services.shop != nullptr) {
    out.shop = figures_of(services.shop->status(), services.clock.unix_now());
  }
  out.blocking_threads = services.blocking_pool.threads();
  out.blocking_threads_running = services.blocking_pool.running();
  out.log_lines_dropped = services.access_log.dropped();
  out.log_lines_left_out = services.access_log.left_out();
  out.process = look_at_process();
  out.state = state_of(out, workers.is_draining());
  return out;
}

}  // namespace tallygate::metrics
