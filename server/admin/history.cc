#include "server/admin/history.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <utility>
#include <vector>

#include "server/admin/links.h"
#include "server/net/callback.h"
#include "server/shop/sync.h"

namespace tallygate::admin {
namespace {

namespace json = boost::json;

constexpr std::chrono::seconds kShopTimeout{5};
constexpr std::size_t kRows = 50;

std::string_view name_of(ledger::Outcome outcome) {
  static constexpr std::string_view kNames[] = {"complete", "partial", "probe", "refused"};
  return kNames[static_cast<std::size_t>(outcome)];
}

json::value or_null(const std::string& text) {
  return text.empty() ? json::value(nullptr) : json::value(text);
}

json::object describe(const shop::HistoryRow& row) {
  return {{"at", row.started_at},
          {"until", row.ended_at},
          {"client", or_null(row.client_ip)},
          {"user_agent", or_null(row.user_agent)},
          {"bytes", row.bytes_sent},
          {"file_size", row.file_size},
          {"outcome", name_of(row.outcome)},
          {"counted", row.counted}};
}

}  // namespace

Task<Response> get_history(const Call& call) {
  using Rows = shop::Answer<std::vector<shop::HistoryRow>>;
  if (!is_link_id(call.parameter)) co_return error(call.request, Status::bad_request, kLinkIdRule);
  const auto most = read_limit(call.query, kRows);
  if (!most) co_return error(call.request, Status::bad_request, kLimitRule);
  json::array downloads;
  shop::Sync* const shop = call.ports.services.shop;
  if (shop != nullptr) {
    const auto ask = [&](auto callback) {
      shop->downloads_of(call.parameter, *most, std::move(callback));
    };
    const auto rows = co_await net::call_back<Rows>(kShopTimeout, ask);
    if (!rows) {
      co_return error(call.request, Status::service_unavailable,
                      "the shop's database did not answer");
    }
    if (!*rows) co_return error(call.request, Status::service_unavailable, rows->error().text);
    for (const shop::HistoryRow& row : **rows) downloads.push_back(describe(row));
  }
  co_return respond(
      call.request, Status::ok,
      {{"id", call.parameter}, {"kept", shop != nullptr}, {"downloads", std::move(downloads)}});
}

}  // namespace tallygate::admin
