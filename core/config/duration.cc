#include "core/config/duration.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstdint>

namespace tallygate::config {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t milliseconds;
};

constexpr std::array<Unit, 5> kUnits{
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};

Wrong too_long(std::string_view text) {
  return Wrong{
      fmt::format("{} is too long: {} at most", in_quotes(text), format_duration(kDurationMax))};
}

}  // namespace

Result<std::chrono::milliseconds, Wrong> parse_duration(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc::invalid_argument) {
    return Wrong{
        fmt::format("{} is not a duration: write a whole number and a unit, such as "
                    "\"10s\" ({})",
                    in_quotes(text), kDurationUnits)};
  }
  const auto unit = text.substr(static_cast<std::size_t>(end - text.data()));
  if (unit.empty()) {
    return Wrong{fmt::format("{} has no unit: \"{}s\" would be seconds ({})", in_quotes(text),
                             text.substr(0, 20), kDurationUnits)};
  }
  for (const auto& known : kUnits) {
    if (unit != known.name) continue;
    const auto most = static_cast<std::uint64_t>(kDurationMax.count() / known.milliseconds);
    if (error == std::errc::result_out_of_range || number > most) return too_long(text);
    return std::chrono::milliseconds{static_cast<std::int64_t>(number) * known.milliseconds};
  }
  if (unit.front() == '.' || unit.front() == ',') {
    return Wrong{fmt::format("{} has a fraction: write a whole number of a smaller unit ({})",
                             in_quotes(text), kDurationUnits)};
  }
  return Wrong{fmt::format("{} has the unit {}, which is not one of {}", in_quotes(text),
                           in_quotes(unit), kDurationUnits)};
}

std::string format_duration(std::chrono::milliseconds duration) {
  const std::int64_t count = duration.count();
  if (count == 0) return "0s";
  for (const auto& unit : kUnits) {
    if (count % unit.milliseconds == 0) {
      return fmt::format("{}{}", count / unit.milliseconds, unit.name);
    }
  }
  return fmt::format("{}ms", count);
}

}  // namespace tallygate::config
