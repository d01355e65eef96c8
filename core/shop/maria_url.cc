#include "core/shop/maria_url.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

namespace tallygate::shop {
namespace {

constexpr std::string_view kScheme = "mysql://";

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// nullopt: an invalid escape, or a control character.
std::optional<std::string> decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_digit(text[i + 1]);
      const int low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return std::nullopt;
    out += c;
  }
  return out;
}

struct Mode {
  std::string_view word;
  TlsMode mode;
};
constexpr Mode kModes[] = {{"disabled", TlsMode::disabled},
                           {"preferred", TlsMode::preferred},
                           {"required", TlsMode::required},
                           {"verify-ca", TlsMode::verify_ca},
                           {"verify-identity", TlsMode::verify_identity}};

class Parser {
 public:
  // Empty: done, `target` is right. Else what is wrong.
  std::string parse(std::string_view url) {
    if (!url.starts_with(kScheme)) return "must begin with mysql://";
    url.remove_prefix(kScheme.size());
    if (url.find('#') != url.npos) return "must have no fragment; write # as %23";
    const auto query = url.find('?');
    const auto path = url.substr(0, query).find('/');
    if (path == url.npos) return "lacks the database: mysql://user@host/database";
    if (auto wrong = parse_authority(url.substr(0, path)); !wrong.empty()) return wrong;
    const auto database = decoded(url.substr(0, query).substr(path + 1));
    if (!database) return kEncoding;
    if (database->empty() || database->find('/') != database->npos) {
      return "must name one database: mysql://user@host/database";
    }
    target.database = *database;
    if (query != url.npos) {
      if (auto wrong = parse_query(url.substr(query + 1)); !wrong.empty()) return wrong;
    }
    return settle();
  }

  MariaTarget target;

 private:
  static constexpr const char* kEncoding = "has an invalid percent-encoding or a control character";

  std::string parse_authority(std::string_view authority) {
    const auto at = authority.rfind('@');
    if (at == authority.npos || at == 0) return "lacks the user: mysql://user@host/database";
    const auto user = authority.substr(0, at);
    if (user.find(':') != user.npos) {
      return "must not contain a password; put it into the file of shop.password_file";
    }
    const auto user_text = decoded(user);
    if (!user_text) return kEncoding;
    target.user = *user_text;

    auto host = authority.substr(at + 1);
    std::string_view port;
    if (host.starts_with('[')) {
      const auto end = host.find(']');
      if (end == host.npos) return "has a [ without ]";
      const auto rest = host.substr(end + 1);
      host = host.substr(1, end - 1);
      if (!rest.empty() && !rest.starts_with(':')) return "has something between ] and the port";
      if (!rest.empty()) port = rest.substr(1);
      has_port_ = !rest.empty();
    } else if (const auto colon = host.find(':'); colon != host.npos) {
      port = host.substr(colon + 1);
      host = host.substr(0, colon);
      has_port_ = true;
    }
    if (!host.empty()) {
      const auto host_text = decoded(host);
      if (!host_text) return kEncoding;
      target.host = *host_text;
    }
    if (has_port_) {
      const auto [end, error] =
          std::from_chars(port.data(), port.data() + port.size(), target.port);
      if (error != std::errc() || end != port.data() + port.size() || target.port == 0) {
        return "has a port that is not a number from 1 to 65535";
      }
    }
    return {};
  }

  std::string parse_query(std::string_view query) {
    std::vector<std::string_view> seen;
    while (!query.empty()) {
      const auto end = std::min(query.find('&'), query.size());
      const auto option = query.substr(0, end);
      query.remove_prefix(std::min(end + 1, query.size()));
      const auto equals = option.find('=');
      const auto key = option.substr(0, equals);
      const auto value = equals == option.npos ? std::nullopt : decoded(option.substr(equals + 1));
      if (key == "password") {
        return "must not contain a password; put it into the file of shop.password_file";
      }
      if (!value || value->empty()) return "has an option without a (valid) value";
      if (std::ranges::find(seen, key) != seen.end()) return "has an option twice";
      seen.push_back(key);
      if (auto wrong = set(key, *value); !wrong.empty()) return wrong;
    }
    return {};
  }

  std::string set(std::string_view key, const std::string& value) {
    if (key == "ssl-mode") {
      const auto* mode = std::ranges::find(kModes, value, &Mode::word);
      if (mode == std::end(kModes)) {
        return "has an unknown ssl-mode; there are disabled, preferred, required, verify-ca and "
               "verify-identity";
      }
      mode_ = mode->mode;
      return {};
    }
    auto* path = key == "socket"     ? &target.socket
                 : key == "ssl-ca"   ? &target.ssl_ca
                 : key == "ssl-cert" ? &target.ssl_cert
                 : key == "ssl-key"  ? &target.ssl_key
                                     : nullptr;
    if (path == nullptr) {
      return "has an unknown option; there are socket, ssl-mode, ssl-ca, ssl-cert and ssl-key";
    }
    if (!value.starts_with('/')) return std::string(key) + " must be an absolute path";
    *path = value;
    return {};
  }

  std::string settle() {
    const bool is_local = target.host == "localhost";
    if (!target.socket.empty() && (!is_local || has_port_)) {
      return "has a socket and another host or a port: one of the two";
    }
    target.over_tcp = !is_local || has_port_;
    const bool has_files =
        !target.ssl_ca.empty() || !target.ssl_cert.empty() || !target.ssl_key.empty();
    if (!target.over_tcp) {
      if (has_files || (mode_ && *mode_ > TlsMode::preferred)) {
        return "asks for TLS over a Unix socket, which has none; name a host other than localhost, "
               "or a port";
      }
      target.tls = TlsMode::disabled;
      return {};
    }
    target.tls = mode_.value_or(TlsMode::preferred);
    if (target.ssl_cert.empty() != target.ssl_key.empty()) return "needs both ssl-cert and ssl-key";
    // The library checks whatever it has an authority for: below verify-ca none may be named, so
    // that nobody believes in a check that is not asked for.
    if (!target.ssl_ca.empty() && target.tls < TlsMode::verify_ca) {
      return "has ssl-ca, which needs ssl-mode=verify-ca or verify-identity";
    }
    if (has_files && target.tls == TlsMode::disabled) return "has certificates, but no TLS";
    if (target.tls == TlsMode::verify_ca && target.ssl_ca.empty()) {
      return "needs ssl-ca with ssl-mode=verify-ca";
    }
    return {};
  }

  bool has_port_ = false;
  std::optional<TlsMode> mode_;
};

}  // namespace

Result<MariaTarget, BadMariaUrl> parse_maria_url(std::string_view url) {
  Parser parser;
  if (auto wrong = parser.parse(url); !wrong.empty()) return BadMariaUrl{std::move(wrong)};
  return std::move(parser.target);
}

}  // namespace tallygate::shop
