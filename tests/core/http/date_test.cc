#include "core/http/date.h"

#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <random>
#include <string>

namespace tallygate::http {
namespace {

constexpr std::int64_t kExample = 784'111'777;  // RFC 9110 §5.6.7: 1994-11-06T08:49:37Z
constexpr std::int64_t kNow = 1'767'225'600;    // 2026-01-01T00:00:00Z

std::int64_t at(int year, unsigned month, unsigned day, int second_of_day = 0) {
  using namespace std::chrono;
  const sys_days midnight(std::chrono::year(year) / static_cast<int>(month) /
                          static_cast<int>(day));
  return duration_cast<seconds>(midnight.time_since_epoch()).count() + second_of_day;
}

std::string formatted(std::int64_t unix_seconds) {
  return format_date(unix_seconds).str();
}

TEST(HttpDate, WritesImfFixdate) {
  EXPECT_EQ(formatted(kExample), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(formatted(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(formatted(-1), "Wed, 31 Dec 1969 23:59:59 GMT");
  EXPECT_EQ(formatted(951'782'400), "Tue, 29 Feb 2000 00:00:00 GMT");
  EXPECT_EQ(formatted(4'294'967'296), "Sun, 07 Feb 2106 06:28:16 GMT");
}

TEST(HttpDate, WritesTheNearestDateThatFourDigitsCanSay) {
  EXPECT_EQ(formatted(253'402'300'799), "Fri, 31 Dec 9999 23:59:59 GMT");
  EXPECT_EQ(formatted(253'402'300'800), "Fri, 31 Dec 9999 23:59:59 GMT");
  EXPECT_EQ(formatted(std::numeric_limits<std::int64_t>::max()), "Fri, 31 Dec 9999 23:59:59 GMT");
  EXPECT_EQ(formatted(-62'167'219'200), "Sat, 01 Jan 0000 00:00:00 GMT");
  EXPECT_EQ(formatted(std::numeric_limits<std::int64_t>::min()), "Sat, 01 Jan 0000 00:00:00 GMT");
}

TEST(HttpDate, ReadsAllThreeForms) {
  EXPECT_EQ(parse_date("Sun, 06 Nov 1994 08:49:37 GMT", kNow), kExample);
  EXPECT_EQ(parse_date("Sunday, 06-Nov-94 08:49:37 GMT", kNow), kExample);
  EXPECT_EQ(parse_date("Sun Nov  6 08:49:37 1994", kNow), kExample);
  EXPECT_EQ(parse_date("Wed Nov 16 08:49:37 1994", kNow), kExample + 10 * 86'400);
}

TEST(HttpDate, ReadsBackWhatItWrites) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<std::int64_t> any(at(0, 1, 1), at(9999, 12, 31, 86'399));
  for (int i = 0; i < 20'000; ++i) {
    const auto time = any(random);
    ASSERT_EQ(parse_date(formatted(time), kNow), time) << formatted(time);
  }
}

TEST(HttpDate, RefusesDatesThatNoCalendarHas) {
  for (const auto* text : {"Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 31 Nov 1994 08:49:37 GMT",
                           "Sun, 29 Feb 1900 08:49:37 GMT", "Sun, 30 Feb 2000 08:49:37 GMT",
                           "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:00 GMT",
                           "Sun, 06 Nov 1994 08:49:61 GMT", "Sun Nov  0 08:49:37 1994"}) {
    EXPECT_FALSE(parse_date(text, kNow)) << text;
  }
  EXPECT_EQ(parse_date("Tue, 29 Feb 2000 00:00:00 GMT", kNow), at(2000, 2, 29));
}

TEST(HttpDate, ALeapSecondIsTheFirstSecondOfTheNextDay) {
  EXPECT_EQ(parse_date("Sat, 31 Dec 2016 23:59:60 GMT", kNow), at(2017, 1, 1));
}

TEST(HttpDate, TheWeekdayMustBeOneButNotTheRightOne) {
  EXPECT_EQ(parse_date("Mon, 06 Nov 1994 08:49:37 GMT", kNow), kExample);
  EXPECT_FALSE(parse_date("Xyz, 06 Nov 1994 08:49:37 GMT", kNow));
  EXPECT_FALSE(parse_date("Sunday, 06 Nov 1994 08:49:37 GMT", kNow));
  EXPECT_FALSE(parse_date("Sun, 06-Nov-94 08:49:37 GMT", kNow));
}

TEST(HttpDate, RefusesEverythingThatIsNotExactlyADate) {
  for (const auto* text : {"",
                           "Sun",
                           "Sun,",
                           "sun, 06 Nov 1994 08:49:37 GMT",
                           "Sun, 06 nov 1994 08:49:37 GMT",
                           "Sun, 06 Nov 1994 08:49:37 gmt",
                           "Sun, 06 Nov 1994 08:49:37 UTC",
                           "Sun, 06 Nov 1994 08:49:37",
                           "Sun, 06 Nov 1994 08:49:37 GMT ",
                           " Sun, 06 Nov 1994 08:49:37 GMT",
                           "Sun, 6 Nov 1994 08:49:37 GMT",
                           "Sun, 06  Nov 1994 08:49:37 GMT",
                           "Sun, 06 Nov 94 08:49:37 GMT",
                           "Sun, 06 Nov 1994 8:49:37 GMT",
                           "Sun, 06 Nov 1994 08:49 GMT",
                           "Sun, 06 Nov +994 08:49:37 GMT",
                           "Sun Nov 6 08:49:37 1994",
                           "Sun Nov 06 08:49:37 1994 GMT",
                           "Sun Nov  6 08:49:37 94",
                           "784111777",
                           "1994-11-06T08:49:37Z",
                           "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT"}) {
    EXPECT_FALSE(parse_date(text, kNow)) << text;
  }
}

TEST(HttpDate, NoPrefixOfADateIsADate) {
  for (const std::string whole : {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                                  "Sun Nov  6 08:49:37 1994"}) {
    for (std::size_t n = 0; n < whole.size(); ++n) {
      EXPECT_FALSE(parse_date(whole.substr(0, n), kNow)) << whole.substr(0, n);
    }
  }
}

TEST(HttpDate, ATwoDigitYearIsAtMost50YearsAhead) {
  // From 2026-01-01 00:00:00, the last moment within 50 years is 2076-01-01 00:00:00.
  EXPECT_EQ(parse_date("Wednesday, 01-Jan-76 00:00:00 GMT", kNow), at(2076, 1, 1));
  EXPECT_EQ(parse_date("Thursday, 01-Jan-76 00:00:01 GMT", kNow), at(1976, 1, 1, 1));
  EXPECT_EQ(parse_date("Tuesday, 31-Dec-75 23:59:59 GMT", kNow), at(2075, 12, 31, 86'399));
  EXPECT_EQ(parse_date("Friday, 31-Dec-99 23:59:59 GMT", kNow), at(1999, 12, 31, 86'399));
  EXPECT_EQ(parse_date("Saturday, 01-Jan-00 00:00:00 GMT", kNow), at(2000, 1, 1));
  EXPECT_EQ(parse_date("Friday, 01-Jan-01 00:00:00 GMT", at(2099, 6, 1)), at(2101, 1, 1));
}

TEST(HttpDate, ATwoDigitYearStaysWithinTheCalendarOfFourDigits) {
  constexpr auto kEver = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(parse_date("Sunday, 29-Feb-00 00:00:00 GMT", kEver), std::nullopt) << "of 9900";
  EXPECT_EQ(parse_date("Saturday, 01-Jan-00 00:00:00 GMT", kEver), at(9900, 1, 1));
  EXPECT_EQ(parse_date("Saturday, 01-Jan-99 00:00:00 GMT", kEver), at(9999, 1, 1));
  EXPECT_EQ(parse_date("Saturday, 01-Jan-99 00:00:00 GMT", -kEver), at(99, 1, 1));
}

}  // namespace
}  // namespace tallygate::http
