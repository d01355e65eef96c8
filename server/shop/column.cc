#include "server/shop/column.h"

#include <charconv>
#include <limits>
#include <system_error>

namespace tallygate::shop {

std::int64_t column_integer(std::string_view text) noexcept {
  std::int64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc::result_out_of_range) return value;
  using Limits = std::numeric_limits<std::int64_t>;
  return text.starts_with('-') ? Limits::min() : Limits::max();
}

std::int64_t column_state(std::string_view text) noexcept {
  return text.size() == 1 && text.front() >= '0' && text.front() <= '9' ? text.front() - '0' : -1;
}

}  // namespace tallygate::shop
