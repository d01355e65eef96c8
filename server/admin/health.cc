#include "server/admin/health.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <chrono>
#include <utility>

#include "core/clock/built_on.h"
#include "server/admin/reload.h"
#include "server/http/access_log.h"
#include "server/ledger/ledger.h"
#include "server/shop/sync.h"

namespace tallygate::admin {
namespace {

namespace json = boost::json;

// How long workers were away from their loops, all of them together: calls that took up to so many
// milliseconds, and the longest.
json::object loop_stall(const net::Workers& workers) {
  using disk::StallHistogram;
  using Milliseconds = std::chrono::duration<double, std::milli>;
  std::chrono::nanoseconds longest{0};
  json::object up_to;
  for (std::size_t bucket = 0; bucket < StallHistogram::kBuckets; ++bucket) {
    std::uint64_t count = 0;
    for (std::size_t i = 0; i < workers.size(); ++i) {
      count += workers.at(i).stalls().in_bucket(bucket);
      longest = std::max(longest, workers.at(i).stalls().max());
    }
    if (count == 0) continue;
    const bool has_end = bucket + 1 < StallHistogram::kBuckets;
    const double bound = Milliseconds(StallHistogram::upper_bound(bucket)).count();
    up_to[has_end ? fmt::format("{}", bound) : "more"] = count;
  }
  return {{"longest_ms", Milliseconds(longest).count()}, {"up_to_ms", std::move(up_to)}};
}

// Why the machine's clock cannot be right; empty: it can.
std::string wrong_clock(const net::Services& services) {
  const std::int64_t now = services.clock.unix_now();
  return clock::is_before_build(now) ? clock::describe_wrong_clock(now) : std::string();
}

json::object health(const net::Services& services, const net::Workers& workers, bool& failed) {
  json::object body;
  const std::string ledger = services.ledger.failure();
  failed = !ledger.empty();
  bool degraded = false;
  json::object of_ledger{{"links", services.ledger.links()}};
  if (failed) of_ledger["failure"] = ledger;
  if (const std::string warning = services.ledger.warning(); !warning.empty()) {
    degraded = true;
    of_ledger["warning"] = warning;
  }
  json::object of_clock{{"steps", workers.clock_watcher().steps()}};
  if (std::string wrong = wrong_clock(services); !wrong.empty()) {
    failed = true;
    of_clock["failure"] = std::move(wrong);
  }
  if (const std::string standstill = workers.find_standstill(); !standstill.empty()) {
    failed = true;
    body["standstill"] = standstill;
  }
  degraded |= services.policies.reloads().last_failed();  // the next start would fail
  if (services.shop != nullptr) {
    const shop::Status status = services.shop->status();
    degraded |= !status.reachable || !status.alarm.empty() || !status.warning.empty() ||
                status.history_dropped != 0;
    const std::int64_t lag =
        status.oldest_waiting_at == 0 ? 0 : services.clock.unix_now() - status.oldest_waiting_at;
    json::object of_shop{{"engine", status.engine},
                         {"reachable", status.reachable},
                         {"events_waiting", status.events_waiting},
                         {"batches_waiting", status.batches_waiting},
                         {"copies_waiting", status.copies_waiting},
                         {"lag_seconds", std::max<std::int64_t>(lag, 0)},
                         {"last_push_at", status.last_push_at},
                         {"last_scan_at", status.last_scan_at}};
    if (status.oldest_waiting_at != 0) of_shop["oldest_waiting_at"] = status.oldest_waiting_at;
    if (!status.last_error.empty()) of_shop["last_error"] = status.last_error;
    if (!status.warning.empty()) of_shop["warning"] = status.warning;
    if (status.history_dropped != 0) of_shop["history_dropped"] = status.history_dropped;
    if (!status.alarm.empty()) of_shop["alarm"] = status.alarm;
    failed |= status.overtaken;
    if (status.parked != 0) {
      of_shop["parked"] = status.parked;
      of_shop["last_parked"] = status.last_parked;
    }
    body["shop"] = std::move(of_shop);
  }
  body["status"] = failed ? "failed" : degraded ? "degraded" : "ok";
  body["version"] = TALLYGATE_VERSION;
  body["ledger"] = std::move(of_ledger);
  body["clock"] = std::move(of_clock);
  body["connections"] = workers.connections();
  body["loop_stall"] = loop_stall(workers);
  body["settings"] = describe_policy(services.policies);
  body["log_lines_dropped"] = services.access_log.dropped();
  return body;
}

}  // namespace

Task<Response> get_health(const Call& call) {
  bool failed = false;
  const json::object body = health(call.ports.services, call.ports.workers, failed);
  co_return respond(call.request, failed ? Status::service_unavailable : Status::ok, body);
}

Task<Response> get_readiness(const Call& call) {
  const net::Services& services = call.ports.services;
  std::string why = call.ports.workers.find_standstill();
  if (call.ports.workers.is_draining()) {
    why = "draining";
  } else if (!why.empty()) {
  } else if (why = wrong_clock(services); !why.empty()) {
  } else if (!services.ledger.failure().empty()) {
    why = "the ledger cannot be written";
  } else if (services.shop != nullptr && services.shop->is_overtaken()) {
    why = "the ledger is older than the shop's table";
  }
  if (why.empty()) co_return respond(call.request, Status::ok, {{"ready", true}});
  co_return respond(call.request, Status::service_unavailable, {{"ready", false}, {"why", why}});
}

}  // namespace tallygate::admin
