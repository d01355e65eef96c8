#include "server/disk/pipes.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <deque>
#include <string>

#include "tests/server/disk/loop.h"
#include "tests/support/refuse_call.h"

namespace tallygate::disk {
namespace {

using boost::system::errc::timed_out;
using boost::system::errc::too_many_files_open;

class PipesTest : public testing::Test {
 protected:
  ~PipesTest() override {
    pool->close();
    loop.end();
  }
  Task<Result<Pipe>> acquire(std::uint64_t device, std::chrono::milliseconds timeout = 20s) {
    return pool->acquire(device, std::chrono::steady_clock::now() + timeout);
  }
  Pipe take(std::uint64_t device = 1) {
    auto pipe = loop.await(acquire(device));
    EXPECT_TRUE(pipe);
    return pipe ? std::move(*pipe) : Pipe();
  }
  static int bytes_in(const Pipe& pipe) {
    int bytes = -1;
    ::ioctl(pipe.reading(), FIONREAD, &bytes);
    return bytes;
  }

  Loop loop;
  std::shared_ptr<PipePool> pool = std::make_shared<PipePool>(4);
};

TEST_F(PipesTest, AreLargeAndUsedAgain) {
  int reading = -1;
  {
    const Pipe pipe = take();
    ASSERT_TRUE(pipe);
    reading = pipe.reading();
    EXPECT_EQ(pipe.capacity(), PipePool::kCapacityWanted);
    EXPECT_NE(::fcntl(pipe.reading(), F_GETFL) & O_NONBLOCK, 0);
    EXPECT_EQ(::fcntl(pipe.writing(), F_GETFL) & O_NONBLOCK, 0);
    EXPECT_EQ(::fcntl(pipe.reading(), F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(pool->in_use(), 1u);
  }
  EXPECT_EQ(pool->in_use(), 0u);
  EXPECT_EQ(pool->idle(), 1u);
  EXPECT_EQ(take().reading(), reading);
}

TEST_F(PipesTest, ComeBackEmpty) {
  const std::string text(300'000, 'x');
  {
    const Pipe pipe = take();
    ASSERT_EQ(::write(pipe.writing(), text.data(), text.size()), 300'000);
  }
  const Pipe pipe = take();
  EXPECT_EQ(bytes_in(pipe), 0);
  char byte = 0;
  EXPECT_EQ(::read(pipe.reading(), &byte, 1), -1);
  EXPECT_EQ(errno, EAGAIN);
}

TEST_F(PipesTest, MoveWithWhatIsInThem) {
  Pipe a = take();
  ASSERT_EQ(::write(a.writing(), "a", 1), 1);
  Pipe b = std::move(a);
  EXPECT_FALSE(a);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(bytes_in(b), 1);
  EXPECT_EQ(pool->in_use(), 1u);
  b = take();
  EXPECT_EQ(bytes_in(b), 0);
  EXPECT_EQ(pool->in_use(), 1u);
  EXPECT_EQ(pool->idle(), 1u);
  b = Pipe();
  EXPECT_EQ(pool->in_use(), 0u);
  EXPECT_EQ(pool->idle(), 2u);
}

TEST_F(PipesTest, OfWhichOneDeviceHasHalf) {
  const Pipe a = take(1);
  Pipe b = take(1);
  const auto third = loop.begin(acquire(1));
  EXPECT_FALSE(third->value) << "though there is room";
  const Pipe other = take(2);
  EXPECT_TRUE(other);
  b = Pipe();
  ASSERT_TRUE(loop.run_until([&] { return third->value.has_value(); }));
  EXPECT_TRUE(*third->value);
}

TEST_F(PipesTest, AreWaitedForInTheOrderOfComing) {
  std::deque<Pipe> held;
  for (const std::uint64_t device : {1u, 1u, 2u, 2u}) held.push_back(take(device));
  std::vector<std::shared_ptr<Outcome<Result<Pipe>>>> waiters;
  for (const std::uint64_t device : {1u, 3u, 1u, 2u})
    waiters.push_back(loop.begin(acquire(device)));
  EXPECT_EQ(pool->waiting(), 4u);
  const auto served = [&] {
    loop.poll();
    std::string text;
    for (const auto& waiter : waiters) text += waiter->value ? '1' : '0';
    return text;
  };
  EXPECT_EQ(served(), "0000");
  held.pop_back();  // of device 2; device 1 may not have more, so it is the next one's
  EXPECT_EQ(served(), "0100");
  held.pop_front();
  EXPECT_EQ(served(), "1100");
  held.pop_front();
  EXPECT_EQ(served(), "1110");
  waiters[1]->value.reset();
  EXPECT_EQ(served(), "1011");
  held.clear();
  waiters.clear();
  EXPECT_EQ(pool->in_use(), 0u);
  EXPECT_EQ(pool->waiting(), 0u);
}

TEST_F(PipesTest, AreNotWaitedForBeyondTheDeadline) {
  std::deque<Pipe> held;
  for (const std::uint64_t device : {1u, 1u, 2u, 2u}) held.push_back(take(device));
  EXPECT_EQ(loop.await(acquire(1, 20ms)).error(), timed_out);
  EXPECT_EQ(pool->waiting(), 0u);
  held.clear();
  EXPECT_TRUE(take());
}

TEST_F(PipesTest, MayLeaveTheirPool) {
  const auto before = open_descriptors();
  {
    Pipe pipe = take();
    pipe.leave_pool();
    EXPECT_EQ(pool->in_use(), 0u);
    EXPECT_TRUE(pipe);
  }
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_EQ(pool->idle(), 0u);
}

TEST_F(PipesTest, AreClosedWhenTheirPoolIs) {
  const auto before = open_descriptors();
  {
    std::deque<Pipe> held;
    for (const std::uint64_t device : {1u, 1u, 2u, 2u}) held.push_back(take(device));
    held.pop_back();
    const auto waiter = loop.begin(acquire(1));
    pool->close();
    EXPECT_EQ(open_descriptors(), before + 6);
    loop.end();
    EXPECT_TRUE(waiter->dropped);
  }
  EXPECT_EQ(open_descriptors(), before - 3) << "the loop's own";
}

TEST_F(PipesTest, ThatCannotBeMadeAreAnError) {
#if defined(TALLYGATE_SANITIZED)
  GTEST_SKIP() << "the sanitizer needs descriptors of its own";
#endif
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit none{0, limit.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &none);
  const auto pipe = loop.await(acquire(1));
  ::setrlimit(RLIMIT_NOFILE, &limit);
  EXPECT_EQ(pipe.error(), too_many_files_open);
  EXPECT_EQ(pool->in_use(), 0u);
  EXPECT_TRUE(take());
}

// As for a user who has used up pipe-user-pages-soft, or where pipe-max-size is small.
TEST_F(PipesTest, AreSmallerWhereTheKernelSaysSo) {
  std::thread sandboxed([this] {
    if (!refuse_call(SYS_fcntl, EPERM, F_SETPIPE_SZ)) GTEST_SKIP() << "no seccomp here";
    const Pipe pipe = take();
    ASSERT_TRUE(pipe);
    EXPECT_LT(pipe.capacity(), PipePool::kCapacityWanted);
    EXPECT_EQ(pipe.capacity(), static_cast<std::size_t>(::fcntl(pipe.writing(), F_GETPIPE_SZ)));
    const std::string text(pipe.capacity(), 'x');
    EXPECT_EQ(::write(pipe.writing(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  });
  sandboxed.join();
}

}  // namespace
}  // namespace tallygate::disk
