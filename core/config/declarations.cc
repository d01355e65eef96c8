#include "core/config/declarations.h"

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>

namespace tallygate::config {
namespace {

using namespace std::chrono_literals;
using std::chrono::days;
using S = Settings;
using enum Applies;
using enum Presence;

// The member `Key` of the table `Table`, as a Field.
template <auto Table, auto Key>
constexpr auto& at(Settings& settings) {
  return settings.*Table.*Key;
}

template <auto Table, auto Key>
constexpr Choice choice(std::span<const std::string_view> words) {
  using Enum = std::remove_cvref_t<decltype(std::declval<Settings&>().*Table.*Key)>;
  return {words,
          [](const Settings& settings) { return static_cast<std::size_t>(settings.*Table.*Key); },
          [](Settings& settings, std::size_t index) {
            settings.*Table.*Key = static_cast<Enum>(index);
          }};
}

// In the order of the enumerators in settings.h.
constexpr std::array<std::string_view, 2> kForwardedFields{"x-forwarded-for", "forwarded"};
constexpr std::array<std::string_view, 2> kDispositions{"attachment", "inline"};
constexpr std::array<std::string_view, 2> kAuthorities{"signature", "shop"};
constexpr std::array<std::string_view, 4> kSchemas{"tallygate", "woocommerce", "prestashop",
                                                   "magento"};
constexpr std::array<std::string_view, 2> kOnRevoke{"cut", "finish"};
constexpr std::array<std::string_view, 2> kLogFormats{"json", "combined"};
constexpr std::array<std::string_view, 3> kClientIps{"full", "truncated", "none"};

constexpr std::string_view kTimeoutReason =
    "a shorter one cuts off customers on slow lines, a longer one lets dead connections keep their "
    "places";

constexpr std::array kTables{
    Table{"server", false, "Who may connect, and for how long."},
    Table{"admin", false, "Where the commands reach the running server."},
    Table{"tls", true, "HTTPS without a proxy in front."},
    Table{"content", false, "The files that are sold."},
    Table{"links", false, "Signed links."},
    Table{"metering", false, "How downloads are counted."},
    Table{"ledger", false, "Where the counts are kept."},
    Table{"shop", true, "The database that counts go back to and that changes links."},
    Table{"log", false, "What is written about requests."},
};

// clang-format off
constexpr std::array kDeclarations{
    Declaration{"server", "listen", AddressList{at<&S::server, &S::Server::listen>},
        at_restart, optional,
        "Addresses on which HTTP is served; port 0 takes any free port."},
    Declaration{"server", "threads",
        Count{at<&S::server, &S::Server::threads>, 0, 1'024,
              "each thread has its own sockets and caches, and more than the machine has cores "
              "only get in each other's way"},
        at_restart, optional,
        "Worker threads; 0 is one for each core."},
    Declaration{"server", "base_url",
        Text{at<&S::server, &S::Server::base_url>, &kBaseUrl, "https://dl.shop.example"},
        at_reload, optional,
        "What customers see before the path of a file; `tallygate sign` prints it."},
    Declaration{"server", "trusted_proxies",
        TextList{at<&S::server, &S::Server::trusted_proxies>, &kCidr, "10.0.0.0/8"},
        at_reload, optional,
        "Proxies whose word on the client's address is believed. The client is the last address in "
        "their field that is not one of these; of all others the field is ignored."},
    Declaration{"server", "forwarded_field",
        choice<&S::server, &S::Server::forwarded_field>(kForwardedFields),
        at_reload, optional,
        "The field in which trusted_proxies write whom they were asked by. The other one is never "
        "read, since they hand it on as a client sent it."},
    Declaration{"server", "proxy_protocol",
        AddressList{at<&S::server, &S::Server::proxy_protocol>, "0.0.0.0:8080"},
        at_restart, optional,
        "Those of the addresses in server.listen and tls.listen on which each connection must come "
        "from one of trusted_proxies and begin with a header of the PROXY protocol, version 1 or 2; "
        "any other is closed. Nowhere else is such a header understood."},
    Declaration{"server", "max_connections",
        Count{at<&S::server, &S::Server::max_connections>, 1, 1'000'000,
              "each takes a file descriptor and some memory"},
        at_reload, optional,
        "Connections open at a time, over all threads; further ones wait until one ends. Fewer where "
        "the descriptors that the process may have (LimitNOFILE=) are not enough for so many."},
    Declaration{"server", "max_connections_per_address",
        Count{at<&S::server, &S::Server::max_connections_per_address>, 0, 1'000'000,
              "a low one shuts out customers who share an address, a high one lets one client take "
              "all connections"},
        at_reload, optional,
        "Connections that one client address may have open at a time, over all threads; further "
        "ones are closed. An IPv6 address counts with all others of its /64, trusted_proxies do not "
        "count; 0 is no bound."},
    Declaration{"server", "header_timeout",
        Duration{at<&S::server, &S::Server::header_timeout>, 100ms, 5min, kTimeoutReason},
        at_reload, optional,
        "How long a client may take to send the head of a request."},
    Declaration{"server", "idle_timeout",
        Duration{at<&S::server, &S::Server::idle_timeout>, 100ms, 1h, kTimeoutReason},
        at_reload, optional,
        "How long a connection may wait for its next request."},
    Declaration{"server", "send_timeout",
        Duration{at<&S::server, &S::Server::send_timeout>, 100ms, 1h, kTimeoutReason},
        at_reload, optional,
        "How long a client may take in nothing of what is sent to it."},
    Declaration{"server", "min_rate",
        Count{at<&S::server, &S::Server::min_rate>, 0, 1'000'000,
              "a higher one cuts off customers on slow lines, a lower one lets whoever takes in a "
              "byte now and then hold a connection for days"},
        at_reload, optional,
        "Bytes per second that a client must take in on average, looked at over send_timeout, while "
        "a body is sent to it; 0 is no minimum."},
    Declaration{"server", "drain_timeout",
        Duration{at<&S::server, &S::Server::drain_timeout>, 0ms, 1h,
                 "a new version cannot start before the old one has let go of the ledger"},
        at_reload, optional,
        "How long running downloads may go on once tallygate is told to stop; what is cut can be "
        "resumed."},
    Declaration{"server", "contact_url",
        Text{at<&S::server, &S::Server::contact_url>, &kContactUrl,
             "https://shop.example/contact"},
        at_reload, optional,
        "Where a page that refuses a download sends the customer for help."},

    Declaration{"admin", "socket", Text{at<&S::admin, &S::Admin::socket>, &kSocketPath},
        at_restart, optional,
        "Unix socket of the admin interface; who may open it may change links."},
    Declaration{"admin", "listen",
        Text{at<&S::admin, &S::Admin::listen>, &kListenAddress, "127.0.0.1:8081"},
        at_restart, optional,
        "Loopback address where the admin interface is served as well, with a page for a browser; "
        "needs token_file."},
    Declaration{"admin", "token_file",
        Text{at<&S::admin, &S::Admin::token_file>, &kSecretFile, "/etc/tallygate/admin.token"},
        at_reload, optional,
        "File with the token, one line of at least 16 bytes, that whoever asks at admin.listen must "
        "present."},

    Declaration{"tls", "listen", AddressList{at<&S::tls, &S::Tls::listen>},
        at_restart, optional,
        "Addresses on which HTTPS is served; port 0 takes any free port."},
    Declaration{"tls", "certificate",
        Text{at<&S::tls, &S::Tls::certificate>, &kSecretFile, "/etc/tallygate/fullchain.pem"},
        at_reload, required,
        "Certificate chain, PEM."},
    Declaration{"tls", "key",
        Text{at<&S::tls, &S::Tls::key>, &kSecretFile, "/etc/tallygate/key.pem"},
        at_reload, required,
        "Private key of the certificate, PEM; others must not be able to read it."},
    Declaration{"tls", "site", SiteList{at<&S::tls, &S::Tls::sites>},
        at_reload, optional,
        "Further certificates, each for the names in it; also to be written as [[tls.site]] tables. "
        "The one above is for all other names."},

    Declaration{"content", "root", Text{at<&S::content, &S::Content::root>, &kPath, "/srv/downloads"},
        at_restart, required,
        "Folder of the files; the path of a link is looked up below it."},
    Declaration{"content", "disposition",
        choice<&S::content, &S::Content::disposition>(kDispositions),
        at_reload, optional,
        "Whether browsers save a file or show it."},
    Declaration{"content", "cors_origins",
        TextList{at<&S::content, &S::Content::cors_origins>, &kOrigin, "https://shop.example"},
        at_reload, optional,
        "Sites whose scripts may read the files."},

    Declaration{"links", "keyring",
        Text{at<&S::links, &S::Links::keyring>, &kSecretFile, "/etc/tallygate/keyring.toml"},
        at_reload, required,
        "File with the keys that sign links; `tallygate keygen` prints an entry."},
    Declaration{"links", "authority", choice<&S::links, &S::Links::authority>(kAuthorities),
        at_restart, optional,
        "What makes a link good: its signature, or a row in the shop's table besides."},
    Declaration{"links", "resume_grace",
        Duration{at<&S::links, &S::Links::resume_grace>, 0ms, days{30},
                 "it prolongs every link whose download was begun"},
        at_reload, optional,
        "How long after its expiry a link may still be used to finish an unfinished copy."},

    Declaration{"metering", "waste",
        Ratio{at<&S::metering, &S::Metering::waste_permille>, 0, 100'000,
              "more than a hundred wasted copies would no longer bound what one link can cost"},
        at_reload, optional,
        "Traffic that broken downloads of one link may waste before it is blocked, in sizes of the "
        "file; grows for limits above 4."},
    Declaration{"metering", "keep_expired",
        Duration{at<&S::metering, &S::Metering::keep_expired>, days{1}, days{3'650},
                 "a link that is prolonged after its counts were dropped begins at zero"},
        at_reload, optional,
        "How long the counts of an expired link are kept."},

    Declaration{"ledger", "dir", Text{at<&S::ledger, &S::Ledger::dir>, &kPath},
        at_restart, optional,
        "Directory of the journal, on a local disk; created if absent."},

    Declaration{"shop", "url",
        Text{at<&S::shop, &S::Shop::url>, &kShopUrl, "sqlite:/var/lib/tallygate/shop.db"},
        at_restart, required,
        "The database."},
    Declaration{"shop", "password_file",
        Text{at<&S::shop, &S::Shop::password_file>, &kSecretFile, "/etc/tallygate/shop.password"},
        at_restart, optional,
        "File with the password of the database."},
    Declaration{"shop", "schema", choice<&S::shop, &S::Shop::schema>(kSchemas),
        at_restart, optional,
        "Whose tables: tallygate's own, or those of a shop system."},
    Declaration{"shop", "table_prefix", Text{at<&S::shop, &S::Shop::table_prefix>, &kTablePrefix},
        at_restart, optional,
        "What the names of a shop system's tables begin with; PrestaShop's is ps_, Magento's often "
        "empty."},
    Declaration{"shop", "edge_id", Text{at<&S::shop, &S::Shop::edge_id>, &kEdgeId},
        at_restart, optional,
        "Name of this server in the database; each server has its own."},
    Declaration{"shop", "poll",
        Duration{at<&S::shop, &S::Shop::poll>, 100ms, 1min,
                 "more often burdens the database, more rarely leaves a revoked link open"},
        at_restart, optional,
        "How often the database is asked for changes."},
    Declaration{"shop", "on_revoke", choice<&S::shop, &S::Shop::on_revoke>(kOnRevoke),
        at_restart, optional,
        "Whether a running download is cut or may finish when its link is revoked."},
    Declaration{"shop", "keep_history",
        Duration{at<&S::shop, &S::Shop::keep_history>, days{1}, days{3'650},
                 "a day leaves time to look into a complaint, and what is to stay for longer may "
                 "as well stay",
                 "for ever"},
        at_restart, optional,
        "How long the rows of the history, tg_download, are kept; those of other servers too. "
        "Counts stay, and so does a shop system's own log."},

    Declaration{"log", "access", Text{at<&S::log, &S::Log::access>, &kAccessLog},
        at_restart, optional,
        "Where each request is logged. SIGUSR1 has a file opened anew, after it was renamed."},
    Declaration{"log", "format", choice<&S::log, &S::Log::format>(kLogFormats),
        at_restart, optional,
        "Shape of the lines of the access log."},
    Declaration{"log", "client_ip", choice<&S::log, &S::Log::client_ip>(kClientIps),
        at_reload, optional,
        "How much of a client's address is kept in logs and in the shop's history; truncated is "
        "/24 of IPv4, /48 of IPv6."},
    Declaration{"log", "refused_per_minute",
        Count{at<&S::log, &S::Log::refused_per_minute>, 0, 1'000'000,
              "a few show what somebody tries, more fill the disk of a server whose links are "
              "guessed"},
        at_reload, optional,
        "Lines that one client address (IPv6: its /64) gets in a minute for requests without a "
        "genuine link. Of the others one line says how many were left out; 0 is no bound."},
};
// clang-format on

}  // namespace

std::span<const Declaration> declarations() {
  return kDeclarations;
}

std::span<const Table> tables() {
  return kTables;
}

std::string full_name(const Declaration& declaration) {
  return std::string(declaration.table) + '.' + std::string(declaration.key);
}

const Declaration* find_declaration(std::string_view full_name) {
  const auto found = std::find_if(
      kDeclarations.begin(), kDeclarations.end(),
      [&](const Declaration& declaration) { return config::full_name(declaration) == full_name; });
  return found == kDeclarations.end() ? nullptr : &*found;
}

bool is_default(const Declaration& declaration, const Settings& settings) {
  return toml_text(declaration.rule, settings) == toml_text(declaration.rule, {});
}

}  // namespace tallygate::config
