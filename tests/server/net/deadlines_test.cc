#include "server/net/deadlines.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <vector>

#include "tests/support/seed.h"

namespace tallygate::net {
namespace {

using namespace std::chrono_literals;
using Time = Deadlines::Time;

struct Waiter final : Deadlines::Owner {
  explicit Waiter(int n = 0) : number(n) {}
  int number;
};

class DeadlinesTest : public testing::Test {
 protected:
  std::vector<int> advance(Time now) {
    std::vector<int> expired;
    wheel.advance(now, [&](Deadlines::Owner& owner) {
      expired.push_back(static_cast<Waiter&>(owner).number);
    });
    return expired;
  }
  const Time begin = Time{} + 1000h;
  Deadlines wheel{begin, 100ms};
};

TEST_F(DeadlinesTest, ComeNeverEarlyAndWithinATick) {
  Waiter one(1);
  wheel.set(one, begin + 250ms);
  EXPECT_TRUE(advance(begin + 100ms).empty());
  EXPECT_TRUE(advance(begin + 249ms).empty());
  EXPECT_EQ(advance(begin + 300ms), std::vector{1});
  EXPECT_EQ(one.deadline(), Deadlines::kNever);
  EXPECT_TRUE(advance(begin + 10h).empty()) << "once";
}

TEST_F(DeadlinesTest, CanBeMovedBothWaysAndTakenBack) {
  Waiter later(1);
  Waiter sooner(2);
  Waiter never(3);
  wheel.set(later, begin + 1s);
  wheel.set(later, begin + 2s);
  wheel.set(sooner, begin + 2s);
  wheel.set(sooner, begin + 1s);
  wheel.set(never, begin + 1s);
  wheel.set(never, Deadlines::kNever);
  EXPECT_EQ(advance(begin + 1100ms), std::vector{2});
  EXPECT_TRUE(advance(begin + 1900ms).empty());
  EXPECT_EQ(advance(begin + 2100ms), std::vector{1});
}

TEST_F(DeadlinesTest, BeyondOneRoundOfTheWheelWait) {
  Waiter one(1);
  wheel.set(one, begin + 1h);
  for (auto at = 100ms; at < 1h; at += 7s) ASSERT_TRUE(advance(begin + at).empty());
  EXPECT_EQ(advance(begin + 1h + 100ms), std::vector{1});
}

TEST_F(DeadlinesTest, OfOneThatEndedAreForgotten) {
  {
    Waiter gone(1);
    wheel.set(gone, begin + 1s);
  }
  EXPECT_TRUE(advance(begin + 2s).empty());
}

TEST_F(DeadlinesTest, MayBeSetAgainWhenTheyExpire) {
  Waiter one(1);
  int times = 0;
  wheel.set(one, begin + 100ms);
  for (auto at = 100ms; at <= 1000ms; at += 100ms) {
    wheel.advance(begin + at, [&](Deadlines::Owner& owner) {
      ++times;
      wheel.set(owner, begin + at + 150ms);
    });
  }
  EXPECT_GE(times, 3);
  EXPECT_LE(times, 5);
}

TEST_F(DeadlinesTest, AgreeWithAListOfThem) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  std::vector<std::unique_ptr<Waiter>> waiters;
  for (int i = 0; i < 200; ++i) waiters.push_back(std::make_unique<Waiter>(i));
  auto now = begin;
  std::map<int, Time> model;
  for (int step = 0; step < 20'000; ++step) {
    const int i = static_cast<int>(random() % waiters.size());
    if (random() % 8 == 0) {
      wheel.set(*waiters[static_cast<std::size_t>(i)], Deadlines::kNever);
      model.erase(i);
    } else {
      const auto deadline = now + std::chrono::milliseconds(random() % 200'000);
      wheel.set(*waiters[static_cast<std::size_t>(i)], deadline);
      model[i] = deadline;
    }
    if (random() % 4 != 0) continue;
    now += std::chrono::milliseconds(random() % 300);
    for (const int expired : advance(now)) {
      ASSERT_TRUE(model.contains(expired));
      ASSERT_LE(model[expired], now) << "early";
      model.erase(expired);
    }
    for (const auto& [n, deadline] : model) ASSERT_GT(deadline + 200ms, now) << n << " is late";
  }
}

}  // namespace
}  // namespace tallygate::net
