#include "server/net/clock_watcher.h"

#include <gtest/gtest.h>

#include <string>

#include "core/clock/built_on.h"
#include "tests/support/fake_clock.h"

namespace tallygate::net {
namespace {

using namespace std::chrono_literals;

class ClockWatcherTest : public testing::Test {
 protected:
  ClockWatcherTest() { clock.set_unix(clock::built_on() + 1'000'000); }

  std::string look(ClockWatcher& watcher) {
    testing::internal::CaptureStderr();
    watcher.look();
    return testing::internal::GetCapturedStderr();
  }
  FakeClock clock;
};

TEST_F(ClockWatcherTest, SaysAndCountsEachStepOnce) {  // T1
  ClockWatcher watcher(clock);
  clock.advance(1h);
  EXPECT_EQ(look(watcher), "");
  clock.set_unix(clock.unix_now() + 3600);
  EXPECT_EQ(look(watcher).find("tallygate: the clock was set 3600 s forward"), 0u);
  EXPECT_EQ(look(watcher), "");
  clock.set_unix(clock.unix_now() - 60);
  EXPECT_EQ(look(watcher).find("tallygate: the clock was set 60 s back"), 0u);
  EXPECT_EQ(watcher.steps(), 2u);
}

TEST_F(ClockWatcherTest, SaysWhenItCannotBeRightAndWhenItCan) {  // T2
  clock.set_unix(0);
  testing::internal::CaptureStderr();
  ClockWatcher watcher(clock);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_EQ(said.find("tallygate: the clock says 1970-01-01, "), 0u) << "at the start";
  EXPECT_EQ(look(watcher), "");
  clock.set_unix(clock::built_on());
  EXPECT_NE(look(watcher).find("tallygate: the clock is right again: links are served\n"),
            std::string::npos);
  EXPECT_EQ(look(watcher), "");
}

}  // namespace
}  // namespace tallygate::net
