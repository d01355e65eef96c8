// The rules of a signed URL a second time, slow and plain: taken from the design alone, with
// OpenSSL's HMAC(). Nothing of the code under test takes part but IpBlock.
#pragma once
#include <arpa/inet.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/link/ip_block.h"
#include "tests/core/link/signed_target.h"

namespace tallygate::link::naive {

inline std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts{""};
  for (const char c : text) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

inline bool made_of(const std::string& text, const char* characters) {
  return text.find('\0') == text.npos && text.find_first_not_of(characters) == text.npos;
}

inline constexpr const char* kDigits = "0123456789";
inline constexpr const char* kIdCharacters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
inline constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// Code point by code point: neither overlong, cut short, a surrogate nor beyond U+10FFFF.
inline bool is_utf8(const std::string& text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    const std::size_t length = first < 0x80           ? 1
                               : (first >> 5) == 0x06 ? 2
                               : (first >> 4) == 0x0e ? 3
                               : (first >> 3) == 0x1e ? 4
                                                      : 0;
    if (length == 0 || text.size() - i < length) return false;
    std::uint32_t code = length == 1 ? first : first & (0x7fu >> length);
    for (std::size_t j = 1; j < length; ++j) {
      const auto next = static_cast<unsigned char>(text[i + j]);
      if ((next & 0xc0) != 0x80) return false;
      code = code << 6 | (next & 0x3fu);
    }
    constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < kLeast[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
      return false;
    i += length;
  }
  return true;
}

inline bool is_printable(const std::string& text) {
  return is_utf8(text) && std::all_of(text.begin(), text.end(), [](char c) {
           return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f && c != '\\';
         });
}

// -- the path -----------------------------------------------------------------------------------

inline std::optional<std::string> decode_path(const std::string& encoded) {
  std::string path;
  for (std::size_t i = 0; i < encoded.size(); ++i) {
    if (encoded[i] == '#') return std::nullopt;
    if (encoded[i] != '%') {
      path += encoded[i];
      continue;
    }
    const auto hex = encoded.substr(i + 1, 2);
    if (hex.size() != 2 || !made_of(hex, "0123456789abcdefABCDEF")) return std::nullopt;
    const char c = static_cast<char>(std::stoi(hex, nullptr, 16));
    if (c == '/') return std::nullopt;
    path += c;
    i += 2;
  }
  if (!path.starts_with('/') || !is_printable(path)) return std::nullopt;
  for (const auto& segment : split(path.substr(1), '/')) {
    if (segment.empty() || segment == "." || segment == "..") return std::nullopt;
  }
  return path;
}

// -- the token ----------------------------------------------------------------------------------

struct Carried {
  std::string path;  // still encoded
  std::string token;
};

inline std::optional<Carried> find_token(const std::string& target) {
  const auto mark = std::min(target.find('?'), target.size());
  std::string path = target.substr(0, mark);
  std::vector<std::string> tokens;
  if (path.starts_with("/tg=")) {
    const auto end = std::min(path.find('/', 1), path.size());
    tokens.push_back(path.substr(4, end - 4));
    path.erase(0, end);
  }
  for (const auto& parameter : split(target.substr(std::min(mark + 1, target.size())), '&')) {
    if (parameter == "tg") tokens.emplace_back();
    if (parameter.starts_with("tg=")) tokens.push_back(parameter.substr(3));
  }
  if (tokens.size() != 1) return std::nullopt;
  return Carried{path, tokens.front()};
}

inline std::string encode_base64url(const std::string& bytes) {
  std::string out;
  for (std::size_t bit = 0; bit < bytes.size() * 8; bit += 6) {
    unsigned value = 0;
    for (std::size_t b = bit; b < bit + 6; ++b) {
      const unsigned one =
          b / 8 < bytes.size() ? static_cast<unsigned char>(bytes[b / 8]) >> (7 - b % 8) & 1u : 0;
      value = value << 1 | one;
    }
    out += kBase64[value];
  }
  return out;
}

// nullopt unless it is the one spelling of what it says.
inline std::optional<std::string> decode_base64url(const std::string& text) {
  std::string bits;
  for (const char c : text) {
    const auto value = kBase64.find(c);
    if (value == kBase64.npos) return std::nullopt;
    for (int b = 5; b >= 0; --b) bits += (value >> b & 1) != 0 ? '1' : '0';
  }
  std::string bytes;
  for (std::size_t i = 0; i + 8 <= bits.size(); i += 8) {
    bytes += static_cast<char>(std::stoi(bits.substr(i, 8), nullptr, 2));
  }
  return encode_base64url(bytes) == text ? std::optional(bytes) : std::nullopt;
}

// Decimal, without leading zero, up to `most`.
inline std::optional<std::uint64_t> number(const std::string& text, std::uint64_t most) {
  if (text.empty() || !made_of(text, kDigits) || text.size() > 19) return std::nullopt;
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  const auto value = std::stoull(text);
  return value <= most ? std::optional<std::uint64_t>(value) : std::nullopt;
}

struct Token {
  std::string text;                         // up to but without ".s…"
  std::map<char, std::string> fields;       // as they stand there
  std::map<char, std::uint64_t> numbers{};  // of e, b, n, p, r
  std::string file_name{};
  std::optional<IpBlock> client{};
};

inline bool read_field(char letter, const std::string& value, Token& token) {
  const bool is_id = !value.empty() && made_of(value, kIdCharacters);
  const auto read_number = [&](std::uint64_t most) {
    const auto read = number(value, most);
    if (read) token.numbers[letter] = *read;
    return read.has_value();
  };
  switch (letter) {
    case 'k':
      return is_id && value.size() <= 16;
    case 'e':
    case 'b':
      return read_number(INT64_MAX);
    case 'i':
      return is_id && value.size() <= 64;
    case 'n':
    case 'r':
      return read_number(INT32_MAX);
    case 'p':
      return read_number(INT32_MAX) && token.numbers['p'] > 0;
    case 'a': {
      const auto text = decode_base64url(value);
      if (text) token.client = IpBlock::parse(*text);
      return token.client.has_value();
    }
    case 'f': {
      const auto name = decode_base64url(value);
      token.file_name = name.value_or("");
      return name && !name->empty() && name->size() <= 1024 && is_printable(*name) &&
             name->find('/') == name->npos && *name != "." && *name != "..";
    }
    case 'd':
      return is_id;
    case 's':
      return value.size() == 64 && made_of(value, "0123456789abcdef");
    default:
      return false;
  }
}

inline std::optional<Token> parse_token(const std::string& text) {
  const auto parts = split(text, '.');
  if (parts.front() != "1" || parts.size() < 3) return std::nullopt;
  Token token{text.substr(0, text.rfind('.')), {}};
  std::string letters;
  for (std::size_t i = 1; i < parts.size(); ++i) {
    if (parts[i].size() < 2) return std::nullopt;
    letters += parts[i].front();
    token.fields[parts[i].front()] = parts[i].substr(1);
    if (!read_field(parts[i].front(), parts[i].substr(1), token)) return std::nullopt;
  }
  // In this order, each at most once.
  const std::string order = "kebinpafrds";
  std::size_t at = 0;
  for (const char letter : letters) {
    at = order.find(letter, at);
    if (at++ == order.npos) return std::nullopt;
  }
  if (letters.front() != 'k' || letters.back() != 's') return std::nullopt;
  if (token.numbers['n'] > 0 && !token.fields.contains('i')) return std::nullopt;
  return token;
}

// -- both ---------------------------------------------------------------------------------------

// "path:/a/b" or "prefix:/a/"; nullopt: the path has too few segments.
inline std::optional<std::string> scope_of(const std::string& path, std::uint64_t folder) {
  if (folder == 0) return "path:" + path;
  const auto segments = split(path.substr(1), '/');
  if (folder >= segments.size()) return std::nullopt;
  std::string scope = "prefix:/";
  for (std::size_t i = 0; i < folder; ++i) scope += segments[i] + "/";
  return scope;
}

struct NaiveKey {
  std::string id;
  std::string secret;
  std::string scope = "/";
  std::string ids{};
  bool is_retired = false;
};

// "granted", or the refusal as to_string() names it.
inline std::string verdict(const std::string& target, const std::vector<NaiveKey>& keys,
                           const IpAddress& client) {
  if (target.size() > 8192) return "malformed";
  const auto carried = find_token(target);
  if (!carried) return "malformed";
  auto token = parse_token(carried->token);
  const auto path = decode_path(carried->path);
  if (!token || !path) return "malformed";
  const auto scope = scope_of(*path, token->numbers['p']);
  if (!scope) return "malformed";
  for (const auto& key : keys) {
    if (key.id != token->fields['k']) continue;
    if (key.is_retired) return "unknown_key";
    if (signed_token(*scope, token->text, key.secret) != carried->token) return "bad_mac";
    if (!scope->substr(scope->find(':') + 1).starts_with(key.scope)) return "out_of_scope";
    if (!token->fields['i'].starts_with(key.ids)) return "out_of_scope";
    if (token->client && !token->client->contains(client)) return "wrong_client";
    return "granted";
  }
  return "unknown_key";
}

// The target with the MAC that its path and token should have in place of the one it has, or behind
// a token that has none; unchanged if that cannot be said.
inline std::string with_right_mac(const std::string& target, const std::vector<NaiveKey>& keys) {
  const auto carried = find_token(target);
  if (!carried) return target;
  auto text = carried->token;
  const auto last = text.rfind(".s");
  if (last != text.npos && text.size() - last == 66) text.resize(last);
  auto token = parse_token(text + mac_field(""));
  const auto path = decode_path(carried->path);
  if (!token || !path) return target;
  const auto scope = scope_of(*path, token->numbers['p']);
  const auto key = std::find_if(keys.begin(), keys.end(),
                                [&](const NaiveKey& k) { return k.id == token->fields['k']; });
  if (!scope || key == keys.end()) return target;
  const auto at = target.find("tg=" + carried->token);
  if (at == target.npos) return target;
  auto out = target;
  return out.replace(at + 3, carried->token.size(), signed_token(*scope, text, key->secret));
}

}  // namespace tallygate::link::naive
