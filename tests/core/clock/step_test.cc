#include "core/clock/step.h"

#include <gtest/gtest.h>

#include <limits>

namespace tallygate::clock {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kNow = 1'767'225'600;
const StepWatch::Steady kSteady{100h};

// T1
TEST(StepWatch, SeesWhatIsMoreThanTwoSecondsOffTheSteadyClock) {
  const struct {
    std::int64_t wall;
    StepWatch::Steady::duration steady;
    std::optional<std::chrono::seconds> step;
  } cases[] = {
      {0, 0ms, std::nullopt},
      {0, 100ms, std::nullopt},
      {1, 100ms, std::nullopt},
      {2, 0ms, std::nullopt},
      {3, 0ms, 3s},
      {-2, 0ms, std::nullopt},
      {-3, 0ms, -3s},
      {3600, 0ms, 3600s},
      {-3600, 100ms, -3600s},
      {3600, 3600s, std::nullopt},
      {3600, 3598s, std::nullopt},
      {3600, 3597s, 3s},
      {0, 3600s, -3600s},
  };
  for (const auto& c : cases) {
    StepWatch watch;
    EXPECT_EQ(watch.observe(kNow, kSteady), std::nullopt) << "nothing to compare with";
    EXPECT_EQ(watch.observe(kNow + c.wall, kSteady + c.steady), c.step) << c.wall;
    EXPECT_EQ(watch.observe(kNow + c.wall, kSteady + c.steady), std::nullopt) << "seen once";
  }
}

TEST(StepWatch, IsNotMisledByAClockThatIsALittleOffForALongTime) {
  StepWatch watch;
  std::int64_t wall = kNow;
  StepWatch::Steady steady = kSteady;
  for (int i = 0; i < 10'000; ++i) {
    EXPECT_EQ(watch.observe(wall, steady), std::nullopt);
    wall += 60;
    steady += 60s + 30ms;  // 500 ppm
  }
}

TEST(StepWatch, TakesTimesAsFarApartAsNumbersGo) {
  constexpr std::int64_t kFirst = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t kLast = std::numeric_limits<std::int64_t>::max();
  StepWatch watch;
  EXPECT_EQ(watch.observe(kFirst, kSteady), std::nullopt);
  EXPECT_EQ(watch.observe(kLast, kSteady + 1h), std::chrono::seconds(kLast));
  EXPECT_EQ(watch.observe(kLast, kSteady + 2h), std::nullopt);
  EXPECT_EQ(watch.observe(kFirst, kSteady + 3h), std::chrono::seconds(-kLast));
}

}  // namespace
}  // namespace tallygate::clock
