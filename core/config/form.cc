#include "core/config/form.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "core/link/ip_block.h"
#include "core/shop/maria_url.h"

namespace tallygate::config {
namespace {

constexpr std::size_t kPathMax = 4'095;      // PATH_MAX without its NUL
constexpr std::size_t kSocketPathMax = 107;  // sun_path of sockaddr_un without its NUL
constexpr std::size_t kUrlMax = 2'000;       // what every client and mail program carries
constexpr std::size_t kEdgeIdMax = 32;
constexpr std::size_t kTablePrefixMax = 32;  // MariaDB's names have 64, the longest table 30

constexpr bool is_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7F;
  });
}

template <class T>
std::optional<T> parse_decimal(std::string_view text) {
  T number{};
  const auto* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number);
  if (text.empty() || error != std::errc{} || end != last) return std::nullopt;
  return number;
}

// inet_pton reads a C string, so that what follows a NUL would go unseen.
bool is_address(std::string_view text, int family) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  return text.find('\0') == std::string_view::npos &&
         inet_pton(family, std::string(text).c_str(), bytes.data()) == 1;
}

// RFC 3986 §2: the characters a URI is made of; anything else is percent-encoded.
bool is_uri_text(std::string_view text) {
  constexpr std::string_view kMarks = "-._~:/?#[]@!$&'()*+,;=%";
  return std::all_of(text.begin(), text.end(), [=](char c) {
    return is_alnum(c) || kMarks.find(c) != std::string_view::npos;
  });
}

// A server's URL, which is shown in messages. What it says has to be repeated nowhere.
std::optional<Wrong> check_server_url(std::string_view text) {
  if (text.size() > kUrlMax) return Wrong{fmt::format("is longer than {} bytes", kUrlMax)};
  if (!is_uri_text(text)) return Wrong{"has a character that must be percent-encoded"};
  const auto rest = text.substr(text.find("//") + 2);
  const auto query = rest.find('?');
  const auto authority = rest.substr(0, rest.find_first_of("/?"));
  const auto at = authority.rfind('@');
  const bool in_authority =
      at != std::string_view::npos && authority.substr(0, at).find(':') != std::string_view::npos;
  const bool in_query = query != std::string_view::npos &&
                        rest.substr(query).find("password=") != std::string_view::npos;
  if (!in_authority && !in_query) return std::nullopt;
  return Wrong{"has a password in it; put it into the file that shop.password_file names"};
}

// Host and optional port of a URL. Punycode for other than ASCII names.
std::optional<Wrong> check_authority(std::string_view authority, std::string_view text) {
  auto host = authority;
  std::string_view port;
  bool has_port = false;
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    const auto address = authority.substr(1, end == std::string_view::npos ? end : end - 1);
    if (end == std::string_view::npos || !is_address(address, AF_INET6)) {
      return Wrong{fmt::format("{} has a wrong IPv6 address", in_quotes(text))};
    }
    host = authority.substr(0, end + 1);
  } else {
    host = authority.substr(0, authority.find(':'));
    const bool plain = std::all_of(host.begin(), host.end(),
                                   [](char c) { return is_alnum(c) || c == '-' || c == '.'; });
    if (host.empty() || !plain) {
      return Wrong{fmt::format("{} has no valid host name", in_quotes(text))};
    }
  }
  const auto rest = authority.substr(host.size());
  if (!rest.empty()) {
    has_port = rest.front() == ':';
    port = rest.substr(1);
  }
  if (!rest.empty() && (!has_port || parse_decimal<std::uint16_t>(port).value_or(0) == 0)) {
    return Wrong{fmt::format("{} has a wrong port", in_quotes(text))};
  }
  return std::nullopt;
}

// The part of an http or https URL after "//".
std::optional<std::string_view> after_http_scheme(std::string_view text) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (text.starts_with(scheme)) return text.substr(scheme.size());
  }
  return std::nullopt;
}

std::optional<Wrong> check_http_url(std::string_view text) {
  const auto rest = after_http_scheme(text);
  if (!rest)
    return Wrong{fmt::format("{} does not begin with https:// or http://", in_quotes(text))};
  if (text.size() > kUrlMax) return Wrong{fmt::format("is longer than {} bytes", kUrlMax)};
  if (!is_uri_text(text)) {
    return Wrong{fmt::format("{} has characters that a URL must percent-encode", in_quotes(text))};
  }
  return check_authority(rest->substr(0, rest->find_first_of("/?#")), text);
}

}  // namespace

