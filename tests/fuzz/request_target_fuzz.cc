// A request target, as a checked head has it: any bytes.
//
// Its token is found, its path decoded and the whole refused or honoured as by a second reader
// (tests/core/link/naive_link.h). A path that decodes stays below any root, and encodes to one that
// decodes to the same. `tallygate verify` says what the server answers. In a log no MAC is left.
#include <algorithm>
#include <string>
#include <vector>

#include "core/link/explain.h"
#include "core/link/mask.h"
#include "core/link/path.h"
#include "tests/fuzz/link_keys.h"

namespace tallygate::link {
namespace {

void check_path(const std::string& encoded) {
  PathBuffer buffer;
  const auto path = decode_path(encoded, buffer);
  const auto expected = naive::decode_path(encoded);
  if (encoded.size() <= buffer.bytes.size()) REQUIRE(path.has_value() == expected.has_value());
  if (!path) {
    REQUIRE(!describe(path.error()).empty());
    return;
  }
  REQUIRE(*path == *expected);
  REQUIRE(!find_path_fault(*path));

  const auto again = encode_path(*path);
  PathBuffer second;
  if (again.size() <= second.bytes.size()) {
    const auto decoded = decode_path(again, second);
    REQUIRE(decoded && *decoded == *path);
  }
  const auto segments = naive::split(expected->substr(1), '/');
  REQUIRE(count_segments(*path) == segments.size());
  REQUIRE(last_segment(*path) == segments.back());
  std::string folder = "/";
  for (std::size_t i = 1; i < segments.size(); ++i) {
    folder += segments[i - 1] + "/";
    REQUIRE(leading_folder(*path, i) == folder);
  }
}

void check_token(const std::string& target) {
  const auto found = find_token(target);
  const auto expected = naive::find_token(target);
  REQUIRE(found.has_value() == expected.has_value());
  if (!found) {
    REQUIRE(!describe(found.error()).empty());
    return;
  }
  REQUIRE(found->path == expected->path && found->token == expected->token);
  check_path(expected->path);
}

// True: it was granted.
bool check_verdict(const std::string& target) {
  Scratch scratch;
  const auto grant = authenticate(target, keyring(), client(), kNow, scratch);
  const std::string answer(grant ? "granted" : to_string(grant.error()));
  REQUIRE(answer == naive::verdict(target, naive_keys(), client()));

  const auto explained = explain(target, keyring(), client(), kNow);
  if (!target.starts_with('/') || target.find('#') != target.npos) return grant.has_value();
  if (!grant) {
    REQUIRE(explained.refusal == grant.error());
  } else if (grant->expires_at) {
    REQUIRE(explained.refusal == check_times(*grant, {}, {}, kNow));
  }
  return grant.has_value();
}

void check_mask(const std::string& target) {
  const auto masked = mask_tokens(target);
  REQUIRE(mask_tokens(masked) == masked);
  REQUIRE(masked.size() <= target.size() + 3 * target.size() / 3 + 3);
  const auto found = naive::find_token(target);
  if (!found || found->token.size() < 68) return;
  const auto mac = found->token.substr(found->token.size() - 64);
  if (!naive::made_of(mac, "0123456789abcdef")) return;
  // In the query of a target that has no other such text.
  if (target.find(mac) == target.rfind(mac)) REQUIRE(masked.find(mac) == masked.npos);
}

}  // namespace
}  // namespace tallygate::link

TALLYGATE_FUZZ(request_target) {
  using namespace tallygate::link;
  const std::string target(input);
  check_token(target);
  check_path(target);
  check_mask(target);
  check_verdict(target);
  const auto genuine = naive::with_right_mac(target, naive_keys());
  check_mask(genuine);
  check_verdict(genuine);
}
