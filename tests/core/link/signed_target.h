// Signs links for tests as a shop does: by OpenSSL's HMAC() over text that is joined here, so that
// nothing of the code under test takes part.
#pragma once
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <string>

#include "core/link/keyring_file.h"
#include "core/link/verify.h"

namespace tallygate::link {

// The key of the worked examples, id "shop2".
inline const std::string kSecret = "correct horse battery staple 32b";

inline std::string mac_field(const std::string& message, const std::string& secret = kSecret) {
  std::array<unsigned char, 32> mac{};
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(message.data()), message.size(), mac.data(), nullptr);
  std::string field = ".s";
  for (const auto byte : mac) {
    field += "0123456789abcdef"[byte >> 4];
    field += "0123456789abcdef"[byte & 15];
  }
  return field;
}

// A token for `scope`: "path:/a/b" or "prefix:/a/".
inline std::string signed_token(const std::string& scope, const std::string& text,
                                const std::string& secret = kSecret) {
  return text + mac_field("tallygate-link-1\n" + scope + "\n" + text, secret);
}

// The target for a path that needs no encoding.
inline std::string signed_target(const std::string& path, const std::string& text,
                                 const std::string& secret = kSecret) {
  return path + "?tg=" + signed_token("path:" + path, text, secret);
}

inline Keyring keyring_of(const std::string& toml) {
  auto keys = parse_keyring(toml);
  TALLYGATE_ASSERT(keys.has_value());
  return std::move(*keys);
}

inline Keyring shop_keyring(const std::string& more = "") {
  return keyring_of("[[key]]\nid = \"shop2\"\nsecret = \"raw:" + kSecret + "\"\n" + more);
}

// A verdict with the memory that its grant points into.
struct Attempt {
  Scratch scratch;
  std::string target;
  Result<Grant, Refusal> result;

  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;
  Attempt(std::string target_text, const Keyring& keys, const std::string& client = "192.0.2.7",
          std::int64_t now = 1'700'000'000)
      : target(std::move(target_text)),
        result(authenticate(target, keys, IpAddress::parse(client).value(), now, scratch)) {}

  [[nodiscard]] bool granted() const { return result.has_value(); }
  [[nodiscard]] std::string answer() const {
    return std::string(granted() ? "granted" : to_string(result.error()));
  }
};

}  // namespace tallygate::link
