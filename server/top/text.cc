#include "server/top/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <tuple>
#include <utility>

namespace tallygate::top {
namespace {

// A character of UTF-8 and how many bytes it takes; none: it is not proper.
struct Decoded {
  std::optional<char32_t> point;
  std::size_t bytes = 1;
};

Decoded decode(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1};
  const std::size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < bytes) return {};
  char32_t point = first & (0xffu >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    point = (point << 6) | (byte(i) & 0x3fu);
  }
  static constexpr std::array<char32_t, 5> kLeast{0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = point >= 0xd800 && point <= 0xdfff;
  if (point < kLeast[bytes] || point > 0x10ffff || surrogate) return {};
  return {point, bytes};
}

struct Block {
  char32_t first;
  char32_t last;
};

bool is_in(char32_t point, std::span<const Block> blocks) {
  return std::ranges::any_of(
      blocks, [point](const Block& each) { return point >= each.first && point <= each.last; });
}

// Controls, C0 and C1; marks of direction and other signs without a shape; private use.
constexpr std::array kShapeless{
    Block{0, 0x1f},          Block{0x7f, 0x9f},     Block{0xad, 0xad},     Block{0x61c, 0x61c},
    Block{0x180e, 0x180e},   Block{0x200b, 0x200f}, Block{0x2028, 0x202e}, Block{0x2060, 0x206f},
    Block{0xe000, 0xf8ff},   Block{0xfe00, 0xfe0f}, Block{0xfeff, 0xfeff}, Block{0xfff0, 0xfffb},
    Block{0xe0000, 0x10ffff}};
constexpr std::array kCombining{
    Block{0x300, 0x36f},   Block{0x483, 0x489},   Block{0x591, 0x5bd},   Block{0x610, 0x61a},
    Block{0x64b, 0x65f},   Block{0x93c, 0x93c},   Block{0x941, 0x94d},   Block{0xe31, 0xe31},
    Block{0xe34, 0xe3a},   Block{0xe47, 0xe4e},   Block{0x1ab0, 0x1aff}, Block{0x1dc0, 0x1dff},
    Block{0x20d0, 0x20ff}, Block{0x3099, 0x309a}, Block{0xfe20, 0xfe2f}};
// East Asian wide characters and most pictures (UAX #11), coarsely.
constexpr std::array kWide{
    Block{0x1100, 0x115f},   Block{0x2e80, 0x303e},   Block{0x3041, 0x4dbf},
    Block{0x4e00, 0xa4cf},   Block{0xa960, 0xa97c},   Block{0xac00, 0xd7a3},
    Block{0xf900, 0xfaff},   Block{0xfe30, 0xfe6f},   Block{0xff00, 0xff60},
    Block{0xffe0, 0xffe6},   Block{0x1f300, 0x1f64f}, Block{0x1f680, 0x1f6ff},
    Block{0x1f900, 0x1f9ff}, Block{0x20000, 0x3fffd}};

std::size_t width_of(char32_t point) {
  if (is_in(point, kCombining)) return 0;
  return is_in(point, kWide) ? 2 : 1;
}

constexpr std::array<const char*, 9> kBars{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr std::array<const char*, 9> kAsciiBars{" ", "_", ".", ",", "-", "=", "+", "*", "#"};

// So many of a text's columns, and how many they are.
std::pair<std::string_view, std::size_t> head(std::string_view text, std::size_t width) {
  std::size_t bytes = 0;
  std::size_t taken = 0;
  while (bytes < text.size()) {
    const Decoded next = decode(text.substr(bytes));
    const std::size_t more = next.point ? width_of(*next.point) : 1;
    if (taken + more > width) break;
    taken += more;
    bytes += next.bytes;
  }
  return {text.substr(0, bytes), taken};
}

// `used` columns of it are taken.
std::string cut(std::string_view text, std::size_t width, Glyphs glyphs, std::size_t& used) {
  auto [kept, taken] = head(text, width);
  used = taken;
  if (kept.size() == text.size() || width == 0) return std::string(kept);
  std::tie(kept, taken) = head(text, width - 1);
  used = taken + 1;
  return std::string(kept) + (glyphs == Glyphs::unicode ? "…" : "~");
}

}  // namespace

std::string bytes_text(double bytes) {
  static constexpr std::array kUnits{"B", "kB", "MB", "GB", "TB", "PB"};
  std::size_t unit = 0;
  while (bytes >= 999.5 && unit + 1 < kUnits.size()) {
    bytes /= 1000;
    ++unit;
  }
  const int digits = unit == 0 ? 0 : bytes < 9.995 ? 2 : bytes < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", bytes, digits, kUnits[unit]);
}

std::string rate_text(double per_second) {
  if (per_second == 0) return "0 /s";
  if (per_second >= 9.95) {
    return count_text(static_cast<std::uint64_t>(std::llround(per_second))) + " /s";
  }
  return fmt::format("{:.{}f} /s", per_second, per_second < 0.1 ? 2 : 1);
}

std::string seconds_text(double seconds) {
  if (seconds >= 1) return fmt::format("{:.2f} s", seconds);
  const double milliseconds = seconds * 1000;
  return fmt::format("{:.{}f} ms", milliseconds, milliseconds < 1 ? 2 : milliseconds < 100 ? 1 : 0);
}

std::string duration_text(std::int64_t seconds) {
  static constexpr std::array kParts{std::pair{86400, "d"}, std::pair{3600, "h"},
                                     std::pair{60, "min"}, std::pair{1, "s"}};
  std::string out;
  int shown = 0;
  for (const auto& [length, unit] : kParts) {
    const std::int64_t whole = std::max<std::int64_t>(seconds, 0) / length;
    seconds -= whole * length;
    if (whole == 0 && shown > 0) break;
    if (whole == 0) continue;
    out += fmt::format("{}{} {}", shown > 0 ? " " : "", whole, unit);
    if (++shown == 2) break;
  }
  return out.empty() ? "0 s" : out;
}

std::string count_text(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, 1, ',');
  return text;
}

