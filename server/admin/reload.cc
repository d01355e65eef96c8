#include "server/admin/reload.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "server/net/callback.h"

namespace tallygate::admin {
namespace {

namespace json = boost::json;

// The commands wait ten seconds for an answer. Only a disk that hangs takes longer.
constexpr std::chrono::seconds kReloadTimeout{9};

json::array list(const std::vector<std::string>& lines) {
  return json::array(lines.begin(), lines.end());
}

}  // namespace

Task<Response> post_reload(const Call& call) {
  using Outcome = net::Reloaded::Outcome;
  if (!call.ports.reload) co_return error(call.request, Status::not_found, "no such resource");
  const auto ask = [&](auto callback) { call.ports.reload(std::move(callback)); };
  const auto reloaded = co_await net::call_back<net::Reloaded>(kReloadTimeout, ask);
  if (!reloaded) {
    co_return error(call.request, Status::service_unavailable,
                    "the reload takes its time; /healthz will say what came of it");
  }
  if (reloaded->outcome == Outcome::ending) {
    co_return error(call.request, Status::service_unavailable, "not reloaded: tallygate is ending");
  }
  if (reloaded->outcome == Outcome::refused) {
    co_return respond(call.request, Status::unprocessable_entity,
                      {{"error", "not reloaded: what was in force before still is"},
                       {"mistakes", list(reloaded->mistakes)}});
  }
  co_return respond(
      call.request, Status::ok,
      {{"generation", reloaded->generation}, {"restart_needed", list(reloaded->restart_needed)}});
}

Task<Response> post_drain(const Call& call) {
  if (!call.ports.drain) co_return error(call.request, Status::not_found, "no such resource");
  call.ports.drain();
  co_return respond(call.request, Status::accepted, {{"draining", true}});
}

json::object describe_policy(const net::Policies& policies) {
  const net::SharedPolicy policy = policies.current();
  const net::Policies::Reloads reloads = policies.reloads();
  json::object body{{"generation", policy->generation}, {"loaded_at", policy->loaded_at}};
  if (!policy->restart_needed.empty()) body["restart_needed"] = list(policy->restart_needed);
  if (reloads.last_failed()) {
    body["failed_at"] = reloads.failed_at;
    body["mistakes"] = list(reloads.mistakes);
  }
  return body;
}

}  // namespace tallygate::admin
