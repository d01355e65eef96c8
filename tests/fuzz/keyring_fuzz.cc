// The text of a keyring.
//
// What is wrong is told with its line and never with a secret: in a second reading of the same text
// a word stands in place of each, which no message may have. A keyring that is read has the bounds
// that links rely on, and written out again is the same; each key verifies what it signs, and that
// alone.
#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "core/link/base64url.h"
#include "core/link/keyring_file.h"
#include "core/link/path.h"
#include "core/link/sign.h"
#include "core/link/verify.h"
#include "tests/core/link/naive_link.h"
#include "tests/fuzz/target.h"

namespace tallygate::link {
namespace {

constexpr std::int64_t kNow = 1'700'000'000;
// Hex, base64 and raw at once, and in no message of ours.
constexpr std::string_view kWord = "5eC7e7";

// Each value behind "hex:", "base64:" or "raw:" becomes kWord, many times.
std::string with_other_secrets(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    std::size_t prefix = 0;
    for (const std::string_view form : {"hex:", "base64:", "raw:"}) {
      if (text.starts_with(form)) prefix = form.size();
    }
    if (prefix == 0) {
      out += text.front();
      text.remove_prefix(1);
      continue;
    }
    out += text.substr(0, prefix);
    text.remove_prefix(prefix);
    const auto value = std::min(text.find_first_of("\"'\n\r\\"), text.size());
    for (std::size_t i = 0; i < value && i < 64; i += kWord.size()) out += kWord;
    text.remove_prefix(value);
  }
  return out;
}

void check_mistakes(const std::vector<KeyringMistake>& mistakes, std::string_view text) {
  REQUIRE(!mistakes.empty());
  const auto lines = static_cast<std::uint32_t>(std::ranges::count(text, '\n')) + 1;
  std::uint32_t last = 0;
  for (const auto& mistake : mistakes) {
    REQUIRE(mistake.line >= last && mistake.line <= lines && !mistake.message.empty());
    last = mistake.line;
    REQUIRE(std::ranges::none_of(
        mistake.message, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }));
  }
}

void check_keeps_secrets(std::string_view text) {
  if (text.find(kWord) != text.npos) return;
  const auto other = with_other_secrets(text);
  const auto keyring = parse_keyring(other);
  if (keyring) return;
  for (const auto& mistake : keyring.error()) {
    REQUIRE(mistake.message.find(kWord) == mistake.message.npos);
  }
}

void check_same(const Keyring& a, const Keyring& b) {
  REQUIRE(a.keys().size() == b.keys().size());
  for (std::size_t i = 0; i < a.keys().size(); ++i) {
    const auto& key = a.keys()[i];
    const auto& other = b.keys()[i];
    REQUIRE(key.id == other.id && key.use == other.use && key.scope == other.scope);
    REQUIRE(key.ids == other.ids && key.not_after == other.not_after);
  }
}

// With other secrets, since those that were read cannot be had.
std::string written(const Keyring& keyring) {
  std::string out;
  const auto quoted = [](std::string_view text) {
    std::string quotes = "\"";
    for (const char c : text) {
      if (c == '"') quotes += '\\';
      quotes += c;
    }
    return quotes + "\"\n";
  };
  for (const auto& key : keyring.keys()) {
    out += "[[key]]\nsecret = \"raw:0123456789abcdef\"\nid = " + quoted(key.id.view());
    out += "scope = " + quoted(key.scope);
    if (key.use == Key::Use::verify) out += "use = \"verify\"\n";
    if (!key.ids.empty()) out += "ids = " + quoted(key.ids);
    if (key.not_after) out += "not_after = " + std::to_string(*key.not_after) + "\n";
  }
  return out;
}

void check_links_of(const Keyring& keyring, const Key& key) {
  LinkSpec spec;
  spec.path = key.scope + "a";
  spec.id = key.ids.empty() ? "7" : key.ids;
  spec.limit = 3;
  spec.expires_at = kNow + 60;
  spec.key_id = key.id.str();
  const auto url = sign_url("", spec, keyring, kNow);
  const bool may_sign = key.use == Key::Use::sign && !key.is_retired(kNow);
  if (!url) {
    // A path as long as the longest target does not fit once its token stands beside it.
    REQUIRE(!may_sign || key.scope.size() > 2000);
    return;
  }
  REQUIRE(may_sign);
  const auto client = IpAddress::v4({192, 0, 2, 7});
  Scratch scratch;
  const auto grant = authenticate(*url, keyring, client, kNow, scratch);
  REQUIRE(grant && grant->path == spec.path && grant->link_id.view() == spec.id);
  REQUIRE(!check_times(*grant, {}, {}, kNow));
  auto altered = *url;
  altered.back() = altered.back() == '0' ? '1' : '0';
  const auto refused = authenticate(altered, keyring, client, kNow, scratch);
  REQUIRE(!refused && refused.error() == Refusal::bad_mac);
}

void check_text(std::string_view text) {
  const auto keyring = parse_keyring(text);
  if (!keyring) {
    check_mistakes(keyring.error(), text);
    return;
  }
  REQUIRE(!keyring->keys().empty());
  std::vector<std::string> ids;
  for (const auto& key : keyring->keys()) {
    ids.push_back(key.id.str());
    REQUIRE(is_key_id(ids.back()) && keyring->find(ids.back()) == &key);
    REQUIRE(key.ids.empty() || is_link_id(key.ids));
    REQUIRE(key.scope.starts_with('/') && key.scope.ends_with('/'));
    REQUIRE(key.scope == "/" || !find_path_fault(key.scope.substr(0, key.scope.size() - 1)));
  }
  std::ranges::sort(ids);
  REQUIRE(std::ranges::adjacent_find(ids) == ids.end());
  const auto again = parse_keyring(written(*keyring));
  if (again) {
    check_same(*keyring, *again);
  } else {
    REQUIRE(text.size() > 1000);  // each entry is longer than it need be
  }
  std::size_t keys = 0;
  for (const auto& key : keyring->keys()) {
    if (++keys <= 8) check_links_of(*keyring, key);
  }
}

// The bytes as a secret: in each form the key that OpenSSL signs the same with.
void check_secret(std::string_view bytes) {
  const std::string secret(bytes.substr(0, 200));
  std::string hex;
  for (const char c : secret) {
    constexpr std::string_view kHex = "0123456789abcdef";
    hex += kHex[static_cast<unsigned char>(c) >> 4];
    hex += kHex[static_cast<unsigned char>(c) & 15];
  }
  for (const auto& value : {"hex:" + hex, "base64:" + encode_base64url(secret)}) {
    const auto keyring = parse_keyring("[[key]]\nid = \"k\"\nsecret = \"" + value + "\"\n");
    REQUIRE(keyring.has_value() == (secret.size() >= 16));
    if (!keyring) continue;
    std::string mac = ".s";
    for (const auto byte : keyring->keys().front().hmac.sign({"a ", "message"})) {
      mac += "0123456789abcdef"[byte >> 4];
      mac += "0123456789abcdef"[byte & 15];
    }
    REQUIRE(mac == mac_field("a message", secret));
  }
}

}  // namespace
}  // namespace tallygate::link

TALLYGATE_FUZZ(keyring) {
  using namespace tallygate::link;
  check_text(input);
  check_keeps_secrets(input);
  check_secret(input);
}
