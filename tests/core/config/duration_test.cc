#include "core/config/duration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tallygate::config {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using ::testing::HasSubstr;

TEST(Duration, ReadsEveryUnit) {
  struct {
    const char* text;
    milliseconds duration;
  } const cases[] = {
      {"0s", 0ms},  {"250ms", 250ms},
      {"10s", 10s}, {"5m", 5min},
      {"24h", 24h}, {"90d", std::chrono::days{90}},
      {"007s", 7s}, {"36500d", kDurationMax},
  };
  for (const auto& c : cases) {
    const auto duration = parse_duration(c.text);
    ASSERT_TRUE(duration) << c.text << ": " << duration.error().what;
    EXPECT_EQ(*duration, c.duration) << c.text;
  }
}

TEST(Duration, SaysWhatIsWrong) {
  struct {
    const char* text;
    const char* message;
  } const cases[] = {
      {"10", "\"10\" has no unit: \"10s\" would be seconds"},
      {"0", "has no unit"},
      {"", "is not a duration"},
      {"s", "is not a duration"},
      {"-1s", "is not a duration"},
      {"+1s", "is not a duration"},
      {" 1s", "is not a duration"},
      {"1 s", "has the unit \" s\""},
      {"1s ", "has the unit \"s \""},
      {"1S", "has the unit \"S\", which is not one of ms, s, m, h or d"},
      {"1w", "has the unit \"w\""},
      {"1h30m", "has the unit \"h30m\""},
      {"1.5h", "has a fraction"},
      {"1,5h", "has a fraction"},
      {"36501d", "\"36501d\" is too long: 36500d at most"},
      {"99999999999999999999d", "is too long"},
      {"9223372036854775808ms", "is too long"},
      {"18446744073709551616s", "is too long"},
  };
  for (const auto& c : cases) {
    const auto duration = parse_duration(c.text);
    ASSERT_FALSE(duration) << c.text;
    EXPECT_THAT(duration.error().what, HasSubstr(c.message));
  }
}

TEST(Duration, IsShownInItsLargestWholeUnit) {
  EXPECT_EQ(format_duration(0ms), "0s");
  EXPECT_EQ(format_duration(1ms), "1ms");
  EXPECT_EQ(format_duration(1'001ms), "1001ms");
  EXPECT_EQ(format_duration(10s), "10s");
  EXPECT_EQ(format_duration(90s), "90s");
  EXPECT_EQ(format_duration(120s), "2m");
  EXPECT_EQ(format_duration(36h), "36h");
  EXPECT_EQ(format_duration(48h), "2d");
}

TEST(Duration, ReadsBackWhatItShows) {
  for (const auto duration : {0ms, 1ms, 999ms, 60'000ms, milliseconds{86'400'001}, kDurationMax}) {
    const auto again = parse_duration(format_duration(duration));
    ASSERT_TRUE(again);
    EXPECT_EQ(*again, duration);
  }
}

}  // namespace
}  // namespace tallygate::config
