// The keys that links are signed with.
//
// Immutable once made; callable from any thread. A reload makes a new one and swaps the owner's
// pointer; whoever holds the old one goes on with it. Key material is wiped at the end.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/fixed_string.h"
#include "core/link/hmac_sha256.h"
#include "core/link/signed_bytes.h"
#include "core/link/token.h"

namespace tallygate::link {

using KeyId = FixedString<kKeyIdBytesMax>;

struct Key {
  enum class Use : std::uint8_t { sign, verify };  // sign includes verify

  KeyId id;
  HmacSha256 hmac;
  Use use = Use::sign;
  std::string scope = "/";                // signs only below this folder; ends with '/'
  std::string ids;                        // link ids that it signs begin with this
  std::optional<std::int64_t> not_after;  // unix seconds; first second at which it is refused

  [[nodiscard]] bool is_retired(std::int64_t now) const noexcept {
    return not_after && now >= *not_after;
  }
  // A folder must itself lie within the scope, not only the file that is asked for.
  [[nodiscard]] bool covers(const SignedBytes& bytes) const noexcept {
    return bytes.scope().starts_with(scope);
  }
  // With `ids`, a token without a link id is not this key's to sign.
  [[nodiscard]] bool may_sign_id(std::string_view link_id) const noexcept {
    return link_id.starts_with(ids);
  }
};

class Keyring {
 public:
  // Requires ids without doubles; see parse_keyring for a keyring from text.
  explicit Keyring(std::vector<Key> keys);

  // nullptr: none of that id. A retired key is still found.
  [[nodiscard]] const Key* find(std::string_view id) const noexcept;
  // The first that is for signing and not retired at `now` (unix seconds), or nullptr.
  [[nodiscard]] const Key* signing_key(std::int64_t now) const noexcept;

  // In the file's order.
  [[nodiscard]] const std::vector<Key>& keys() const noexcept { return keys_; }
  // Signs nothing that verifies: an unknown key id costs as much time as a known one.
  [[nodiscard]] const HmacSha256& decoy() const noexcept { return decoy_; }

 private:
  std::vector<Key> keys_;
  HmacSha256 decoy_;
};

}  // namespace tallygate::link
