// The keys that the fuzz targets of links sign with: one of each kind.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/link/keyring.h"
#include "core/link/verify.h"
#include "tests/core/link/naive_link.h"
#include "tests/fuzz/target.h"

namespace tallygate::link {

constexpr std::int64_t kNow = 1'700'000'000;

inline const std::vector<naive::NaiveKey>& naive_keys() {
  static const std::vector<naive::NaiveKey> keys{
      {"k1", "the secret of the first key"},
      {"k2", "the secret of a key of a folder", "/music/"},
      {"k3", "the secret of a partner's key", "/", "p1-"},
      {"k4", "the secret of a key that is retired", "/", "", true},
  };
  return keys;
}

inline const Keyring& keyring() {
  static const Keyring keyring = [] {
    std::vector<Key> keys;
    for (const auto& key : naive_keys()) {
      const std::vector<std::uint8_t> secret(key.secret.begin(), key.secret.end());
      keys.push_back({KeyId(key.id), HmacSha256(secret), Key::Use::sign, key.scope, key.ids,
                      key.is_retired ? std::optional(kNow) : std::nullopt});
    }
    return Keyring(std::move(keys));
  }();
  return keyring;
}

// Of 192.0.2.7.
inline IpAddress client() {
  return IpAddress::v4({192, 0, 2, 7});
}

}  // namespace tallygate::link
