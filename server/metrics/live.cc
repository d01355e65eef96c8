#include "server/metrics/live.h"

#include <fmt/format.h>

#include <array>
#include <boost/json/array.hpp>
#include <numeric>
#include <utility>

#include "core/http/problem.h"

namespace tallygate::metrics {
namespace {

namespace json = boost::json;

json::object requests_by_status(const Snapshot& snapshot) {
  json::object out;
  for (std::size_t i = 0; i < kStatuses.size(); ++i) {
    out[kStatuses[i] == 0 ? "none" : fmt::format("{}", kStatuses[i])] = snapshot.answers[i];
  }
  return out;
}

json::object refusals(const Snapshot& snapshot) {
  std::array<std::uint64_t, http::kProblems> sums{};
  const auto kinds = refusal_kinds();
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    sums[static_cast<std::size_t>(kinds[i].problem)] += snapshot.refusals[i];
  }
  json::object out;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    out[http::describe(static_cast<http::Problem>(i)).name] = sums[i];
  }
  return out;
}

json::object fsync(const HistogramFigures& figures) {
  json::array le;
  std::uint64_t upto = 0;
  for (std::size_t i = 0; i < figures.bounds.size(); ++i) {
    upto += figures.counts[i];
    le.push_back(json::array{figures.bounds[i], upto});
  }
  return {{"count", figures.count()}, {"seconds_total", figures.sum}, {"le", std::move(le)}};
}

json::value shop(const std::optional<ShopFigures>& figures) {
  if (!figures) return nullptr;
  json::object out{{"engine", figures->engine},
                   {"reachable", figures->reachable},
                   {"lag_seconds", figures->lag_seconds},
                   {"copies_waiting", figures->copies_waiting}};
  if (!figures->last_error.empty()) out["last_error"] = figures->last_error;
  return out;
}

}  // namespace

json::object write_live(const Snapshot& s) {
  json::object out;
  out["now_ms"] = s.now_ms;
  out["started_at"] = s.started_at;
  out["version"] = TALLYGATE_VERSION;
  out["generation"] = s.configuration.generation;
  out["status"] = to_string(s.state);
  out["connections"] = s.connections;
  out["transfers"] = s.transfers_in_flight();
  out["bytes_sent_total"] = s.file_bytes;
  out["requests_total"] = std::accumulate(s.answers.begin(), s.answers.end(), std::uint64_t{0});
  out["copies_total"] = s.copies;
  out["requests_by_status"] = requests_by_status(s);
  out["refusals"] = refusals(s);
  out["fsync"] = fsync(s.sync_seconds);
  out["batch_records"] = json::object{{"count", s.batch_records.count()},
                                      {"total", static_cast<std::uint64_t>(s.batch_records.sum)}};
  out["shop"] = shop(s.shop);
  out["links"] = s.links;
  out["open_files"] = s.open_files;
  out["cold_reads_total"] = s.cold_by_ring.reads + s.cold_by_threads.reads;
  out["tls_handshakes_total"] = s.handshakes_full + s.handshakes_resumed;
  out["loop_stall_longest_ms"] = s.loop_stall_longest_seconds * 1000;
  out["log_lines_dropped"] = s.log_lines_dropped;
  return out;
}

}  // namespace tallygate::metrics
