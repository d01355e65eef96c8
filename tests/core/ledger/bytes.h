// Bytes as people write them down.
#pragma once
#include <fmt/format.h>

#include <string>
#include <string_view>

namespace tallygate::ledger {

inline std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return text;
}

inline bool is_zero(std::string_view bytes) {
  return bytes.find_first_not_of('\0') == std::string_view::npos;
}

}  // namespace tallygate::ledger
