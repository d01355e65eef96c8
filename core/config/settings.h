// Every setting of tallygate, with its type and its default. Names, bounds and sentences stand in
// declarations.cc, which a new member here must be added to.
//
// Plain values: whoever holds a Settings that parse_settings returned without mistakes may rely on
// all bounds. A default-constructed one lacks only what has no default: content.root,
// links.keyring.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace tallygate::config {

// Where to accept connections. `host` is an IPv4 or IPv6 address in text, without brackets; port 0
// takes any free one.
struct ListenAddress {
  std::string host;
  std::uint16_t port = 0;
  friend bool operator==(const ListenAddress&, const ListenAddress&) = default;
};

// A certificate with its private key, both PEM files by absolute path.
struct TlsSite {
  std::string certificate;
  std::string key;
  friend bool operator==(const TlsSite&, const TlsSite&) = default;
};

// The words of a choice are listed in declarations.cc in the order of its enumerators.
enum class ForwardedField : std::uint8_t { x_forwarded_for, forwarded };
enum class Disposition : std::uint8_t { attachment, display_inline };
enum class Authority : std::uint8_t { signature, shop };
enum class Schema : std::uint8_t { tallygate, woocommerce, prestashop, magento };
enum class OnRevoke : std::uint8_t { cut, finish };
enum class LogFormat : std::uint8_t { json, combined };
enum class ClientIp : std::uint8_t { full, truncated, none };

struct Settings {
  struct Server {
    std::vector<ListenAddress> listen{{"0.0.0.0", 8080}};
    std::uint32_t threads = 0;                 // 0: one per core
    std::string base_url;                      // without a slash at the end; empty: unknown
    std::vector<std::string> trusted_proxies;  // addresses or CIDR blocks
    ForwardedField forwarded_field = ForwardedField::x_forwarded_for;
    std::vector<ListenAddress> proxy_protocol;  // of those in `listen`, here and below [tls]
    std::uint32_t max_connections = 10'000;     // over all threads
    std::uint32_t max_connections_per_address = 1'000;  // over all threads; 0: as many as there are
    std::chrono::milliseconds header_timeout = std::chrono::seconds{10};
    std::chrono::milliseconds idle_timeout = std::chrono::seconds{60};
    std::chrono::milliseconds send_timeout = std::chrono::seconds{60};
    std::uint32_t min_rate = 256;  // bytes per second; 0: no minimum
    std::chrono::milliseconds drain_timeout = std::chrono::seconds{30};
    std::string contact_url;  // empty: none
  } server;

  struct Admin {
    std::string socket = "/run/tallygate/admin.sock";
    std::string listen;      // host:port; empty: none
    std::string token_file;  // empty: none
  } admin;

  struct Tls {
    std::vector<ListenAddress> listen{{"0.0.0.0", 8443}};
    std::string certificate;
    std::string key;
    std::vector<TlsSite> sites;  // for their names; all others get the certificate above
    // The table is there, and HTTPS is served.
    [[nodiscard]] bool is_on() const { return !certificate.empty(); }
  } tls;

  struct Content {
    std::string root;
    Disposition disposition = Disposition::attachment;
    std::vector<std::string> cors_origins;  // exactly as browsers send them
  } content;

  struct Links {
    std::string keyring;
    Authority authority = Authority::signature;
    std::chrono::milliseconds resume_grace = std::chrono::hours{24};
  } links;

  struct Metering {
    std::uint32_t waste_permille = 2'000;  // thousandths of the size of the file
    std::chrono::milliseconds keep_expired = std::chrono::days{90};
  } metering;

  struct Ledger {
    std::string dir = "/var/lib/tallygate/ledger";
  } ledger;

  struct Shop {
    std::string url;  // empty: there is no shop, nothing is synced
    std::string password_file;
    Schema schema = Schema::tallygate;
    std::string table_prefix = "wp_";
    std::string edge_id = "edge-1";
    std::chrono::milliseconds poll = std::chrono::seconds{1};
    OnRevoke on_revoke = OnRevoke::cut;
    std::chrono::milliseconds keep_history{0};  // 0: for ever
  } shop;

  struct Log {
    std::string access = "stdout";  // "stdout", "off", "syslog", "journald" or an absolute path
    LogFormat format = LogFormat::json;
    ClientIp client_ip = ClientIp::full;
    std::uint32_t refused_per_minute = 100;  // lines; 0: no bound
  } log;
};

}  // namespace tallygate::config
