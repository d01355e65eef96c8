#include "core/clock/built_on.h"

#include <gtest/gtest.h>

#include <chrono>

namespace tallygate::clock {
namespace {

// T2
TEST(BuiltOn, NoClockBeforeThatDayIsRight) {
  EXPECT_TRUE(is_before_build(0)) << "1970";
  EXPECT_TRUE(is_before_build(built_on() - 1));
  EXPECT_FALSE(is_before_build(built_on()));
  EXPECT_FALSE(is_before_build(4'070'908'800)) << "2099, which no program can know to be wrong";
}

TEST(BuiltOn, IsADayThatHasCome) {
  const auto now = std::chrono::system_clock::now().time_since_epoch() / std::chrono::seconds(1);
  EXPECT_EQ(built_on() % 86'400, 0);
  EXPECT_GT(built_on(), 1'735'689'600) << "2025";
  EXPECT_LE(built_on(), now);
}

TEST(BuiltOn, WhatIsWrongIsSaidInDates) {
  const std::string said = describe_wrong_clock(951'782'400);
  EXPECT_EQ(said.find("the clock says 2000-02-29, and this version was made on 20"), 0u) << said;
}

}  // namespace
}  // namespace tallygate::clock
