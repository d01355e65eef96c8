#include "core/link/text.h"

#include <algorithm>
#include <boost/locale/utf.hpp>

namespace tallygate::link {
namespace {

bool is_valid_utf8(std::string_view text) noexcept {
  namespace utf = boost::locale::utf;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    if (static_cast<unsigned char>(*at) < 0x80) {
      ++at;
      continue;
    }
    const auto code_point = utf::utf_traits<char>::decode(at, end);
    if (code_point == utf::illegal || code_point == utf::incomplete) return false;
  }
  return true;
}

}  // namespace

std::optional<TextFault> find_text_fault(std::string_view text) noexcept {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) return TextFault::control_character;
    if (c == '\\') return TextFault::backslash;
  }
  if (!is_valid_utf8(text)) return TextFault::invalid_utf8;
  return std::nullopt;
}

bool is_id_text(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
}

}  // namespace tallygate::link
