#include "core/ledger/clock_watch.h"

#include <gtest/gtest.h>

#include <limits>

namespace tallygate::ledger {
namespace {

constexpr std::int64_t kNow = 1'767'225'600;
constexpr std::int64_t kDay = 86'400;
constexpr std::int64_t kYear = 365 * kDay;
constexpr std::int64_t kFirst = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kLast = std::numeric_limits<std::int64_t>::max();

// A watch that has seen the clock say `kNow`.
ClockWatch at_now() {
  ClockWatch watch;
  watch.observe(kNow, std::nullopt);
  return watch;
}

TEST(ClockWatch, BelievesAClockThatItNeverSaw) {
  const ClockWatch watch;
  EXPECT_TRUE(watch.believes(kNow)) << "there is nothing yet that could be thrown away";
  EXPECT_FALSE(watch.last());
}

TEST(ClockWatch, BelievesAClockThatRuns) {
  ClockWatch watch = at_now();
  std::int64_t now = kNow;
  for (int i = 0; i < 1000; ++i) {
    now += kDay;
    watch.observe(now, kDay);
    ASSERT_TRUE(watch.believes(now)) << i;
  }
  EXPECT_EQ(watch.last(), now);
  EXPECT_FALSE(watch.doubted_at());
}

// What a step is, beside a steady clock.
TEST(ClockWatch, DoubtsAClockThatGoesMoreThanAnHourOffTheSteadyOne) {
  const struct {
    std::int64_t wall, steady;
    bool believed;
  } cases[] = {
      {0, 0, true},
      {3600, 0, true},
      {3601, 0, false},
      {-3600, 0, true},
      {-3601, 0, false},
      {kYear, kYear, true},
      {kYear + 3600, kYear, true},
      {kYear + 3601, kYear, false},
      {0, 3600, true},
      {0, 3601, false},
  };
  for (const auto& c : cases) {
    ClockWatch watch = at_now();
    watch.observe(kNow + c.wall, c.steady);
    EXPECT_EQ(watch.believes(kNow + c.wall), c.believed) << c.wall << " after " << c.steady;
  }
}

// Between two runs there is no steady clock: a step could hide in a pause.
TEST(ClockWatch, DoubtsAClockAfterAPauseOfMoreThanAWeek) {
  const struct {
    std::int64_t pause;
    bool believed;
  } cases[] = {
      {0, true},      {7 * kDay, true},  {7 * kDay + 1, false},
      {kYear, false}, {-7 * kDay, true}, {-7 * kDay - 1, false},
  };
  for (const auto& c : cases) {
    ClockWatch watch = at_now();
    watch.observe(kNow + c.pause, std::nullopt);
    EXPECT_EQ(watch.believes(kNow + c.pause), c.believed) << c.pause;
  }
}

TEST(ClockWatch, BelievesAClockAgainThatHasRunForAWeekSinceItsStep) {
  ClockWatch watch = at_now();
  const std::int64_t stepped = kNow + 10 * kYear;
  watch.observe(stepped, 1);
  EXPECT_EQ(watch.doubted_at(), stepped);
  watch.observe(stepped + 7 * kDay - 1, 7 * kDay - 1);
  EXPECT_FALSE(watch.believes(stepped + 7 * kDay - 1));
  EXPECT_TRUE(watch.believes(stepped + 7 * kDay));
}

TEST(ClockWatch, BeginsTheWeekAnewWithEachStep) {
  ClockWatch watch = at_now();
  watch.observe(kNow + kYear, 1);
  watch.observe(kNow + kYear + 6 * kDay, 6 * kDay);
  watch.observe(kNow + 6 * kDay, 1);  // set right again: a step as well
  EXPECT_FALSE(watch.believes(kNow + 6 * kDay));
  EXPECT_FALSE(watch.believes(kNow + 13 * kDay - 1));
  EXPECT_TRUE(watch.believes(kNow + 13 * kDay));
}

TEST(ClockWatch, DoesNotBelieveATimeFromBeforeWhatItSaw) {
  const ClockWatch watch = at_now();
  EXPECT_TRUE(watch.believes(kNow - 3600));
  EXPECT_FALSE(watch.believes(kNow - 3601));
  EXPECT_TRUE(watch.believes(kNow + kYear)) << "that is for observe() to judge";
}

TEST(ClockWatch, IsWhatItWasWhenItIsMadeOfItsParts) {
  ClockWatch watch = at_now();
  watch.observe(kNow + kYear, 1);
  EXPECT_EQ(ClockWatch(watch.last(), watch.doubted_at()), watch);
  EXPECT_EQ(ClockWatch(std::nullopt, std::nullopt), ClockWatch());
}

// The numbers come from files and from a clock that may say anything.
TEST(ClockWatch, DoubtsTimesThatAreAsFarApartAsNumbersGo) {
  for (const auto& [a, b] : {std::pair(kFirst, kLast), std::pair(kLast, kFirst)}) {
    ClockWatch watch;
    watch.observe(a, std::nullopt);
    watch.observe(b, std::nullopt);
    EXPECT_FALSE(watch.believes(b));
    EXPECT_EQ(watch.last(), b);
    watch.observe(a, kLast);
    watch.observe(a, 0);
    EXPECT_FALSE(watch.believes(a));
  }
}

}  // namespace
}  // namespace tallygate::ledger
