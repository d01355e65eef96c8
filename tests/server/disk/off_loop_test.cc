#include "server/disk/off_loop.h"

#include <gtest/gtest.h>

#include <atomic>

#include "server/net/descriptor.h"
#include "tests/server/disk/loop.h"

namespace tallygate::disk {
namespace {

using boost::system::errc::resource_unavailable_try_again;
using boost::system::errc::timed_out;

class OffLoopTest : public testing::Test {
 protected:
  ~OffLoopTest() override {
    off_loop.reset();
    loop.end();
  }

  BlockingPool pool{{.per_lane_max = 1, .waiting_per_lane_max = 1, .end_timeout = 5s}};
  Loop loop;
  std::unique_ptr<OffLoop> off_loop = std::make_unique<OffLoop>(loop.executor(), pool);
};

TEST_F(OffLoopTest, RunsAJobElsewhereAndComesBack) {
  std::thread::id there;
  std::thread::id back;
  bool done = false;
  ASSERT_TRUE(off_loop->start(
      1,
      [&] {
        there = std::this_thread::get_id();
        return std::make_unique<int>(7);
      },
      [&](std::unique_ptr<int> seven) {
        EXPECT_EQ(*seven, 7);
        back = std::this_thread::get_id();
        done = true;
      }));
  ASSERT_TRUE(loop.run_until([&] { return done; }));
  EXPECT_NE(there, std::this_thread::get_id());
  EXPECT_EQ(back, std::this_thread::get_id());
}

TEST_F(OffLoopTest, DestroysAJobOnItsWorker) {
  std::thread::id destroyed;
  bool done = false;
  const auto owned = [&] {
    return std::shared_ptr<int>(new int(1), [&](const int* number) {
      destroyed = std::this_thread::get_id();
      delete number;
    });
  };
  for (int i = 0; i < 200; ++i) {
    done = false;
    destroyed = {};
    ASSERT_TRUE(off_loop->start(
        1, [mine = owned()] { return *mine; }, [&](int) { done = true; }));
    ASSERT_TRUE(loop.run_until([&] { return done; }));
    ASSERT_EQ(destroyed, std::this_thread::get_id());
  }
}

TEST_F(OffLoopTest, WaitsForWhatAJobReturns) {
  const auto job = []() -> Result<Descriptor> { return Descriptor(::dup(0)); };
  const auto file = loop.await(off_loop->run(1, 10s, job));
  ASSERT_TRUE(file);
  EXPECT_TRUE(*file);
  const auto failing = []() -> Result<int> {
    return make_error_code(boost::system::errc::io_error);
  };
  EXPECT_EQ(loop.await(off_loop->run(1, 10s, failing)).error(), boost::system::errc::io_error);
}

TEST_F(OffLoopTest, GoesOnWithoutAJobThatHangs) {
  Gate gate;
  std::atomic<bool> ended{false};
  const auto begin = std::chrono::steady_clock::now();
  const auto slow = loop.await(off_loop->run(1, 30ms, [&, hang = gate.job()]() -> Result<int> {
    hang();
    ended = true;
    return 1;
  }));
  EXPECT_EQ(slow.error(), timed_out);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 30ms);
  std::atomic<bool> begun{false};
  const auto behind = loop.await(off_loop->run(1, 30ms, [&]() -> Result<int> {
    begun = true;
    return 1;
  }));
  EXPECT_EQ(behind.error(), timed_out);
  const auto too_many = loop.await(off_loop->run(1, 30ms, []() -> Result<int> { return 1; }));
  EXPECT_EQ(too_many.error(), resource_unavailable_try_again);
  EXPECT_EQ(*loop.await(off_loop->run(2, 10s, []() -> Result<int> { return 3; })), 3);
  gate.open();
  EXPECT_TRUE(comes_true([&] { return ended.load() && pool.running() == 0; }));
  EXPECT_FALSE(begun) << "nobody waits for it any more";
}

TEST_F(OffLoopTest, LetsGoOfWhatEndsAfterItsWorker) {
  Gate gate;
  const auto before = open_descriptors();
  const auto waiting = loop.begin(off_loop->run(1, 1h, [hang = gate.job()]() -> Result<Descriptor> {
    hang();
    return Descriptor(::dup(0));
  }));
  bool came_back = false;
  ASSERT_TRUE(off_loop->start(
      2,
      [hang = gate.job()] {
        hang();
        return std::make_unique<Descriptor>(::dup(0));
      },
      [&](auto) { came_back = true; }));
  ASSERT_TRUE(comes_true([&] { return pool.running() == 2; }));
  off_loop.reset();
  loop.end();
  EXPECT_TRUE(waiting->dropped);
  gate.open();
  ASSERT_TRUE(comes_true([&] { return pool.running() == 0; }));
  EXPECT_LE(open_descriptors(), before);
  EXPECT_FALSE(came_back);
}

}  // namespace
}  // namespace tallygate::disk
