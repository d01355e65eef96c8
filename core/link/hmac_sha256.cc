#define OPENSSL_SUPPRESS_DEPRECATED  // see the header
#include "core/link/hmac_sha256.h"

#include <openssl/crypto.h>

#include <algorithm>

namespace tallygate::link {
namespace {

SHA256_CTX state_after_pad(std::array<std::uint8_t, SHA256_CBLOCK> block,
                           std::uint8_t pad) noexcept {
  for (auto& byte : block) byte ^= pad;
  SHA256_CTX state;
  SHA256_Init(&state);
  SHA256_Update(&state, block.data(), block.size());
  OPENSSL_cleanse(block.data(), block.size());
  return state;
}

}  // namespace

HmacSha256::HmacSha256(std::span<const std::uint8_t> key) noexcept {
  std::array<std::uint8_t, SHA256_CBLOCK> block{};
  if (key.size() > block.size()) {
    SHA256_CTX state;
    SHA256_Init(&state);
    SHA256_Update(&state, key.data(), key.size());
    SHA256_Final(block.data(), &state);
    OPENSSL_cleanse(&state, sizeof(state));
  } else {
    std::copy(key.begin(), key.end(), block.begin());
  }
  inner_ = state_after_pad(block, 0x36);
  outer_ = state_after_pad(block, 0x5c);
  OPENSSL_cleanse(block.data(), block.size());
}

HmacSha256::~HmacSha256() {
  OPENSSL_cleanse(&inner_, sizeof(inner_));
  OPENSSL_cleanse(&outer_, sizeof(outer_));
}

Mac HmacSha256::sign(std::span<const std::string_view> parts) const noexcept {
  Mac digest;
  SHA256_CTX state = inner_;
  for (const auto part : parts) SHA256_Update(&state, part.data(), part.size());
  SHA256_Final(digest.data(), &state);
  state = outer_;
  SHA256_Update(&state, digest.data(), digest.size());
  SHA256_Final(digest.data(), &state);
  return digest;
}

}  // namespace tallygate::link