std::string printable(std::string_view text, Glyphs glyphs) {
  std::string out;
  while (!text.empty()) {
    const Decoded next = decode(text);
    const bool shown = next.point && !is_in(*next.point, kShapeless) &&
                       (glyphs == Glyphs::unicode || *next.point < 0x80);
    if (shown) {
      out += text.substr(0, next.bytes);
    } else {
      out += '?';
    }
    text.remove_prefix(next.bytes);
  }
  return out;
}

std::size_t columns(std::string_view text) {
  return head(text, text.size() * 2).second;
}

std::string fit(std::string_view text, std::size_t width, Glyphs glyphs) {
  std::size_t used = 0;
  std::string out = cut(text, width, glyphs, used);
  return out.append(width - used, ' ');
}

std::string fit_right(std::string_view text, std::size_t width, Glyphs glyphs) {
  std::size_t used = 0;
  const std::string out = cut(text, width, glyphs, used);
  return std::string(width - used, ' ') + out;
}

std::string sparkline(const History::Values& values, std::size_t width, double least,
                      Glyphs glyphs) {
  const auto& bars = glyphs == Glyphs::unicode ? kBars : kAsciiBars;
  const std::size_t shown = std::min(width, values.size());
  double most = least;
  for (std::size_t i = values.size() - shown; i < values.size(); ++i) {
    most = std::max(most, values[i].value_or(0));
  }
  std::string out(width - shown, ' ');
  for (std::size_t i = values.size() - shown; i < values.size(); ++i) {
    if (!values[i]) {
      out += ' ';
      continue;
    }
    // Nothing is the lowest bar and no space: it was looked at.
    const double steps = *values[i] / most * static_cast<double>(bars.size() - 2);
    out += bars[1 + static_cast<std::size_t>(std::lround(std::max(0.0, steps)))];
  }
  return out;
}

}  // namespace tallygate::top
