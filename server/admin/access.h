// Who may ask on the loopback port: whoever has the token, or a browser that logged in with it.
//
// Any page that a browser shows may send requests to this port, and so may a name that an attacker
// lets point to 127.0.0.1. Hence: only our own names in Host; for requests that change something
// only our own pages as Origin, and a secret of the session that another page cannot read.
#pragma once
#include <chrono>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>

namespace tallygate::admin {

inline constexpr std::string_view kSessionCookie = "tallygate_session";
inline constexpr std::string_view kCsrfField = "X-Tallygate-CSRF";

// A browser that logged in. Forgotten when the server ends.
struct Session {
  std::string id;     // the cookie's value
  std::string csrf;   // goes back in kCsrfField with each request that changes something
  std::string token;  // that it was made with: another token ends it
  std::chrono::steady_clock::time_point ends_at;
};

class Sessions {
 public:
  static constexpr std::chrono::hours kLifetime{12};
  static constexpr std::size_t kSessionsMax = 64;  // the oldest goes
  using Time = std::chrono::steady_clock::time_point;

  // Null: there are no random bytes to be had. Good until the next call.
  [[nodiscard]] const Session* begin(std::string_view token, Time now);
  // Null: unknown, over, or made with another token. Good until the next call.
  [[nodiscard]] const Session* find(std::string_view id, std::string_view token, Time now);
  void end(std::string_view id);

 private:
  std::list<Session> sessions_;  // oldest first
};

// What of a request decides. Empty: the field is not there.
struct Asking {
  bool changes = false;  // neither GET nor HEAD
  std::string_view host{};
  std::string_view origin{};
  std::string_view authorization{};
  std::string_view cookie{};
  std::string_view csrf{};
};

enum class Refusal : std::uint8_t {
  wrong_host,    // 421: not a name of ours
  wrong_origin,  // 403: another page's
  wrong_token,   // 401
  no_login,      // 401
  wrong_csrf,    // 403
};
// A sentence for whoever asked.
[[nodiscard]] std::string_view to_string(Refusal refusal) noexcept;

// The checks that need no login: Host, and Origin where something is changed. nullopt: fine.
[[nodiscard]] std::optional<Refusal> check_sender(const Asking& asking);

enum class By : std::uint8_t { socket, token, cookie };
struct Access {
  By by = By::socket;
  const Session* session = nullptr;  // with a cookie; good until Sessions is next asked
};
struct Decision {
  std::optional<Refusal> refusal{};
  Access access{};
};
// check_sender, then the token or the session.
[[nodiscard]] Decision decide(const Asking& asking, Sessions& sessions, std::string_view token,
                              Sessions::Time now);

// In a time that depends on the lengths only.
[[nodiscard]] bool is_same_secret(std::string_view a, std::string_view b) noexcept;

// The value of `name` in a Cookie field (RFC 6265, 4.2.1); empty: not there.
[[nodiscard]] std::string_view cookie_value(std::string_view field, std::string_view name) noexcept;

// The value of `name` in a form (application/x-www-form-urlencoded), decoded; empty: not there, or
// not decodable.
[[nodiscard]] std::string form_value(std::string_view body, std::string_view name);

}  // namespace tallygate::admin
