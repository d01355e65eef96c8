#include "server/transfer/shop_word.h"

#include <string>
#include <utility>
#include <vector>

#include "server/net/callback.h"
#include "server/shop/sync.h"

namespace tallygate::transfer {

using http::Problem;

Task<Result<ledger::Look, ShopRefusal>> hear_shop(const net::Services& services,
                                                  const link::Grant& grant) {
  const bool shop_decides = services.settings.links.authority == config::Authority::shop;
  ledger::Ledger& ledger = services.ledger;
  ledger::Look look = ledger.look(grant.link_id.view(), grant.parent_id.view());
  const bool must_ask =
      (!look.known && (grant.limit != 0 || shop_decides)) || (shop_decides && !look.row_known);
  if (must_ask && services.shop != nullptr) {
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
      if (row.kind == shop::LookUp::Kind::found) ledger.hear(asked[i], row.word, true);
    }
    if (!answered && shop_decides) {
      co_return ShopRefusal{Problem::temporarily_unavailable, "shop unavailable"};
    }
    look = ledger.look(grant.link_id.view(), grant.parent_id.view());
  }
  if (shop_decides && !look.row_known) {
    co_return ShopRefusal{Problem::link_revoked, "no row in the shop"};
  }
  if (!shop::is_active(look.word)) {
    static constexpr std::string_view kReasons[] = {"active", "held", "refunded", "revoked"};
    co_return ShopRefusal{Problem::link_revoked,
                          kReasons[static_cast<std::size_t>(look.word.state)]};
  }
  co_return look;
}

}  // namespace tallygate::transfer
