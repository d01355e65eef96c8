// Entity tags: reading them, and the two ways of comparing them (RFC 9110 §8.8.3).
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace tallygate::http {

struct EntityTag {
  std::string_view opaque;  // with its quotes
  bool weak = false;
};

// Takes an entity tag off the front of `text`; nullopt, and `text` unchanged, if there is none.
[[nodiscard]] std::optional<EntityTag> take_entity_tag(std::string_view& text) noexcept;

enum class Comparison : std::uint8_t {
  strong,  // both strong and equal: byte ranges may be joined
  weak,    // equal, whichever is weak: good enough to say "not modified"
};
[[nodiscard]] bool matches(const EntityTag& a, const EntityTag& b, Comparison how) noexcept;

enum class TagListMatch : std::uint8_t {
  none,
  some,
  any,        // "*": every representation there is
  malformed,  // as a whole, wherever the fault is
};
// Looks for `current` in one line of If-Match or If-None-Match. Empty members are skipped.
[[nodiscard]] TagListMatch match_tag_list(std::string_view line, const EntityTag& current,
                                          Comparison how) noexcept;

}  // namespace tallygate::http
