#include "core/link/link_id.h"

// The state is then a plain object that can stand on the stack.
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include <array>
#include <cstdint>

namespace tallygate::link {
namespace {

void append_hex(LinkId& id, std::uint64_t value) noexcept {
  std::array<char, 16> digits{};
  for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit) {
    *digit = "0123456789abcdef"[value & 15];
    value >>= 4;
  }
  id.append({digits.data(), digits.size()});
}

}  // namespace

LinkId hashed_link_id(const SignedBytes& bytes) noexcept {
  XXH3_state_t state;
  XXH3_INITSTATE(&state);
  XXH3_128bits_reset(&state);
  for (const auto part : bytes.parts) XXH3_128bits_update(&state, part.data(), part.size());
  const auto hash = XXH3_128bits_digest(&state);
  LinkId id("h.");
  append_hex(id, hash.high64);
  append_hex(id, hash.low64);
  return id;
}

LinkId file_link_id(const LinkId& folder_id, std::string_view path) noexcept {
  LinkId id = folder_id;
  id.append(":");
  append_hex(id, XXH3_64bits(path.data(), path.size()));
  return id;
}

std::string_view folder_of(std::string_view link_id) noexcept {
  const auto colon = link_id.rfind(':');  // no id that a shop can sign has one
  return colon == std::string_view::npos ? std::string_view() : link_id.substr(0, colon);
}

}  // namespace tallygate::link
