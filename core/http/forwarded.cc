#include "core/http/forwarded.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

namespace tallygate::http {
namespace {

using link::IpAddress;
using MaybeAddress = std::optional<IpAddress>;

// -- a node: an address, perhaps with a port -----------------------------------------------------

// RFC 7239 §6.2: digits, or an obfuscated one. Nothing depends on it.
bool is_port(std::string_view text) {
  if (text.starts_with('_')) {
    return text.size() > 1 && std::ranges::all_of(text.substr(1), [](char c) {
             return is_alnum(c) || c == '.' || c == '_' || c == '-';
           });
  }
  return !text.empty() && text.size() <= 5 && std::ranges::all_of(text, is_digit);
}

MaybeAddress parse_node(std::string_view node) {
  std::string_view address = node;
  std::string_view behind;
  if (node.starts_with('[')) {
    const auto close = node.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    address = node.substr(1, close - 1);
    behind = node.substr(close + 1);
    if (address.find(':') == std::string_view::npos) return std::nullopt;
  } else if (const auto colon = node.find(':');
             colon != std::string_view::npos && colon == node.rfind(':')) {
    address = node.substr(0, colon);
    behind = node.substr(colon);
  }
  if (!behind.empty() && (behind.front() != ':' || !is_port(behind.substr(1)))) {
    return std::nullopt;
  }
  return IpAddress::parse(address);
}

// -- an element of Forwarded (RFC 7239 §4) -------------------------------------------------------

// The longest node that can be one of ours: "[", IPv6, "]:" and a port; more for an obfuscated one.
using NodeText = std::array<char, 96>;

// A token or quoted string that `text` begins with, unescaped into `into` and taken off. nullopt:
// neither, or too long.
std::optional<std::string_view> take_value(std::string_view& text, NodeText& into) {
  if (!text.starts_with('"')) {
    const auto end = std::ranges::find_if_not(text, is_token_char);
    const std::string_view token = text.substr(0, static_cast<std::size_t>(end - text.begin()));
    text.remove_prefix(token.size());
    return token.empty() ? std::nullopt : std::optional(token);
  }
  std::size_t size = 0;
  bool fits = true;
  for (std::size_t i = 1; i < text.size(); ++i) {
    char c = text[i];
    if (c == '"') {
      text.remove_prefix(i + 1);
      return fits ? std::optional(std::string_view(into.data(), size)) : std::string_view();
    }
    if (c == '\\' && ++i == text.size()) break;
    c = text[i];
    if (size < into.size()) {
      into[size++] = c;
    } else {
      fits = false;
    }
  }
  return std::nullopt;
}

// The address of its one `for`. Other parameters are read over, and must be well formed.
MaybeAddress parse_element(std::string_view element) {
  MaybeAddress address;
  bool seen = false;
  for (;;) {
    element = trim(element);
    if (!element.empty() && element.front() != ';') {
      const auto equals = element.find('=');
      if (equals == std::string_view::npos) return std::nullopt;
      const auto name = element.substr(0, equals);
      if (name.empty() || !std::ranges::all_of(name, is_token_char)) return std::nullopt;
      element.remove_prefix(equals + 1);
      NodeText text;
      const auto value = take_value(element, text);
      if (!value) return std::nullopt;
      if (equal_ignoring_case(name, "for")) {
        if (seen) return std::nullopt;
        seen = true;
        address = parse_node(*value);
      }
      element = trim(element);
    }
    if (element.empty()) return address;
    if (element.front() != ';') return std::nullopt;
    element.remove_prefix(1);
  }
}

// Where the last member of a list begins. Commas in quoted strings separate nothing (Forwarded
// alone has such); read from the end, so that what a client has left open on the left does not
// matter to what a proxy wrote behind it.
std::size_t last_member(std::string_view list) {
  bool quoted = false;
  for (std::size_t i = list.size(); i > 0; --i) {
    const char c = list[i - 1];
    if (c == ',' && !quoted) return i;
    if (c != '"') continue;
    if (!quoted) {
      quoted = true;
      continue;
    }
    std::size_t backslashes = 0;
    while (backslashes + 1 < i && list[i - 2 - backslashes] == '\\') ++backslashes;
    quoted = backslashes % 2 == 1;
  }
  return 0;
}

}  // namespace

bool TrustedProxies::include(const IpAddress& address) const noexcept {
  return std::ranges::any_of(blocks,
                             [&](const link::IpBlock& block) { return block.contains(address); });
}

IpAddress find_client(const RequestHead& head, const IpAddress& peer,
                      const TrustedProxies& proxies) noexcept {
  if (!proxies.include(peer)) return peer;
  IpAddress client = peer;
  std::size_t seen = 0;
  const bool is_forwarded = proxies.field == ForwardedField::forwarded;
  head.each_backwards(is_forwarded ? "Forwarded" : "X-Forwarded-For", [&](std::string_view line) {
    for (;;) {
      const auto at = last_member(line);
      const auto member = trim(line.substr(at));
      const auto address = is_forwarded ? parse_element(member) : parse_node(member);
      if (!address) return false;
      client = *address;
      if (++seen == kProxiesMax || !proxies.include(client)) return false;
      if (at == 0) return true;  // the line before this one
      line = line.substr(0, at - 1);
    }
  });
  return client;
}

}  // namespace tallygate::http
