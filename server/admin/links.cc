#include "server/admin/links.h"

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <utility>
#include <vector>

#include "core/link/link_id.h"
#include "server/ledger/ledger.h"
#include "server/net/callback.h"
#include "server/shop/sync.h"

namespace tallygate::admin {
namespace {

namespace json = boost::json;

constexpr std::chrono::seconds kShopTimeout{5};
constexpr std::size_t kLinkIdBytesMax = 96;

std::string_view name_of(shop::State state) {
  static constexpr std::string_view kNames[] = {"active", "held", "refunded", "revoked"};
  return kNames[static_cast<std::size_t>(state)];
}

template <class T>
json::value or_null(const std::optional<T>& value) {
  return value ? json::value(*value) : json::value(nullptr);
}

json::value name_of(ledger::Blocked blocked) {
  if (blocked == ledger::Blocked::none) return nullptr;
  return blocked == ledger::Blocked::copies ? "copies" : "traffic";
}

json::object describe(const std::string& id, const ledger::AccountView& view,
                      const shop::Word& word) {
  // For all edges together: what others delivered is in the limit as well as in what is used.
  shop::Word of_all = word;
  of_all.used_elsewhere = 0;
  const auto limit = shop::effective_limit(of_all, view.signed_terms.limit);
  const std::uint64_t used = view.counted + word.used_elsewhere;
  json::object link;
  link["id"] = id;
  link["path"] =
      view.identity.path.empty() ? json::value(nullptr) : json::value(view.identity.path);
  link["limit"] = or_null(limit);
  link["used"] = limit ? std::min<std::uint64_t>(used, *limit) : used;
  link["copies"] = view.copies;
  link["traffic_bytes"] = view.traffic_bytes;
  link["expires_at"] = or_null(shop::effective_expiry(word, view.signed_terms.expires_at));
  link["state"] = name_of(word.state);
  link["blocked"] = name_of(view.blocked);
  link["in_flight"] = view.in_flight;
  return link;
}

// The link's own row combined with its folder's, as far as the ledger has heard.
shop::Word word_in_force(const ledger::Ledger& ledger, const ledger::AccountView& view) {
  return ledger.look(view.identity.id, link::folder_of(view.identity.id)).word;
}

void apply(const shop::Edit& edit, shop::Word& word) {
  if (edit.max_copies) word.max_copies = *edit.max_copies;
  if (edit.expires_at) word.expires_at = *edit.expires_at;
  if (edit.state) word.state = *edit.state;
  if (edit.reset) ++word.reset_gen;
}

// An absent member changes nothing; null means "as signed".
template <class T>
bool read_member(const json::object& body, std::string_view name, std::int64_t least,
                 std::int64_t most, std::optional<std::optional<T>>& out) {
  const json::value* value = body.if_contains(name);
  if (value == nullptr) return true;
  if (value->is_null()) {
    out.emplace();
    return true;
  }
  const std::int64_t* number = value->if_int64();
  if (number == nullptr || *number < least || *number > most) return false;
  out.emplace(static_cast<T>(*number));
  return true;
}

// Empty: `edit` is what `body` asks for. Else what is wrong with it.
std::string read_edit(const std::string& text, shop::Edit& edit) {
  boost::system::error_code ec;
  const json::value parsed = json::parse(text, ec);
  if (ec || !parsed.is_object()) return "the body must be a JSON object";
  const json::object& body = parsed.get_object();
  const json::value* action = body.if_contains("action");
  if (action == nullptr || !action->is_string()) return "\"action\" is missing";
  const std::string_view name = action->get_string();
  if (name == "set") {
    edit.create = true;
    if (!read_member<std::int32_t>(body, "max", -1, INT32_MAX, edit.max_copies)) {
      return "\"max\" must be null, -1 (unlimited) or a number below 2^31";
    }
    if (!read_member<std::int64_t>(body, "expires", 0, INT64_MAX, edit.expires_at)) {
      return "\"expires\" must be null or unix seconds";
    }
    if (!edit.max_copies && !edit.expires_at) return "\"set\" needs \"max\" or \"expires\"";
  } else if (name == "revoke") {
    edit.create = true;
    edit.state = shop::State::revoked;
  } else if (name == "restore") {
    edit.state = shop::State::active;
  } else if (name == "reset") {
    edit.reset = true;
  } else {
    return "\"action\" must be set, revoke, restore or reset";
  }
  return {};
}

}  // namespace

bool is_link_id(std::string_view id) {
  const auto allowed = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == ':' || c == '.';
  };
  return !id.empty() && id.size() <= kLinkIdBytesMax && std::all_of(id.begin(), id.end(), allowed);
}

