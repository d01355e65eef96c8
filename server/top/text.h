// Figures and names as text of so many columns.
//
// Names come from outside: control characters, and those that turn the direction of writing, would
// do things to a terminal, so they are shown as a question mark.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/top/rates.h"

namespace tallygate::top {

[[nodiscard]] std::string bytes_text(double bytes);             // "3.20 TB"
[[nodiscard]] std::string rate_text(double per_second);         // "68 /s"
[[nodiscard]] std::string seconds_text(double seconds);         // "4.9 ms"
[[nodiscard]] std::string duration_text(std::int64_t seconds);  // "1 d 2 h": the two largest parts
[[nodiscard]] std::string count_text(std::uint64_t number);     // "1,236,061"

// What the terminal can show.
enum class Glyphs : std::uint8_t { unicode, ascii };

// As it may be printed; not proper UTF-8, or nothing that can be shown: "?".
[[nodiscard]] std::string printable(std::string_view text, Glyphs glyphs);
// How many columns a printable text takes.
[[nodiscard]] std::size_t columns(std::string_view text);
// Exactly so many columns: filled up with spaces, or cut with a mark at the end. The second fills
// up on the left.
[[nodiscard]] std::string fit(std::string_view text, std::size_t width, Glyphs glyphs);
[[nodiscard]] std::string fit_right(std::string_view text, std::size_t width, Glyphs glyphs);

// The last `width` values as bars between 0 and the largest of them, or `least` if that is more.
// The newest is on the right; where there is none, a space.
[[nodiscard]] std::string sparkline(const History::Values& values, std::size_t width, double least,
                                    Glyphs glyphs);

}  // namespace tallygate::top
