#include "core/http/date.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <span>
#include <tuple>

#include "core/http/syntax.h"

namespace tallygate::http {
namespace {

using std::chrono::days;
using std::chrono::seconds;
using std::chrono::sys_days;
using std::chrono::sys_seconds;
using std::chrono::year_month_day;

constexpr std::array<std::string_view, 7> kWeekdays = {"Sun", "Mon", "Tue", "Wed",
                                                       "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 7> kLongWeekdays = {
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

constexpr std::int64_t kFirstSecond = -62'167'219'200;  // 0000-01-01T00:00:00Z
constexpr std::int64_t kLastSecond = 253'402'300'799;   // 9999-12-31T23:59:59Z

sys_seconds clamp_to_calendar(std::int64_t unix_seconds) {
  return sys_seconds(seconds(std::clamp(unix_seconds, kFirstSecond, kLastSecond)));
}

// What a date says, before anyone asked whether there is such a day.
struct Civil {
  int year = 0;
  int month = 0;
  int day = 0;
  int second_of_day = 0;
};

Civil to_civil(sys_seconds time) {
  const auto midnight = std::chrono::floor<days>(time);
  const year_month_day date(midnight);
  return {int(date.year()), static_cast<int>(unsigned(date.month())),
          static_cast<int>(unsigned(date.day())), static_cast<int>((time - midnight).count())};
}

std::optional<std::int64_t> to_unix(const Civil& civil) {
  const year_month_day date(std::chrono::year(civil.year),
                            std::chrono::month(static_cast<unsigned>(civil.month)),
                            std::chrono::day(static_cast<unsigned>(civil.day)));
  if (!date.ok()) return std::nullopt;
  return (sys_days(date).time_since_epoch() + seconds(civil.second_of_day)) / seconds(1);
}

// Reads a date from left to right. Once something is not as it should be, `ok` stays false.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}

  void literal(std::string_view expected) {
    if (!rest_.starts_with(expected)) return fail();
    rest_.remove_prefix(expected.size());
  }
  int number(std::size_t digits) {
    const auto value = parse_saturating(rest_.substr(0, digits));
    if (!value || rest_.size() < digits) return fail(), 0;
    rest_.remove_prefix(digits);
    return static_cast<int>(*value);
  }
  // The index of the name that comes next. Names are compared exactly, as §5.6.7 demands.
  int name(std::span<const std::string_view> names) {
    const auto found =
        std::ranges::find_if(names, [&](std::string_view n) { return rest_.starts_with(n); });
    if (found == names.end()) return fail(), 0;
    rest_.remove_prefix(found->size());
    return static_cast<int>(found - names.begin());
  }
  int month() { return name(kMonths) + 1; }
  int time_of_day() {
    const int hour = number(2);
    literal(":");
    const int minute = number(2);
    literal(":");
    const int second = number(2);  // 60 is a leap second
    if (hour > 23 || minute > 59 || second > 60) fail();
    return (hour * 60 + minute) * 60 + second;
  }
  [[nodiscard]] bool next_is(char c) const { return rest_.starts_with(c); }
  [[nodiscard]] bool finished() const { return ok_ && rest_.empty(); }

 private:
  void fail() { ok_ = false; }

  std::string_view rest_;
  bool ok_ = true;
};

// Sun, 06 Nov 1994 08:49:37 GMT
Civil read_imf_fixdate(Cursor& in) {
  Civil civil;
  in.name(kWeekdays);
  in.literal(", ");
  civil.day = in.number(2);
  in.literal(" ");
  civil.month = in.month();
  in.literal(" ");
  civil.year = in.number(4);
  in.literal(" ");
  civil.second_of_day = in.time_of_day();
  in.literal(" GMT");
  return civil;
}

int full_year(const Civil& civil, std::int64_t now) {
  const Civil today = to_civil(clamp_to_calendar(now));
  int year = today.year / 100 * 100 + 100 + civil.year;
  const auto is_too_far_ahead = [&] {
    return std::tuple(year - 50, civil.month, civil.day, civil.second_of_day) >
           std::tuple(today.year, today.month, today.day, today.second_of_day);
  };
  // At both ends of the calendar, the nearest that four digits can say.
  while (year > 9999 || (year >= 100 && is_too_far_ahead())) year -= 100;
  return year;
}

// Sunday, 06-Nov-94 08:49:37 GMT
Civil read_rfc850(Cursor& in, std::int64_t now) {
  Civil civil;
  in.name(kLongWeekdays);
  in.literal(", ");
  civil.day = in.number(2);
  in.literal("-");
  civil.month = in.month();
  in.literal("-");
  civil.year = in.number(2);
  in.literal(" ");
  civil.second_of_day = in.time_of_day();
  in.literal(" GMT");
  civil.year = full_year(civil, now);
  return civil;
}

// Sun Nov  6 08:49:37 1994
Civil read_asctime(Cursor& in) {
  Civil civil;
  in.name(kWeekdays);
  in.literal(" ");
  civil.month = in.month();
  in.literal(" ");
  if (in.next_is(' ')) {
    in.literal(" ");
    civil.day = in.number(1);
  } else {
    civil.day = in.number(2);
  }
  in.literal(" ");
  civil.second_of_day = in.time_of_day();
  in.literal(" ");
  civil.year = in.number(4);
  return civil;
}

}  // namespace

DateText format_date(std::int64_t unix_seconds) noexcept {
  const auto time = clamp_to_calendar(unix_seconds);
  const Civil civil = to_civil(time);
  const auto weekday = std::chrono::weekday(std::chrono::floor<days>(time)).c_encoding();

  DateText text;
  const auto two_digits = [&](int number) {
    const std::array<char, 2> digits = {static_cast<char>('0' + number / 10),
                                        static_cast<char>('0' + number % 10)};
    text.append({digits.data(), digits.size()});
  };
  text.append(kWeekdays[weekday]);
  text.append(", ");
  two_digits(civil.day);
  text.append(" ");
  text.append(kMonths[static_cast<std::size_t>(civil.month - 1)]);
  text.append(" ");
  two_digits(civil.year / 100);
  two_digits(civil.year % 100);
  text.append(" ");
  two_digits(civil.second_of_day / 3600);
  text.append(":");
  two_digits(civil.second_of_day / 60 % 60);
  text.append(":");
  two_digits(civil.second_of_day % 60);
  text.append(" GMT");
  return text;
}

std::optional<std::int64_t> parse_date(std::string_view text, std::int64_t now) noexcept {
  if (text.size() < 4) return std::nullopt;
  Cursor in(text);
  const Civil civil = text[3] == ','   ? read_imf_fixdate(in)
                      : text[3] == ' ' ? read_asctime(in)
                                       : read_rfc850(in, now);
  return in.finished() ? to_unix(civil) : std::nullopt;
}

}  // namespace tallygate::http
