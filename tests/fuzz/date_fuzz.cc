// Dates of HTTP, in all three forms: the first line of an input is the time of reading, which a
// two-digit year depends on.
//
// What is read is one of the texts that the C library's calendar writes for that second (whatever
// the weekday), and everything that it writes is read; what is read is written as something that
// is read as the same.
#include <cstdlib>
#include <ctime>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "core/http/date.h"
#include "tests/fuzz/target.h"

namespace tallygate::http {
namespace {

constexpr std::int64_t kFirst = -62'167'219'200;  // of the year 0
constexpr std::int64_t kLast = 253'402'300'799;   // of the year 9999

std::tm calendar(std::int64_t unix_seconds) {
  const auto time = static_cast<std::time_t>(unix_seconds);
  std::tm out{};
  REQUIRE(gmtime_r(&time, &out) != nullptr);
  return out;
}

std::string written(const char* format, const std::tm& time) {
  char text[80];
  return {text, std::strftime(text, sizeof text, format, &time)};
}

// With a year of four digits, which strftime's has not before the year 1000.
std::string four(const std::tm& time) {
  const auto year = std::to_string(time.tm_year + 1900);
  return std::string(4 - year.size(), '0') + year;
}

// The part behind the weekday, in each form.
std::string imf_fixdate(const std::tm& t) {
  return written(", %d %b ", t) + four(t) + written(" %H:%M:%S GMT", t);
}
std::string rfc850(const std::tm& t) {
  return written(", %d-%b-", t) + four(t).substr(2) + written(" %H:%M:%S GMT", t);
}
std::string asctime(const std::tm& t) {
  return written(" %b %e %H:%M:%S ", t) + four(t);
}
// A day below ten may have its zero.
std::string asctime_with_zero(const std::tm& t) {
  return written(" %b %d %H:%M:%S ", t) + four(t);
}

// The text behind its first letters, if these are a weekday.
std::optional<std::string> behind_weekday(const std::string& text) {
  for (const char* day : {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday",
                          "Saturday", "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}) {
    if (text.starts_with(day)) return text.substr(std::string(day).size());
  }
  return std::nullopt;
}

// A leap second counts as the second behind it, and is written as the second before it plus one.
std::tm leap_second(std::int64_t unix_seconds) {
  std::tm time = calendar(unix_seconds - 1);
  time.tm_sec = 60;
  return time;
}

void check_text(std::string_view text, std::int64_t now) {
  const auto at = parse_date(text, now);
  if (!at) return;
  REQUIRE(*at >= kFirst && *at <= kLast + 1);
  const auto rest = behind_weekday(std::string(text));
  REQUIRE(rest);
  bool found = false;
  std::vector<std::tm> spellings{calendar(*at)};
  if (*at % 60 == 0) spellings.push_back(leap_second(*at));
  for (const auto& time : spellings) {
    if (time.tm_year + 1900 > 9999) continue;
    found = found || *rest == imf_fixdate(time) || *rest == rfc850(time) ||
            *rest == asctime(time) || *rest == asctime_with_zero(time);
  }
  REQUIRE(found);
  if (*at > kLast) return;  // a leap second at the end of all years
  REQUIRE(parse_date(format_date(*at).view(), now) == *at);
}

void check_time(std::int64_t unix_seconds, std::int64_t now) {
  const auto at = std::min(std::max(unix_seconds, kFirst), kLast);
  const auto time = calendar(at);
  const auto text = format_date(unix_seconds).str();
  REQUIRE(text == written("%a", time) + imf_fixdate(time));
  REQUIRE(parse_date(text, now) == at);
  REQUIRE(parse_date(written("%a", time) + asctime(time), now) == at);
  // Of a year with two digits, the century is the last that is at most 50 years ahead.
  const auto short_year = parse_date(written("%A", time) + rfc850(time), now);
  if (short_year) {
    const auto today = calendar(std::min(std::max(now, kFirst), kLast)).tm_year;
    const auto year = calendar(*short_year).tm_year;
    REQUIRE(((year - time.tm_year) % 100) == 0);
    REQUIRE(year <= today + 50 || year + 1900 < 100);
    REQUIRE(year >= today - 50 || year + 1900 > 9899);
  } else {
    REQUIRE(time.tm_mon == 1 && time.tm_mday == 29);  // not every such year has that day
  }
}

}  // namespace
}  // namespace tallygate::http

TALLYGATE_FUZZ(date) {
  using namespace tallygate;
  const auto first = std::string(fuzz::take_line(input));
  const auto now = static_cast<std::int64_t>(std::strtoll(first.c_str(), nullptr, 10));
  http::check_text(input, now);
  // The same digits as a point in time, and the input of the text as another.
  http::check_time(now, now);
  std::uint64_t packed = 0;
  for (const char c : input.substr(0, 8)) packed = packed << 8 | static_cast<unsigned char>(c);
  http::check_time(static_cast<std::int64_t>(packed), now);
  http::check_time(static_cast<std::int64_t>(packed % 400'000'000'000) - 100'000'000'000, now);
}
