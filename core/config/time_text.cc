#include "core/config/time_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>

#include "core/config/duration.h"

namespace tallygate::config {
namespace {

using namespace std::chrono;

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
}

// The shape of `text`: every digit as 0.
std::string shape(std::string_view text) {
  std::string out(text);
  std::replace_if(out.begin(), out.end(), is_digit, '0');
  return out;
}

// The number at text[at, at + size), which the caller knows to be digits.
int number_at(std::string_view text, std::size_t at, std::size_t size) {
  int number = 0;
  std::from_chars(text.data() + at, text.data() + at + size, number);
  return number;
}

Wrong out_of_range(std::string_view text) {
  return Wrong{fmt::format("{} is not between 1970 and 9999", in_quotes(text))};
}

Result<std::int64_t, Wrong> parse_unix(std::string_view text) {
  if (text.size() == 13) {
    return Wrong{fmt::format("{} looks like milliseconds: in unix seconds it is {}",
                             in_quotes(text), text.substr(0, 10))};
  }
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc{} || seconds > kTimeMax) return out_of_range(text);
  return seconds;
}

// Seconds east of UTC of "Z" or "+hh:mm".
std::optional<std::int64_t> parse_offset(std::string_view text) {
  if (text == "Z" || text == "z") return 0;
  if (text.empty() || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  if (shape(text.substr(1)) != "00:00") return std::nullopt;
  const int hours = number_at(text, 1, 2);
  const int minutes = number_at(text, 4, 2);
  if (hours > 23 || minutes > 59) return std::nullopt;
  const std::int64_t seconds = hours * 3'600 + minutes * 60;
  return text[0] == '-' ? -seconds : seconds;
}

Result<std::int64_t, Wrong> parse_rfc3339(std::string_view text) {
  constexpr std::string_view kShape = "0000-00-00T00:00:00";
  const auto local = text.substr(0, kShape.size());
  auto local_shape = shape(local);
  if (local_shape.size() > 10 && local_shape[10] == 't') local_shape[10] = 'T';
  if (local_shape == kShape.substr(0, 10)) {
    return Wrong{fmt::format("{} has no time of day: write {}T00:00:00Z", in_quotes(text), local)};
  }
  if (local_shape != kShape) {
    return Wrong{fmt::format("{} is not a time: write 2026-12-31T00:00:00Z", in_quotes(text))};
  }
  const auto zone = text.substr(kShape.size());
  if (zone.empty()) {
    return Wrong{fmt::format("{} has no time zone: write {}Z for UTC, or an offset such as +01:00",
                             in_quotes(text), local)};
  }
  if (zone.front() == '.') {
    return Wrong{fmt::format("{} has a fraction: whole seconds only", in_quotes(text))};
  }
  const auto offset = parse_offset(zone);
  if (!offset) {
    return Wrong{
        fmt::format("{} has a wrong time zone: Z, or an offset such as +01:00", in_quotes(text))};
  }
  const year_month_day date{year{number_at(local, 0, 4)},
                            month{static_cast<unsigned>(number_at(local, 5, 2))},
                            day{static_cast<unsigned>(number_at(local, 8, 2))}};
  const int hour = number_at(local, 11, 2);
  const int minute = number_at(local, 14, 2);
  const int second = number_at(local, 17, 2);
  if (!date.ok() || hour > 23 || minute > 59 || second > 59) {
    return Wrong{fmt::format("{} does not exist in the calendar", in_quotes(text))};
  }
  const auto at = sys_seconds{sys_days{date}} + hours{hour} + minutes{minute} + seconds{second};
  const std::int64_t unix_seconds = at.time_since_epoch().count() - *offset;
  if (unix_seconds < 0 || unix_seconds > kTimeMax) return out_of_range(text);
  return unix_seconds;
}

Result<std::int64_t, Wrong> parse_relative(std::string_view text, std::int64_t now) {
  const auto duration = parse_duration(text);
  if (!duration) {
    if (shape(text).starts_with("0")) return duration.error();
    return Wrong{fmt::format("{} is not a time: write 72h, 2026-12-31T00:00:00Z or unix seconds",
                             in_quotes(text))};
  }
  if (*duration % seconds{1} != milliseconds{0}) {
    return Wrong{fmt::format("{} is not a number of whole seconds", in_quotes(text))};
  }
  const std::int64_t at = now + duration_cast<seconds>(*duration).count();
  if (at > kTimeMax) return out_of_range(text);
  return at;
}

}  // namespace

Result<std::int64_t, Wrong> parse_time(std::string_view text, std::int64_t now) {
  if (all_digits(text)) return parse_unix(text);
  if (shape(text).starts_with("0000-")) return parse_rfc3339(text);
  return parse_relative(text, now);
}

}  // namespace tallygate::config
