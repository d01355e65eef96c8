#include "server/disk/blocking_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <vector>

#include "tests/server/disk/loop.h"

namespace tallygate::disk {
namespace {

TEST(BlockingPool, RunsWhatItIsGiven) {
  BlockingPool pool;
  std::atomic<int> done{0};
  for (std::uint64_t i = 0; i < 1000; ++i) ASSERT_TRUE(pool.post(i % 7, [&] { ++done; }));
  EXPECT_TRUE(comes_true([&] { return done == 1000; }));
  EXPECT_LE(pool.threads(), 64u);
}

TEST(BlockingPool, BeginsTheJobsOfALaneInTheirOrder) {
  BlockingPool pool({.per_lane_max = 1});
  std::vector<int> order;  // one at a time
  std::atomic<int> done{0};
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(pool.post(1, [&, i] {
      order.push_back(i);
      ++done;
    }));
  }
  ASSERT_TRUE(comes_true([&] { return done == 200; }));
  for (int i = 0; i < 200; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST(BlockingPool, KeepsALaneThatHangsFromTakingAllThreads) {
  BlockingPool pool;
  Gate gate;
  std::atomic<int> hung{0};
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(pool.post(1, [&, hang = gate.job()] {
      hang();
      ++hung;
    }));
  }
  ASSERT_TRUE(comes_true([&] { return pool.running() == 16; }));
  std::atomic<int> done{0};
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(pool.post(2, [&] { ++done; }));
  EXPECT_TRUE(comes_true([&] { return done == 100; }));
  EXPECT_TRUE(comes_true([&] { return pool.running() == 16; }));
  gate.open();
  EXPECT_TRUE(comes_true([&] { return hung == 100; })) << "the others of the lane had waited";
}

TEST(BlockingPool, HasNoMoreThreadsThanItMay) {
  BlockingPool pool({.threads_max = 3});
  Gate gate;
  std::atomic<int> done{0};
  for (std::uint64_t lane = 0; lane < 10; ++lane) {
    ASSERT_TRUE(pool.post(lane, [&, hang = gate.job()] {
      hang();
      ++done;
    }));
  }
  ASSERT_TRUE(comes_true([&] { return pool.running() == 3; }));
  EXPECT_EQ(pool.threads(), 3u);
  gate.open();
  EXPECT_TRUE(comes_true([&] { return done == 10; }));
}

TEST(BlockingPool, UsesAnIdleThreadAgainAndEndsItInTheEnd) {
  BlockingPool pool({.idle_timeout = 100ms});
  std::mutex mutex;
  std::vector<std::thread::id> ids;
  for (int i = 0; i < 3; ++i) {
    std::atomic<bool> done{false};
    ASSERT_TRUE(pool.post(1, [&] {
      {
        const std::lock_guard guard(mutex);
        ids.push_back(std::this_thread::get_id());
      }
      done = true;
    }));
    ASSERT_TRUE(comes_true([&] { return done && pool.running() == 0; }));
  }
  EXPECT_EQ(pool.threads(), 1u);
  EXPECT_TRUE(comes_true([&] { return pool.threads() == 0; }));
  std::atomic<bool> again{false};
  ASSERT_TRUE(pool.post(1, [&] { again = true; }));
  EXPECT_TRUE(comes_true([&] { return again.load(); }));
}

TEST(BlockingPool, RefusesWhatWouldWaitTooLong) {
  BlockingPool pool({.per_lane_max = 1, .waiting_per_lane_max = 2});
  Gate gate;
  const auto job = gate.job();
  EXPECT_TRUE(pool.post(1, job));
  EXPECT_TRUE(pool.post(1, job));
  EXPECT_TRUE(pool.post(1, job));
  EXPECT_FALSE(pool.post(1, job));
  EXPECT_TRUE(pool.post(2, job)) << "another lane";
  std::atomic<bool> done{false};
  EXPECT_TRUE(pool.post_anyway(1, [&] { done = true; }));
  gate.open();
  EXPECT_TRUE(comes_true([&] { return done.load(); }));
}

// Its jobs may hold files: nothing of a refused or unfinished job stays.
TEST(BlockingPool, EndsWithoutAJobThatHangs) {
  Gate gate;
  const auto held = std::make_shared<int>(1);
  std::weak_ptr<int> of_hung;
  {
    BlockingPool pool({.per_lane_max = 1, .end_timeout = 50ms});
    const auto own = std::make_shared<int>(2);
    of_hung = own;
    ASSERT_TRUE(pool.post(1, [own, hang = gate.job()] { hang(); }));
    ASSERT_TRUE(comes_true([&] { return pool.running() == 1; }));
    ASSERT_TRUE(pool.post(1, [held] { FAIL() << "was not to begin"; }));
    EXPECT_EQ(held.use_count(), 2);
  }
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_FALSE(of_hung.expired());
  gate.open();
  EXPECT_TRUE(comes_true([&] { return of_hung.expired(); })) << "it ends by itself, later";
}

TEST(BlockingPool, WaitsAtItsEndForJobsThatDoNotHang) {
  std::atomic<bool> done{false};
  {
    BlockingPool pool;
    ASSERT_TRUE(pool.post(1, [&] {
      std::this_thread::sleep_for(20ms);
      done = true;
    }));
    ASSERT_TRUE(comes_true([&] { return pool.running() == 1; }));
  }
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace tallygate::disk
