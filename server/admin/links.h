// What an operator sees and changes of one link.
#pragma once
#include <boost/json/fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "server/admin/routes.h"
#include "server/net/worker.h"
#include "server/shop/database.h"

namespace tallygate::admin {

// A row's id may be longer than a URL's: that of a folder link ends in a hash of the path.
[[nodiscard]] bool is_link_id(std::string_view id);
inline constexpr std::string_view kLinkIdRule = "a link's id is 1 to 96 of A-Z a-z 0-9 - _ : .";

// A link as `links show --json` prints it: id, path, limit (null = unlimited), used, copies,
// traffic_bytes, expires_at, state, blocked (null, "copies", "traffic"), in_flight. Settles first.
// nullopt: neither the ledger nor the shop knows it.
[[nodiscard]] Task<std::optional<boost::json::object>> show_link(const net::Services& services,
                                                                 net::Workers& workers,
                                                                 std::string link_id);

// Writes the shop's row, where there is a shop; else the ledger's own. The error is for a person.
enum class EditOutcome : std::uint8_t { done, no_such_link, failed };
struct EditAnswer {
  EditOutcome outcome;
  std::string error;
};
[[nodiscard]] Task<EditAnswer> edit_link(const net::Services& services, net::Workers& workers,
                                         std::string link_id, shop::Edit edit);

// GET and POST /v1/links/{id}: what is known of a link, after the change that POST asks for.
[[nodiscard]] Task<Response> get_link(const Call& call);
[[nodiscard]] Task<Response> post_link(const Call& call);

}  // namespace tallygate::admin
