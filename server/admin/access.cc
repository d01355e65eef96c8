#include "server/admin/access.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace tallygate::admin {
namespace {

// 128 random bits in hex; empty: there are none.
std::string random_text() {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<unsigned char, 16> bytes{};
  std::string text;
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) return text;
  for (const unsigned char byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

// "127.0.0.1:8081" is 127.0.0.1, "[::1]:8081" is [::1]. Any port: `ssh -L` brings others.
std::string_view without_port(std::string_view host) {
  const auto colon = host.rfind(':');
  if (colon == std::string_view::npos || host.ends_with(']')) return host;
  const auto is_digit = [](unsigned char c) { return std::isdigit(c) != 0; };
  const auto port = host.substr(colon + 1);
  return std::all_of(port.begin(), port.end(), is_digit) ? host.substr(0, colon) : host;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

// What nobody outside can let point here: an address, or the name that is always this machine.
bool is_own_name(std::string_view host) {
  const auto name = without_port(host);
  if (equals_ignoring_case(name, "localhost") || name == "[::1]") return true;
  const auto is_part = [](unsigned char c) { return std::isdigit(c) != 0 || c == '.'; };
  return name.starts_with("127.") && std::all_of(name.begin(), name.end(), is_part);
}

bool is_own_origin(std::string_view origin, std::string_view host) {
  const auto scheme_end = origin.find("://");
  if (scheme_end == std::string_view::npos) return false;  // "null"
  const auto scheme = origin.substr(0, scheme_end);
  return (scheme == "http" || scheme == "https") &&
         equals_ignoring_case(origin.substr(scheme_end + 3), host);
}

std::optional<std::string_view> bearer(std::string_view authorization) {
  constexpr std::string_view kScheme = "Bearer ";
  if (authorization.size() < kScheme.size() ||
      !equals_ignoring_case(authorization.substr(0, kScheme.size()), kScheme)) {
    return std::nullopt;
  }
  authorization.remove_prefix(kScheme.size());
  while (authorization.starts_with(' ')) authorization.remove_prefix(1);
  return authorization;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string_view to_string(Refusal refusal) noexcept {
  switch (refusal) {
    case Refusal::wrong_host:
      return "the Host field names somebody else; ask for 127.0.0.1, [::1] or localhost";
    case Refusal::wrong_origin:
      return "the request comes from another site's page";
    case Refusal::wrong_token:
      return "the token is not that of admin.token_file";
    case Refusal::no_login:
      return "send Authorization: Bearer with the token of admin.token_file, or log in at /login";
    default:
      return "X-Tallygate-CSRF is not what /v1/session says";
  }
}

// -- sessions -----------------------------------------------------------------------------------

const Session* Sessions::begin(std::string_view token, Time now) {
  Session session{random_text(), random_text(), std::string(token), now + kLifetime};
  if (session.id.empty() || session.csrf.empty()) return nullptr;
  if (sessions_.size() == kSessionsMax) sessions_.pop_front();
  return &sessions_.emplace_back(std::move(session));
}

const Session* Sessions::find(std::string_view id, std::string_view token, Time now) {
  sessions_.remove_if(
      [&](const Session& session) { return session.ends_at <= now || session.token != token; });
  const auto found = std::find_if(sessions_.begin(), sessions_.end(), [&](const Session& session) {
    return is_same_secret(session.id, id);
  });
  return found == sessions_.end() ? nullptr : &*found;
}

void Sessions::end(std::string_view id) {
  sessions_.remove_if([&](const Session& session) { return is_same_secret(session.id, id); });
}

// -- decisions ----------------------------------------------------------------------------------

std::optional<Refusal> check_sender(const Asking& asking) {
  if (!is_own_name(asking.host)) return Refusal::wrong_host;
  if (asking.changes && !asking.origin.empty() && !is_own_origin(asking.origin, asking.host)) {
    return Refusal::wrong_origin;
  }
  return std::nullopt;
}

Decision decide(const Asking& asking, Sessions& sessions, std::string_view token,
                Sessions::Time now) {
  if (const auto refusal = check_sender(asking)) return {refusal, {}};
  if (const auto presented = bearer(asking.authorization)) {
    if (token.empty() || !is_same_secret(*presented, token)) return {Refusal::wrong_token, {}};
    return {std::nullopt, {By::token, nullptr}};
  }
  const auto id = cookie_value(asking.cookie, kSessionCookie);
  const Session* session = id.empty() ? nullptr : sessions.find(id, token, now);
  if (session == nullptr) return {Refusal::no_login, {}};
  if (asking.changes && !is_same_secret(asking.csrf, session->csrf)) {
    return {Refusal::wrong_csrf, {}};
  }
  return {std::nullopt, {By::cookie, session}};
}

// -- fields -------------------------------------------------------------------------------------

bool is_same_secret(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string_view cookie_value(std::string_view field, std::string_view name) noexcept {
  while (!field.empty()) {
    const auto end = std::min(field.find(';'), field.size());
    std::string_view pair = field.substr(0, end);
    field.remove_prefix(std::min(end + 1, field.size()));
    while (pair.starts_with(' ')) pair.remove_prefix(1);
    if (pair.starts_with(name) && pair.substr(name.size()).starts_with('=')) {
      return pair.substr(name.size() + 1);
    }
  }
  return {};
}

std::string form_value(std::string_view body, std::string_view name) {
  while (!body.empty()) {
    const auto end = std::min(body.find('&'), body.size());
    std::string_view pair = body.substr(0, end);
    body.remove_prefix(std::min(end + 1, body.size()));
    if (!pair.starts_with(name) || !pair.substr(name.size()).starts_with('=')) continue;
    pair.remove_prefix(name.size() + 1);
    std::string value;
    for (std::size_t i = 0; i < pair.size(); ++i) {
      if (pair[i] == '%') {
        const int high = i + 2 < pair.size() ? hex_digit(pair[i + 1]) : -1;
        const int low = high < 0 ? -1 : hex_digit(pair[i + 2]);
        if (low < 0) return {};
        value += static_cast<char>(high * 16 + low);
        i += 2;
      } else {
        value += pair[i] == '+' ? ' ' : pair[i];
      }
    }
    return value;
  }
  return {};
}

}  // namespace tallygate::admin
