#include "core/config/wrong.h"

#include <fmt/format.h>

#include <iterator>

namespace tallygate::config {

std::string on_one_line(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kShownMax = 80;
  auto shown = text.substr(0, kShownMax);
  // Not through the middle of a UTF-8 sequence.
  if (shown.size() < text.size()) {
    auto cut = shown.size();
    while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;
    shown = shown.substr(0, cut);
  }
  return fmt::format("\"{}{}\"", on_one_line(shown), shown.size() < text.size() ? "…" : "");
}

}  // namespace tallygate::config
