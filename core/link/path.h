// The path of a request target: from its percent-encoded spelling to the one form that is signed
// and opened.
//
// Pure; callable from any thread; only `encode_path` allocates. A decoded path begins with '/', has
// no empty, "." or ".." segment (so no slash at its end), and is printable UTF-8 without a
// backslash: joined to a root, it names something below that root.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace tallygate::link {

// Longest request target that is looked at; HTTP answers a longer one with 414.
inline constexpr std::size_t kTargetBytesMax = 8192;

// Where a decoded path lives. Not cleared before use.
struct PathBuffer {
  std::array<char, kTargetBytesMax> bytes;
};

enum class PathFault : std::uint8_t {
  not_absolute,
  too_long,
  fragment,              // a raw '#': some servers in front cut there, so its meaning is unclear
  bad_percent_encoding,  // '%' without two hex digits
  encoded_separator,     // %2F or %5C: a slash that would be one only after decoding
  control_character,     // including NUL and DEL
  backslash,
  invalid_utf8,
  empty_segment,  // "//", or a slash at the end
  dot_segment,    // "." or ".."
};

// A clause for people: "the path has an empty segment (…)".
[[nodiscard]] std::string_view describe(PathFault fault) noexcept;

// Decodes the path of an origin-form target (without its query, RFC 9112 §3.2.1). '+' is a plus.
// The result is a view into `buffer`.
[[nodiscard]] Result<std::string_view, PathFault> decode_path(std::string_view encoded,
                                                              PathBuffer& buffer) noexcept;

// What is wrong with a decoded path, if anything.
[[nodiscard]] std::optional<PathFault> find_path_fault(std::string_view path) noexcept;

// Percent-encodes all but '/' and RFC 3986's unreserved characters.
[[nodiscard]] std::string encode_path(std::string_view path);

// Of a decoded path: the number of its segments ("/a/b": 2).
[[nodiscard]] std::size_t count_segments(std::string_view path) noexcept;

// The first `segments` segments of a decoded path as a folder: "/a/b/c", 2 -> "/a/b/".
// Requires 1 <= segments < count_segments(path).
[[nodiscard]] std::string_view leading_folder(std::string_view path, std::size_t segments) noexcept;

[[nodiscard]] std::string_view last_segment(std::string_view path) noexcept;

}  // namespace tallygate::link