std::optional<Wrong> check_path(std::string_view text) {
  if (has_control(text)) return Wrong{fmt::format("{} has a control character", in_quotes(text))};
  if (!text.starts_with('/')) {
    return Wrong{
        fmt::format("{} is not an absolute path: it must begin with a slash", in_quotes(text))};
  }
  if (text.size() > kPathMax) return Wrong{fmt::format("is longer than {} bytes", kPathMax)};
  return std::nullopt;
}

std::optional<Wrong> check_socket_path(std::string_view text) {
  if (auto wrong = check_path(text)) return wrong;
  if (text.size() > kSocketPathMax) {
    return Wrong{fmt::format("{} is longer than {} bytes, the most that a socket's path may have",
                             in_quotes(text), kSocketPathMax)};
  }
  return std::nullopt;
}

std::optional<Wrong> check_access_log(std::string_view text) {
  for (const std::string_view word : {"stdout", "off", "syslog", "journald"}) {
    if (text == word) return std::nullopt;
  }
  if (!text.starts_with('/')) {
    return Wrong{
        fmt::format("{} is not \"stdout\", \"off\", \"syslog\", \"journald\" or an absolute path",
                    in_quotes(text))};
  }
  return check_path(text);
}

std::optional<Wrong> check_base_url(std::string_view text) {
  if (auto wrong = check_http_url(text)) return wrong;
  if (text.find_first_of("?#") != std::string_view::npos) {
    return Wrong{
        fmt::format("{} has a query or fragment: the signed one follows it", in_quotes(text))};
  }
  if (text.ends_with('/')) {
    return Wrong{fmt::format("{} ends with a slash: the path that follows begins with one",
                             in_quotes(text))};
  }
  return std::nullopt;
}

std::optional<Wrong> check_contact_url(std::string_view text) {
  constexpr std::string_view kMail = "mailto:";
  if (!text.starts_with(kMail)) {
    if (!after_http_scheme(text)) {
      return Wrong{
          fmt::format("{} does not begin with https://, http:// or mailto:", in_quotes(text))};
    }
    return check_http_url(text);
  }
  const auto at = text.find('@');
  if (!is_uri_text(text) || at == std::string_view::npos || at == kMail.size() ||
      at + 1 == text.size() || text.size() > kUrlMax) {
    return Wrong{fmt::format("{} is not a mail address", in_quotes(text))};
  }
  return std::nullopt;
}

// Compared byte by byte with the Origin header, which browsers send in lower case and without the
// scheme's own port (RFC 6454 §6.2): another spelling would never match.
std::optional<Wrong> check_origin(std::string_view text) {
  if (text == "*") return Wrong{"\"*\" would be every site: list the origins"};
  if (auto wrong = check_http_url(text)) return wrong;
  const auto authority = *after_http_scheme(text);
  if (authority.find_first_of("/?#") != std::string_view::npos) {
    return Wrong{fmt::format("{} has a path: an origin is scheme, host and port", in_quotes(text))};
  }
  if (std::any_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; })) {
    return Wrong{fmt::format("{} has upper case, which browsers never send", in_quotes(text))};
  }
  if (authority.ends_with(text.starts_with("https:") ? ":443" : ":80")) {
    return Wrong{
        fmt::format("{} names the scheme's own port, which browsers leave out", in_quotes(text))};
  }
  return std::nullopt;
}

std::optional<Wrong> check_cidr(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = text.substr(0, slash);
  const bool v4 = is_address(address, AF_INET);
  if (!v4 && !is_address(address, AF_INET6)) {
    return Wrong{
        fmt::format("{} is not an address or CIDR block, such as 10.0.0.0/8", in_quotes(text))};
  }
  if (slash == std::string_view::npos) return std::nullopt;
  const unsigned bits_max = v4 ? 32 : 128;
  const auto bits = parse_decimal<unsigned>(text.substr(slash + 1));
  if (!bits || *bits > bits_max) {
    return Wrong{fmt::format("{} has a wrong prefix length: 0 to {}", in_quotes(text), bits_max)};
  }
  if (!link::IpBlock::parse(text)) {
    return Wrong{
        fmt::format("{} has a leading zero in its prefix length, or is a block of IPv6 "
                    "with all of IPv4 in it",
                    in_quotes(text))};
  }
  return std::nullopt;
}