Task<std::optional<json::object>> show_link(const net::Services& services, net::Workers& workers,
                                            std::string link_id) {
  workers.settle_link_and_wait(ledger::link_key(link_id));
  if (auto view = services.ledger.view(link_id)) {
    if (view->identity.used && view->identity.path.empty()) {
      if (auto use = services.ledger.find_use(link_id)) view->identity.path = std::move(use->path);
    }
    co_return describe(link_id, *view, word_in_force(services.ledger, *view));
  }
  if (services.shop == nullptr) co_return std::nullopt;
  // Never used here; the shop may have a row all the same.
  std::vector<std::string> ids{link_id};
  const auto ask = [&](auto callback) {
    services.shop->look_up(std::move(ids), std::move(callback));
  };
  const auto rows = co_await net::call_back<std::vector<shop::LookUp>>(kShopTimeout, ask);
  if (!rows || rows->front().kind != shop::LookUp::Kind::found) co_return std::nullopt;
  co_return describe(link_id, ledger::AccountView{}, rows->front().word);
}

Task<EditAnswer> edit_link(const net::Services& services, net::Workers& workers,
                           std::string link_id, shop::Edit edit) {
  if (services.shop != nullptr) {
    using Answer = shop::Answer<bool>;
    const auto ask = [&](auto callback) {
      services.shop->edit(link_id, edit, std::move(callback));
    };
    const auto answer = co_await net::call_back<Answer>(kShopTimeout, ask);
    if (!answer) co_return EditAnswer{EditOutcome::failed, "the shop's database did not answer"};
    if (!*answer) co_return EditAnswer{EditOutcome::failed, answer->error().text};
    co_return EditAnswer{**answer ? EditOutcome::done : EditOutcome::no_such_link, {}};
  }
  const auto view = services.ledger.view(link_id);
  if (!view && !edit.create) co_return EditAnswer{EditOutcome::no_such_link, {}};
  shop::Word word = view ? view->spoken.word : shop::Word{};
  apply(edit, word);
  services.ledger.hear(link_id, word, true);
  if (!services.ledger.flush()) {
    co_return EditAnswer{EditOutcome::failed, services.ledger.failure()};
  }
  const bool cut = services.policies.current()->settings.shop.on_revoke == config::OnRevoke::cut;
  if (!shop::is_active(word) && cut) workers.cut_link(ledger::link_key(link_id));
  co_return EditAnswer{EditOutcome::done, {}};
}

Task<Response> get_link(const Call& call) {
  if (!is_link_id(call.parameter)) co_return error(call.request, Status::bad_request, kLinkIdRule);
  const auto link = co_await show_link(call.ports.services, call.ports.workers, call.parameter);
  if (!link) co_return error(call.request, Status::not_found, "no such link");
  co_return respond(call.request, Status::ok, *link);
}

Task<Response> post_link(const Call& call) {
  if (!is_link_id(call.parameter)) co_return error(call.request, Status::bad_request, kLinkIdRule);
  shop::Edit edit;
  const std::string mistake = read_edit(call.request.body(), edit);
  if (!mistake.empty()) co_return error(call.request, Status::bad_request, mistake);
  const EditAnswer edited =
      co_await edit_link(call.ports.services, call.ports.workers, call.parameter, edit);
  if (edited.outcome == EditOutcome::failed) {
    co_return error(call.request, Status::service_unavailable, edited.error);
  }
  if (edited.outcome == EditOutcome::no_such_link) {
    co_return error(call.request, Status::not_found, "no such link");
  }
  Response response = co_await get_link(call);
  co_return response;
}

}  // namespace tallygate::admin
