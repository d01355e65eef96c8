// The Content-Disposition field: under which name a browser saves the file (RFC 6266, RFC 8187).
//
//   attachment; filename="Gr__e XL.flac"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%20XL.flac
//
// The second parameter only where the first cannot say the name.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

namespace tallygate::http {

enum class Disposition : std::uint8_t { attachment, inline_ };

// No file system takes a longer name. Longer ones are cut before their extension.
inline constexpr std::size_t kFileNameBytesMax = 255;
// Enough for any name: each byte once in `filename` and three times, encoded, in `filename*`.
inline constexpr std::size_t kContentDispositionBytesMax = 4 * kFileNameBytesMax + 64;

// Writes the value for the file name `name` (UTF-8, from a link or a path segment; any bytes) into
// `out` and returns it as a view of that; empty if `out` is too small.
//
// Separators of paths, control characters, invalid UTF-8, and the invisible characters that turn
// the direction of text (a name ending in "gpj.exe" could look like one ending in "exe.jpg") become
// "_"; a name that is empty, "." or ".." becomes "download".
[[nodiscard]] std::string_view write_content_disposition(std::span<char> out,
                                                         Disposition disposition,
                                                         std::string_view name) noexcept;

}  // namespace tallygate::http
