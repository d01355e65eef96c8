#include "core/clock/built_on.h"

#include <fmt/format.h>

#include <chrono>

namespace tallygate::clock {
namespace {

constexpr std::chrono::sys_days kBuiltOn = std::chrono::year(TALLYGATE_YEAR) /
                                           std::chrono::month(TALLYGATE_MONTH) /
                                           std::chrono::day(TALLYGATE_DAY);

std::string date_of(std::chrono::year_month_day day) {
  return fmt::format("{}-{:02}-{:02}", static_cast<int>(day.year()),
                     static_cast<unsigned>(day.month()), static_cast<unsigned>(day.day()));
}

}  // namespace

std::int64_t built_on() noexcept {
  return std::chrono::sys_seconds(kBuiltOn).time_since_epoch().count();
}

bool is_before_build(std::int64_t unix_now) noexcept {
  return unix_now < built_on();
}

std::string describe_wrong_clock(std::int64_t unix_now) {
  const std::chrono::sys_seconds now{std::chrono::seconds(unix_now)};
  return fmt::format("the clock says {}, and this version was made on {}: no expiry can be told",
                     date_of(std::chrono::floor<std::chrono::days>(now)), date_of(kBuiltOn));
}

}  // namespace tallygate::clock