Result<ListenAddress, Wrong> parse_listen_address(std::string_view text) {
  const auto colon = text.rfind(':');
  const bool bracketed = text.starts_with('[');
  if (colon == std::string_view::npos || (bracketed && text.ends_with(']'))) {
    return Wrong{
        fmt::format("{} has no port: write address:port, such as 0.0.0.0:8080", in_quotes(text))};
  }
  auto host = text.substr(0, colon);
  if (host.empty() || host == "*") {
    return Wrong{
        fmt::format("{} has no address: 0.0.0.0 stands for all of IPv4, [::] for all of "
                    "IPv6",
                    in_quotes(text))};
  }
  if (!bracketed && host.find(':') != std::string_view::npos) {
    return Wrong{
        fmt::format("{} is ambiguous: write an IPv6 address in brackets, such as "
                    "[::]:8080",
                    in_quotes(text))};
  }
  if (bracketed) host = host.substr(1, host.ends_with(']') ? host.size() - 2 : 0);
  if (!is_address(host, bracketed ? AF_INET6 : AF_INET)) {
    return Wrong{fmt::format("{} has no valid IP address before the port (names are not looked up)",
                             in_quotes(text))};
  }
  const auto port = parse_decimal<std::uint16_t>(text.substr(colon + 1));
  if (!port) return Wrong{fmt::format("{} has a wrong port: 0 to 65535", in_quotes(text))};
  return ListenAddress{std::string(host), *port};
}

std::string format_listen_address(const ListenAddress& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", address.host, address.port)
            : fmt::format("{}:{}", address.host, address.port);
}

std::optional<Wrong> check_listen_address(std::string_view text) {
  const auto address = parse_listen_address(text);
  if (!address) return address.error();
  return std::nullopt;
}

// Says nothing of the text itself, which may hold a password.
std::optional<Wrong> check_shop_url(std::string_view text) {
  constexpr std::string_view kSqlite = "sqlite:";
  if (text.starts_with(kSqlite)) {
    if (check_path(text.substr(kSqlite.size()))) {
      return Wrong{"must have an absolute path after sqlite:, as in sqlite:/var/lib/x.db"};
    }
    return std::nullopt;
  }
  if (text.starts_with("postgresql://")) return check_server_url(text);
  if (text.starts_with("mysql://")) {
    if (auto wrong = check_server_url(text)) return wrong;
    const auto target = shop::parse_maria_url(text);
    if (!target) return Wrong{target.error().text};
    return std::nullopt;
  }
  return Wrong{"must begin with sqlite:, postgresql:// or mysql://"};
}

std::optional<Wrong> check_secret_file(std::string_view text) {
  if (!text.starts_with(kCredentialPrefix)) return check_path(text);
  const auto name = text.substr(kCredentialPrefix.size());
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
    return is_alnum(c) || c == '_' || c == '-' || c == '.';
  });
  if (plain && !name.empty() && !name.starts_with('.')) return std::nullopt;
  return Wrong{fmt::format("{} does not name a credential: A-Z a-z 0-9 _ - and . after credential:",
                           in_quotes(text))};
}

std::optional<Wrong> check_edge_id(std::string_view text) {
  const bool plain = std::all_of(text.begin(), text.end(),
                                 [](char c) { return is_alnum(c) || c == '_' || c == '-'; });
  if (plain && !text.empty() && text.size() <= kEdgeIdMax) return std::nullopt;
  return Wrong{
      fmt::format("{} is not made of 1 to {} of A-Z a-z 0-9 _ -", in_quotes(text), kEdgeIdMax)};
}

// Becomes part of table names in SQL, hence so strict.
std::optional<Wrong> check_table_prefix(std::string_view text) {
  const bool plain =
      std::all_of(text.begin(), text.end(), [](char c) { return is_alnum(c) || c == '_'; });
  if (plain && text.size() <= kTablePrefixMax) return std::nullopt;
  return Wrong{
      fmt::format("{} is not made of up to {} of A-Z a-z 0-9 _", in_quotes(text), kTablePrefixMax)};
}

}  // namespace tallygate::config
