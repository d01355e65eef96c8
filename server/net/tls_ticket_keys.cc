#include "server/net/tls_ticket_keys.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>

namespace tallygate::net {
namespace {

template <std::size_t Size>
bool fill_with_chance(std::array<unsigned char, Size>& bytes) {
  return RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1;
}

bool set_mac_key(EVP_MAC_CTX* mac, std::span<unsigned char> key) {
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.data(), key.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_END};
  return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

}  // namespace

TlsTicketKeys::TlsTicketKeys(const Clock& clock)
    : clock_(clock), method_(EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr)) {}

TlsTicketKeys::~TlsTicketKeys() {
  OPENSSL_cleanse(keys_.data(), sizeof keys_);
}

// Drops what is too old, and makes a key if the newest has had its time.
bool TlsTicketKeys::renew(std::chrono::steady_clock::time_point now) {
  while (count_ != 0 && now - keys_[count_ - 1].made_at >= kRotation * kKept) {
    OPENSSL_cleanse(&keys_[--count_], sizeof(Key));
  }
  if (count_ != 0 && now - keys_[0].made_at < kRotation) return true;
  Key key{};
  key.made_at = now;
  if (!fill_with_chance(key.name) || !fill_with_chance(key.cipher) || !fill_with_chance(key.mac)) {
    return false;
  }
  std::move_backward(keys_.begin(), keys_.end() - 1, keys_.end());
  keys_[0] = key;
  count_ = std::min(count_ + 1, kKept);
  OPENSSL_cleanse(&key, sizeof key);
  return true;
}

int TlsTicketKeys::begin_encrypt(Name name, Iv iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) {
  if (RAND_bytes(iv.data(), EVP_CIPHER_get_iv_length(method_.get())) != 1) return -1;
  const std::lock_guard lock(mutex_);
  if (!renew(clock_.steady_now())) return -1;
  Key& key = keys_[0];
  std::copy(key.name.begin(), key.name.end(), name.begin());
  const bool ready =
      EVP_EncryptInit_ex2(cipher, method_.get(), key.cipher.data(), iv.data(), nullptr) == 1 &&
      set_mac_key(mac, key.mac);
  return ready ? 1 : -1;
}

int TlsTicketKeys::begin_decrypt(Name name, Iv iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) {
  const std::lock_guard lock(mutex_);
  if (!renew(clock_.steady_now())) return -1;
  const auto end = keys_.begin() + static_cast<std::ptrdiff_t>(count_);
  const auto key = std::find_if(keys_.begin(), end, [&](const Key& each) {
    return std::equal(name.begin(), name.end(), each.name.begin());
  });
  if (key == end) return 0;
  const bool ready =
      EVP_DecryptInit_ex2(cipher, method_.get(), key->cipher.data(), iv.data(), nullptr) == 1 &&
      set_mac_key(mac, key->mac);
  if (!ready) return -1;
  return key == keys_.begin() ? 1 : 2;
}

}  // namespace tallygate::net
