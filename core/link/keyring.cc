#include "core/link/keyring.h"

#include <algorithm>
#include <utility>

namespace tallygate::link {

Keyring::Keyring(std::vector<Key> keys)
    : keys_(std::move(keys)), decoy_(std::span<const std::uint8_t>{}) {}

// A handful of keys: looking at each is faster than hashing the id.
const Key* Keyring::find(std::string_view id) const noexcept {
  const auto found =
      std::find_if(keys_.begin(), keys_.end(), [&](const Key& key) { return key.id.view() == id; });
  return found == keys_.end() ? nullptr : &*found;
}

const Key* Keyring::signing_key(std::int64_t now) const noexcept {
  const auto found = std::find_if(keys_.begin(), keys_.end(), [&](const Key& key) {
    return key.use == Key::Use::sign && !key.is_retired(now);
  });
  return found == keys_.end() ? nullptr : &*found;
}

}  // namespace tallygate::link
