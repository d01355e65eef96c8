#include "core/link/mask.h"

#include <algorithm>
#include <cstddef>

namespace tallygate::link {
namespace {

// One character of the target, as spelled and as meant.
struct Unit {
  char meaning;
  std::size_t size;  // of the spelling
};

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Reads through any depth of encoding: %74, %2574 and %252574 all mean 't'.
Unit read_unit(std::string_view text) noexcept {
  if (text.front() != '%') return {text.front(), 1};
  std::size_t digits = 1;
  while (text.substr(digits, 2) == "25") digits += 2;
  const auto read = [&](std::size_t at) -> int {
    if (text.size() < at + 2) return -1;
    const int high = hex_value(text[at]);
    const int low = hex_value(text[at + 1]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
  };
  if (const int byte = read(digits); byte >= 0) return {static_cast<char>(byte), digits + 2};
  return {'%', digits};  // "%" or "%2525" and no code behind it
}

constexpr char to_lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

constexpr bool is_alphanumeric(char c) noexcept {
  return (to_lower(c) >= 'a' && to_lower(c) <= 'z') || (c >= '0' && c <= '9');
}

// The size of the spelling of "tg=" at the beginning of `text`; 0: something else is there.
std::size_t carrier_size(std::string_view text) noexcept {
  std::size_t size = 0;
  for (const char wanted : {'t', 'g', '='}) {
    if (size == text.size()) return 0;
    const auto unit = read_unit(text.substr(size));
    if (to_lower(unit.meaning) != wanted) return 0;
    size += unit.size;
  }
  return size;
}

// Most of what is masked (a client's name, a range) has nothing of a token in it.
bool may_have_token(std::string_view text) noexcept {
  return text.find_first_of("=%") != text.npos || text.find(".s") != text.npos ||
         text.find(".S") != text.npos;
}

// The end of a token, "s" and the MAC: a URL that was mangled on its way may have lost its "tg=".
bool is_mac(std::string_view text) noexcept {
  constexpr std::size_t kDigits = 64;
  const auto digits = text.substr(std::min<std::size_t>(1, text.size()), kDigits);
  return to_lower(text.front()) == 's' && digits.size() == kDigits &&
         std::all_of(digits.begin(), digits.end(), [](char c) { return hex_value(c) >= 0; });
}

}  // namespace

std::string mask_tokens(std::string_view target) {
  if (!may_have_token(target)) return std::string(target);
  std::string masked;
  masked.reserve(target.size() + 3);
  const auto query = std::min(target.find('?'), target.size());
  char before = '/';  // "tg=" counts where a name can begin: not in "xtg="
  for (std::size_t i = 0; i < target.size();) {
    const auto carrier = is_alphanumeric(before) ? 0 : carrier_size(target.substr(i));
    if (carrier > 0) {
      const auto value = i + carrier;
      const auto end = i < query ? target.find_first_of("/?", value) : target.find('&', value);
      masked.append(target.substr(i, carrier)).append("***");
      i = std::min(end, target.size());
      before = '/';
      continue;
    }
    if (before == '.' && is_mac(target.substr(i))) {
      masked.append("***");
      i = std::min(target.find_first_not_of("0123456789abcdefABCDEF", i + 1), target.size());
      before = '/';
      continue;
    }
    const auto unit = read_unit(target.substr(i));
    masked.append(target.substr(i, unit.size));
    before = unit.meaning;
    i += unit.size;
  }
  return masked;
}

}  // namespace tallygate::link
