// The text of a token, on a path that it can be about.
//
// It has the shape of one exactly if a second reader (tests/core/link/naive_link.h) thinks so, and
// says the same to both; it is honoured exactly if OpenSSL's HMAC() makes it with that key; and
// with any other character anywhere it is not. What it grants is what it says, in one harmless
// field.
#include <algorithm>
#include <array>
#include <string>

#include "core/http/content_disposition.h"
#include "core/link/base64url.h"
#include "core/link/token.h"
#include "tests/fuzz/link_keys.h"

namespace tallygate::link {
namespace {

const std::string kPath = "/music/Gr%C3%B6%C3%9Fe/a b.flac";
const std::string kDecodedPath =
    "/music/Gr\xc3\xb6\xc3\x9f"
    "e/a b.flac";

void check_shape(const std::string& text) {
  FileNameBuffer name;
  const auto token = parse_token(text, name);
  auto naive = naive::parse_token(text);
  REQUIRE(token.has_value() == naive.has_value());
  if (!token) {
    REQUIRE(!describe(token.error()).empty());
    return;
  }
  auto& numbers = naive->numbers;
  REQUIRE(token->signed_text == naive->text);
  REQUIRE(token->key_id == naive->fields['k']);
  REQUIRE(token->link_id == naive->fields['i']);
  REQUIRE(token->data == naive->fields['d']);
  REQUIRE(token->file_name == naive->file_name);
  REQUIRE(token->expires_at.has_value() == numbers.contains('e'));
  REQUIRE(static_cast<std::uint64_t>(token->expires_at.value_or(0)) == numbers['e']);
  REQUIRE(token->not_before.has_value() == numbers.contains('b'));
  REQUIRE(static_cast<std::uint64_t>(token->not_before.value_or(0)) == numbers['b']);
  REQUIRE(token->limit == numbers['n']);
  REQUIRE(token->folder_segments == numbers['p']);
  REQUIRE(token->rate_kbytes == numbers['r']);
  REQUIRE(token->file_name.empty() || encode_base64url(token->file_name) == naive->fields['f']);
  if (token->client) {
    const auto again = IpBlock::parse(token->client->to_string());
    REQUIRE(again && again->to_string() == token->client->to_string());
  }
}

void check_file_name(std::string_view name) {
  std::array<char, http::kContentDispositionBytesMax> room;
  const auto field = http::write_content_disposition(room, http::Disposition::attachment, name);
  REQUIRE(!field.empty());
  REQUIRE(std::ranges::all_of(field, [](char c) { return c >= 0x20 && c < 0x7f; }));
  REQUIRE(std::ranges::count(field, '"') == 2);
}

void check_times(const Grant& grant) {
  for (const std::int64_t now : {INT64_MIN, grant.expires_at.value_or(kNow) - 1,
                                 grant.expires_at.value_or(kNow), kNow, INT64_MAX}) {
    const auto refusal = link::check_times(grant, {}, {}, now);
    const bool too_early = grant.not_before && now < *grant.not_before;
    const bool in_time = grant.expires_at && !too_early && now < *grant.expires_at;
    REQUIRE(refusal.has_value() != in_time);
    // Within the grace an expired one is honoured, whatever the numbers.
    const auto with_grace = link::check_times(grant, {}, {60, true}, now);
    if (!refusal) REQUIRE(!with_grace);
    if (refusal == Refusal::expired && now - *grant.expires_at < 60) REQUIRE(!with_grace);
  }
}

// Returns whether it was granted.
bool check_target(const std::string& token_text) {
  const auto target = kPath + "?tg=" + token_text;
  Scratch scratch;
  const auto grant = authenticate(target, keyring(), client(), kNow, scratch);
  const auto expected = naive::verdict(target, naive_keys(), client());
  REQUIRE((grant ? "granted" : std::string(to_string(grant.error()))) == expected);
  if (!grant) return false;

  auto token = *naive::parse_token(token_text);
  REQUIRE(grant->path == kDecodedPath);
  REQUIRE(grant->limit == token.numbers['n']);
  REQUIRE(grant->bytes_per_second == token.numbers['r'] * 1000);
  REQUIRE(grant->is_folder_link() == token.fields.contains('p'));
  const auto id = (grant->is_folder_link() ? grant->parent_id : grant->link_id).str();
  if (token.fields.contains('i')) {
    REQUIRE(id == token.fields['i']);
  } else {
    REQUIRE(id.starts_with("h.") && grant->limit == 0);
  }
  REQUIRE(!grant->is_folder_link() || folder_of(grant->link_id.view()) == id);
  check_file_name(grant->file_name);
  check_times(*grant);
  return true;
}

}  // namespace
}  // namespace tallygate::link

TALLYGATE_FUZZ(token) {
  using namespace tallygate::link;
  const std::string text(input.substr(0, input.find('&')));  // where the parameter ends
  check_shape(text);
  check_target(text);
  // The same with the right MAC, and then with one character that is another.
  const auto target = naive::with_right_mac(kPath + "?tg=" + text, naive_keys());
  auto token = target.substr(kPath.size() + 4);
  check_shape(token);
  if (!check_target(token)) return;
  const auto at = std::hash<std::string>{}(token) % token.size();
  for (const char other : {'0', 'a', '.', '%', '\0', static_cast<char>(token[at] ^ 1),
                           static_cast<char>(token[at] ^ 0x20)}) {
    auto altered = token;
    altered[at] = other;
    REQUIRE(altered == token || !check_target(altered));
  }
}
