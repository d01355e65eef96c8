#include "core/config/unavailable.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace tallygate::config {
namespace {

// clang-format off
constexpr std::array kUnavailable{
    Unavailable{"admin.listen", "", "use admin.socket"},
    Unavailable{"admin.token_file", "", "use admin.socket, which its permissions protect"},
};
// clang-format on

}  // namespace

std::span<const Unavailable> unavailable() {
  return kUnavailable;
}

const Unavailable* find_unavailable(std::string_view name) {
  const auto found = std::find_if(kUnavailable.begin(), kUnavailable.end(),
                                  [&](const Unavailable& entry) { return entry.name == name; });
  return found == kUnavailable.end() ? nullptr : &*found;
}

std::string refusal(const Unavailable& entry) {
  if (entry.values.empty()) {
    return fmt::format("is not available in this version; {}", entry.instead);
  }
  return fmt::format("{} {} not available in this version; {}", entry.values,
                     entry.values.find(" and ") == std::string_view::npos ? "is" : "are",
                     entry.instead);
}

}  // namespace tallygate::config
