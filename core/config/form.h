// The forms that texts among the settings may have.
//
// A check looks at the text alone: it opens no file and asks no resolver.
#pragma once
#include <optional>
#include <string_view>

#include "core/base/result.h"
#include "core/config/settings.h"
#include "core/config/wrong.h"

namespace tallygate::config {

using Check = std::optional<Wrong> (*)(std::string_view text);

std::optional<Wrong> check_path(std::string_view text);
std::optional<Wrong> check_socket_path(std::string_view text);
std::optional<Wrong> check_access_log(std::string_view text);
std::optional<Wrong> check_base_url(std::string_view text);
std::optional<Wrong> check_contact_url(std::string_view text);
std::optional<Wrong> check_origin(std::string_view text);
std::optional<Wrong> check_cidr(std::string_view text);
std::optional<Wrong> check_listen_address(std::string_view text);
std::optional<Wrong> check_shop_url(std::string_view text);
std::optional<Wrong> check_secret_file(std::string_view text);
std::optional<Wrong> check_edge_id(std::string_view text);
std::optional<Wrong> check_table_prefix(std::string_view text);

struct Form {
  std::string_view name;
  Check check;
};

// How a credential of systemd is written: its name follows.
inline constexpr std::string_view kCredentialPrefix = "credential:";

// Paths are absolute: the same file whatever directory tallygate is started from.
inline constexpr Form kPath{"absolute path", check_path};
inline constexpr Form kSocketPath{"absolute path, 107 bytes at most", check_socket_path};
inline constexpr Form kAccessLog{
    "\"stdout\", \"off\", \"syslog\", \"journald\" or an absolute path", check_access_log};
inline constexpr Form kBaseUrl{"URL, http or https, without query and final slash", check_base_url};
inline constexpr Form kContactUrl{"URL, http, https or mailto", check_contact_url};
inline constexpr Form kOrigin{"origin, such as https://shop.example", check_origin};
inline constexpr Form kCidr{"address or CIDR block", check_cidr};
inline constexpr Form kListenAddress{"address:port", check_listen_address};
inline constexpr Form kShopUrl{"URL, sqlite:/path, postgresql://… or mysql://…", check_shop_url};
// What LoadCredential= gives to a unit stays the same until it is restarted.
inline constexpr Form kSecretFile{
    "absolute path, or credential:NAME of systemd, which only a restart renews", check_secret_file};
inline constexpr Form kEdgeId{"1 to 32 of A-Z a-z 0-9 _ -", check_edge_id};
inline constexpr Form kTablePrefix{"up to 32 of A-Z a-z 0-9 _", check_table_prefix};

// "0.0.0.0:8080", "[::]:8080", "127.0.0.1:0". Addresses, not names.
[[nodiscard]] Result<ListenAddress, Wrong> parse_listen_address(std::string_view text);

// As parse_listen_address reads it.
[[nodiscard]] std::string format_listen_address(const ListenAddress& address);

}  // namespace tallygate::config
