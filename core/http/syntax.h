// The small grammar that all fields share: white space, tokens, lists, numbers (RFC 9110 §5.6).
//
// ASCII only, whatever the locale. Views in, views out; nothing allocates.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace tallygate::http {

[[nodiscard]] constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
[[nodiscard]] constexpr char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
[[nodiscard]] constexpr bool is_alnum(char c) {
  return is_digit(c) || (to_lower(c) >= 'a' && to_lower(c) <= 'z');
}
[[nodiscard]] constexpr bool is_hex_digit(char c) {
  return is_digit(c) || (to_lower(c) >= 'a' && to_lower(c) <= 'f');
}
// `tchar`, the characters of a token.
[[nodiscard]] constexpr bool is_token_char(char c) {
  return is_alnum(c) ||
         (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}
// What a field value may consist of: no controls, above all no CR, LF or NUL.
[[nodiscard]] constexpr bool is_field_char(char c) {
  return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
}
[[nodiscard]] constexpr bool is_field_value(std::string_view text) {
  return std::ranges::all_of(text, is_field_char);
}

[[nodiscard]] constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  }
  return true;
}

// Without the spaces and tabs at both ends (OWS).
[[nodiscard]] constexpr std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// A decimal number; beyond 64 bits: the largest. nullopt unless `text` is one or more digits.
[[nodiscard]] constexpr std::optional<std::uint64_t> parse_saturating(std::string_view text) {
  constexpr auto kLargest = std::numeric_limits<std::uint64_t>::max();
  if (text.empty()) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    if (!is_digit(c)) return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    value = value > (kLargest - digit) / 10 ? kLargest : value * 10 + digit;
  }
  return value;
}

// Takes the next member off a list separated by commas; nullopt at its end. Empty members are
// skipped (§5.6.1.2); a comma inside a quoted string separates nothing.
[[nodiscard]] std::optional<std::string_view> next_list_member(std::string_view& rest) noexcept;

}  // namespace tallygate::http
