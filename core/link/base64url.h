// Base64 with the alphabet of URLs, without padding (RFC 4648 §5).
//
// Written here because OpenSSL's decoder takes only the other alphabet, wants padding, skips white
// space and lets spare bits pass, so that one value would have several spellings.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tallygate::link {

// Bytes that `text_size` characters decode to.
[[nodiscard]] constexpr std::size_t base64url_decoded_size(std::size_t text_size) noexcept {
  return text_size / 4 * 3 + text_size % 4 * 3 / 4;
}

// Decodes into `out` and returns the number of bytes. nullopt: a character outside the alphabet, an
// impossible length, spare bits that are not zero, or `out` too small. Each value has one spelling.
[[nodiscard]] std::optional<std::size_t> decode_base64url(std::string_view text,
                                                          std::span<std::uint8_t> out) noexcept;

[[nodiscard]] std::string encode_base64url(std::string_view bytes);

}  // namespace tallygate::link
