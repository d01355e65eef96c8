#include "core/content/version.h"

// The state of a streaming hash is declared only then; it has to live on the stack.
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace tallygate::content {
namespace {

void append_hex(EtagText& text, std::uint64_t number, std::size_t width = 1) {
  std::array<char, 16> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, 16).ptr;
  const auto size = static_cast<std::size_t>(end - digits.data());
  for (std::size_t i = size; i < width; ++i) text.append("0");
  text.append({digits.data(), size});
}

}  // namespace

EtagText etag(const FileVersion& version) noexcept {
  EtagText text("\"");
  append_hex(text, version.size);
  text.append("-");
  append_hex(text, static_cast<std::uint64_t>(version.mtime_seconds));
  append_hex(text, version.mtime_nanoseconds, 8);
  text.append("\"");
  return text;
}

std::int64_t last_modified(const FileVersion& version, std::int64_t now) noexcept {
  return std::min(version.mtime_seconds, now);
}

VersionKey version_key(std::string_view path, std::string_view etag) noexcept {
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  XXH3_64bits_update(&state, path.data(), path.size());
  XXH3_64bits_update(&state, "", 1);
  XXH3_64bits_update(&state, etag.data(), etag.size());
  return {XXH3_64bits_digest(&state)};
}

}  // namespace tallygate::content
