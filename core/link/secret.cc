#include "core/link/secret.h"

#include <fmt/format.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/link/base64url.h"

namespace tallygate::link {
namespace {

// A secret's bytes: wiped when they go out of scope.
class SecretBytes {
 public:
  explicit SecretBytes(std::size_t size) : bytes_(size) {}
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }
  [[nodiscard]] std::vector<std::uint8_t>& bytes() { return bytes_; }

 private:
  std::vector<std::uint8_t> bytes_;
};

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool decode_hex(std::string_view text, std::vector<std::uint8_t>& bytes) {
  if (text.size() % 2 != 0) return false;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const int high = hex_digit(text[2 * i]);
    const int low = hex_digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return true;
}

bool decode_base64(std::string text, std::vector<std::uint8_t>& bytes) {
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  const bool decoded = decode_base64url(text, bytes) == bytes.size();
  OPENSSL_cleanse(text.data(), text.size());
  return decoded;
}

}  // namespace

Result<HmacSha256, std::string> key_from_secret(std::string_view text) {
  const auto colon = text.find(':');
  const auto form = text.substr(0, colon);
  if (colon == std::string_view::npos || (form != "hex" && form != "base64" && form != "raw")) {
    return std::string("secret must begin with hex:, base64: or raw:");
  }
  auto value = text.substr(colon + 1);
  if (form == "base64") {
    for (int i = 0; i < 2 && value.ends_with('='); ++i) value.remove_suffix(1);
  }
  SecretBytes secret(form == "hex"      ? value.size() / 2
                     : form == "base64" ? base64url_decoded_size(value.size())
                                        : value.size());
  auto& bytes = secret.bytes();
  if (form == "raw") {
    std::copy(value.begin(), value.end(), bytes.begin());
  } else if (form == "hex" ? !decode_hex(value, bytes)
                           : !decode_base64(std::string(value), bytes)) {
    return fmt::format("secret is not valid {}", form);
  }
  if (bytes.size() < kSecretBytesMin) {
    return fmt::format("secret has {} bytes; at least {} are needed", bytes.size(),
                       kSecretBytesMin);
  }
  return HmacSha256(bytes);
}

}  // namespace tallygate::link
