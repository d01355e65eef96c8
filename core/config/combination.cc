#include "core/config/combination.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "core/config/duration.h"
#include "core/config/form.h"

namespace tallygate::config {
namespace {

// `path` is `folder` or below it.
bool is_within(std::string_view path, std::string_view folder) {
  const auto normal = [](std::string_view text) {
    auto out = std::filesystem::path(text).lexically_normal();
    return out.has_filename() ? out : out.parent_path();  // "/srv/" is "/srv"
  };
  const auto inner = normal(path);
  const auto outer = normal(folder);
  const auto [end_of_outer, rest] =
      std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
  return end_of_outer == outer.end();
}

std::string_view sqlite_path(std::string_view url) {
  constexpr std::string_view kScheme = "sqlite:";
  return url.starts_with(kScheme) ? url.substr(kScheme.size()) : std::string_view();
}

// What lies below the root can be sold: a folder link would hand out keys or counts.
void check_secrets(const Settings& settings, std::vector<Clash>& clashes) {
  struct Secret {
    std::string_view name;
    std::string_view path;
  };
  std::vector<Secret> secrets{
      Secret{"links.keyring", settings.links.keyring},
      Secret{"ledger.dir", settings.ledger.dir},
      Secret{"admin.token_file", settings.admin.token_file},
      Secret{"tls.key", settings.tls.key},
      Secret{"shop.url", sqlite_path(settings.shop.url)},
      Secret{"shop.password_file", settings.shop.password_file},
      Secret{"log.access", settings.log.access},
  };
  for (const auto& site : settings.tls.sites) secrets.push_back({"tls.site", site.key});
  if (settings.content.root.empty()) return;
  for (const auto& secret : secrets) {
    if (!secret.path.starts_with('/') || !is_within(secret.path, settings.content.root)) continue;
    clashes.push_back({secret.name, Wrong{"lies below content.root, from where files are served; "
                                          "put it elsewhere"}});
  }
}

// An address serves HTTP or HTTPS.
void check_ports(const Settings& settings, std::vector<Clash>& clashes) {
  const auto& plain = settings.server.listen;
  for (const auto& address : settings.tls.listen) {
    if (address.port == 0 || std::find(plain.begin(), plain.end(), address) == plain.end())
      continue;
    clashes.push_back({"tls.listen", Wrong{fmt::format("has {}, which is in server.listen as well",
                                                       format_listen_address(address))}});
  }
}

// Nobody but a trusted proxy is heard there, and nothing listens on an address by being there.
void check_proxy_protocol(const Settings& settings, std::vector<Clash>& clashes) {
  constexpr std::string_view kName = "server.proxy_protocol";
  const auto& proxied = settings.server.proxy_protocol;
  if (!proxied.empty() && settings.server.trusted_proxies.empty()) {
    clashes.push_back({kName, Wrong{"needs server.trusted_proxies: a PROXY header is taken from "
                                    "these alone"}});
  }
  const auto is_in = [](const ListenAddress& address, const std::vector<ListenAddress>& list) {
    return std::find(list.begin(), list.end(), address) != list.end();
  };
  for (const auto& address : proxied) {
    const bool listens = is_in(address, settings.server.listen) ||
                         (settings.tls.is_on() && is_in(address, settings.tls.listen));
    if (listens) continue;
    clashes.push_back({kName, Wrong{fmt::format("has {}, which is not in server.listen{}",
                                                format_listen_address(address),
                                                settings.tls.is_on() ? " or tls.listen" : "")}});
  }
}

// Whoever reaches the admin interface may give files away: it is for this machine, and asks for a
// token.
void check_admin(const Settings& settings, std::vector<Clash>& clashes) {
  const auto& admin = settings.admin;
  if (admin.listen.empty()) return;
  if (admin.token_file.empty()) {
    clashes.push_back(
        {"admin.listen", Wrong{"needs admin.token_file: every account of this machine "
                               "can connect to a port"}});
  }
  const auto address = parse_listen_address(admin.listen);
  if (!address) return;  // named already
  if (!address->host.starts_with("127.") && address->host != "::1") {
    clashes.push_back({"admin.listen", Wrong{fmt::format("is {}, not a loopback address (127.0.0.1 "
                                                         "or [::1]); reach it through ssh -L",
                                                         admin.listen)}});
  }
  const auto& plain = settings.server.listen;
  if (address->port != 0 && std::find(plain.begin(), plain.end(), *address) != plain.end()) {
    clashes.push_back({"admin.listen", Wrong{"is in server.listen as well"}});
  }
}

}  // namespace

std::vector<Clash> find_clashes(const Settings& settings) {
  std::vector<Clash> clashes;
  if (settings.links.authority == Authority::shop && settings.shop.url.empty()) {
    clashes.push_back(
        {"links.authority", Wrong{"is \"shop\", but there is no [shop] with a url to ask"}});
  }
  if (settings.metering.keep_expired < settings.links.resume_grace) {
    clashes.push_back(
        {"metering.keep_expired",
         Wrong{fmt::format("is {}, less than links.resume_grace ({}): a link that may still be "
                           "resumed would lose its counts",
                           format_duration(settings.metering.keep_expired),
                           format_duration(settings.links.resume_grace))}});
  }
  if (!sqlite_path(settings.shop.url).empty() && !settings.shop.password_file.empty()) {
    clashes.push_back(
        {"shop.password_file", Wrong{"has no use: an SQLite database has no password"}});
  }
  // A URL that is wrong by itself was not taken, and has been named.
  const auto& url = settings.shop.url;
  if (settings.shop.schema != Schema::tallygate && !url.empty() && !url.starts_with("mysql:")) {
    clashes.push_back({"shop.schema", Wrong{"is a shop system's, whose tables are in MariaDB: "
                                            "shop.url must begin with mysql://"}});
  }
  if (settings.tls.is_on()) check_ports(settings, clashes);
  check_proxy_protocol(settings, clashes);
  check_admin(settings, clashes);
  check_secrets(settings, clashes);
  return clashes;
}

}  // namespace tallygate::config
