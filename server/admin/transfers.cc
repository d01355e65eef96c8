#include "server/admin/transfers.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <charconv>
#include <chrono>
#include <optional>
#include <utility>

#include "server/admin/links.h"
#include "server/net/callback.h"

namespace tallygate::admin {
namespace {

namespace json = boost::json;
using std::chrono::duration_cast;
using std::chrono::milliseconds;

// A worker answers in its next turn.
constexpr std::chrono::seconds kWorkerTimeout{5};
constexpr std::string_view kBusy = "the workers do not answer";
constexpr std::size_t kListed = 100;

template <class T>
bool read_number(std::string_view text, T& out) {
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
  return ec == std::errc() && end == text.data() + text.size();
}

json::object describe(const net::TransferSeen& seen, const Clock& clock) {
  const auto running = duration_cast<milliseconds>(clock.steady_now() - seen.started_at).count();
  const auto ms = static_cast<std::uint64_t>(std::max<std::int64_t>(running, 1));
  const std::int64_t now_ms =
      duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  json::object out{{"id", fmt::format("{}-{}", seen.worker, seen.number)},
                   {"link", seen.link_id},
                   {"path", seen.path},
                   {"client", nullptr},
                   {"started_at_ms", now_ms - running},
                   {"bytes_sent", seen.bytes_sent},
                   {"bytes_total", seen.bytes_total},
                   {"rate", seen.bytes_sent / ms * 1000 + seen.bytes_sent % ms * 1000 / ms},
                   {"tls", seen.is_tls}};
  if (!seen.client.empty()) out["client"] = seen.client;
  return out;
}

}  // namespace

Task<Response> get_transfers(const Call& call) {
  const auto most = read_limit(call.query, kListed);
  if (!most) co_return error(call.request, Status::bad_request, kLimitRule);
  const std::string link(query_value(call.query, "link"));
  if (!link.empty() && !is_link_id(link)) {
    co_return error(call.request, Status::bad_request, kLinkIdRule);
  }
  net::Workers& workers = call.ports.workers;
  const auto seen = co_await net::call_back<net::TransfersSeen>(
      kWorkerTimeout, [&](auto callback) { workers.see_transfers(link, *most, callback); });
  if (!seen) co_return error(call.request, Status::service_unavailable, kBusy);
  json::array transfers;
  for (const net::TransferSeen& each : seen->transfers) {
    transfers.push_back(describe(each, call.ports.services.clock));
  }
  co_return respond(call.request, Status::ok,
                    {{"total", seen->total}, {"transfers", std::move(transfers)}});
}

Task<Response> post_transfer(const Call& call) {
  boost::system::error_code ec;
  const json::value body = json::parse(call.request.body(), ec);
  const json::value* action =
      !ec && body.is_object() ? body.get_object().if_contains("action") : nullptr;
  if (action == nullptr || !action->is_string() || action->get_string() != "cut") {
    co_return error(call.request, Status::bad_request, "\"action\" must be cut");
  }
  const std::string_view id = call.parameter;
  const auto dash = id.find('-');
  std::uint32_t worker = 0;
  std::uint64_t number = 0;
  const bool well_formed = dash != std::string_view::npos &&
                           read_number(id.substr(0, dash), worker) &&
                           read_number(id.substr(dash + 1), number);
  if (!well_formed) {
    co_return error(call.request, Status::bad_request, "a transfer's id is two numbers, as 0-17");
  }
  net::Workers& workers = call.ports.workers;
  const auto cut = co_await net::call_back<bool>(
      kWorkerTimeout, [&](auto callback) { workers.cut_transfer(worker, number, callback); });
  if (!cut) co_return error(call.request, Status::service_unavailable, kBusy);
  if (!*cut) co_return error(call.request, Status::not_found, "no such transfer; it may be over");
  co_return respond(call.request, Status::ok, {{"id", id}, {"cut", true}});
}

}  // namespace tallygate::admin
