#include "core/config/time_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tallygate::config {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kNow = 1'767'225'600;  // 2026-01-01T00:00:00Z

TEST(TimeText, ReadsEachForm) {
  struct {
    const char* text;
    std::int64_t time;
  } const cases[] = {
      {"72h", kNow + 72 * 3'600},
      {"0s", kNow},
      {"2000ms", kNow + 2},
      {"90d", kNow + 90 * 86'400},
      {"0", 0},
      {"1767225600", kNow},
      {"253402300799", kTimeMax},
      {"1970-01-01T00:00:00Z", 0},
      {"2026-01-01T00:00:00Z", kNow},
      {"2026-01-01t00:00:00z", kNow},
      {"2026-01-01T01:00:00+01:00", kNow},
      {"2025-12-31T18:30:00-05:30", kNow},
      {"2026-01-01T00:00:00-00:00", kNow},
      {"2026-01-01T00:00:01Z", kNow + 1},
      {"2024-02-29T00:00:00Z", 1'709'164'800},  // date -u -d 2024-02-29 +%s
      {"1969-12-31T23:59:59-00:01", 59},
      {"9999-12-31T23:59:59Z", kTimeMax},
  };
  for (const auto& c : cases) {
    const auto time = parse_time(c.text, kNow);
    ASSERT_TRUE(time) << c.text << ": " << time.error().what;
    EXPECT_EQ(*time, c.time) << c.text;
  }
}

TEST(TimeText, SaysWhatIsWrong) {
  struct {
    const char* text;
    const char* message;
  } const cases[] = {
      {"", "is not a time: write 72h, 2026-12-31T00:00:00Z or unix seconds"},
      {"tomorrow", "is not a time"},
      {"-1h", "is not a time"},
      {"-1", "is not a time"},
      {"72x", "has the unit \"x\""},
      {"1.5h", "has a fraction"},
      {"1500ms", "whole seconds"},
      {"1767225600000", "looks like milliseconds: in unix seconds it is 1767225600"},
      {"253402300800", "between 1970 and 9999"},
      {"99999999999999999999999", "between 1970 and 9999"},
      {"2026-12-31", "has no time of day: write 2026-12-31T00:00:00Z"},
      {"2026-12-31T00:00:00", "has no time zone: write 2026-12-31T00:00:00Z"},
      {"2026-12-31 00:00:00Z", "is not a time: write 2026-12-31T00:00:00Z"},
      {"2026-12-31T00:00Z", "is not a time"},
      {"2026-1-1T00:00:00Z", "is not a time"},
      {"2026-12-31T00:00:00.5Z", "has a fraction"},
      {"2026-12-31T00:00:00Zulu", "wrong time zone"},
      {"2026-12-31T00:00:00+1:00", "wrong time zone"},
      {"2026-12-31T00:00:00+0100", "wrong time zone"},
      {"2026-12-31T00:00:00+24:00", "wrong time zone"},
      {"2026-12-31T00:00:00+01:60", "wrong time zone"},
      {"2026-02-29T00:00:00Z", "does not exist in the calendar"},
      {"2026-00-10T00:00:00Z", "does not exist in the calendar"},
      {"2026-13-10T00:00:00Z", "does not exist in the calendar"},
      {"2026-12-31T24:00:00Z", "does not exist in the calendar"},
      {"2026-12-31T23:60:00Z", "does not exist in the calendar"},
      {"2026-12-31T23:59:60Z", "does not exist in the calendar"},
      {"1969-12-31T23:59:59Z", "between 1970 and 9999"},
      {"1970-01-01T00:00:00+00:01", "between 1970 and 9999"},
      {"9999-12-31T23:59:59-00:01", "between 1970 and 9999"},
  };
  for (const auto& c : cases) {
    const auto time = parse_time(c.text, kNow);
    ASSERT_FALSE(time) << c.text;
    EXPECT_THAT(time.error().what, HasSubstr(c.message)) << c.text;
  }
}

TEST(TimeText, EndsWithTheYear9999ForDurationsToo) {
  ASSERT_TRUE(parse_time("1s", kTimeMax - 1));
  EXPECT_FALSE(parse_time("1s", kTimeMax));
  EXPECT_FALSE(parse_time("36500d", kTimeMax));
}

}  // namespace
}  // namespace tallygate::config
