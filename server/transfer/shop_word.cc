#include "server/transfer/shop_word.h"

#include <string>
#include <utility>
#include <vector>

#include "server/http/connection.h"
#include "server/net/callback.h"
#include "server/shop/sync.h"

namespace tallygate::transfer {

bool must_look_up(const http::Connection& connection, const link::Grant& grant,
                  const ledger::Look& look) {
  if (connection.services().shop == nullptr) return false;
  const bool shop_decides = connection.policy().settings.links.authority == config::Authority::shop;
  return (!look.known && (grant.limit != 0 || shop_decides)) || (shop_decides && !look.row_known);
}

Task<bool> look_up(const net::Services& services, const link::Grant& grant) {
  std::vector<std::string> ids{grant.link_id.str()};
  if (grant.is_folder_link()) ids.push_back(grant.parent_id.str());
  const auto asked = ids;
  const auto ask = [&](auto callback) {
    services.shop->look_up(std::move(ids), std::move(callback));
  };
  const auto rows = co_await net::call_back<std::vector<shop::LookUp>>(kLookUpTimeout, ask);
  bool answered = rows.has_value();
  for (std::size_t i = 0; answered && i < asked.size(); ++i) {
    const shop::LookUp& row = (*rows)[i];
    answered = row.kind != shop::LookUp::Kind::unavailable;
    if (row.kind == shop::LookUp::Kind::found) services.ledger.hear(asked[i], row.word, true);
  }
  co_return answered;
}

std::string_view find_objection(const config::Settings& settings, const ledger::Look& look) {
  const bool shop_decides = settings.links.authority == config::Authority::shop;
  if (shop_decides && !look.row_known) return "no row in the shop";
  static constexpr std::string_view kReasons[] = {"active", "held", "refunded", "revoked"};
  if (shop::is_active(look.word)) return {};
  return kReasons[static_cast<std::size_t>(look.word.state)];
}

}  // namespace tallygate::transfer
