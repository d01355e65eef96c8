#include "server/disk/ring.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <deque>
#include <string>

#include "tests/server/disk/big_file.h"
#include "tests/server/disk/loop.h"
#include "tests/support/refuse_call.h"

namespace tallygate::disk {
namespace {

constexpr std::size_t kBytes = 4 << 20;

struct Ends {
  Ends() {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    reading = Descriptor(ends[0]);
    writing = Descriptor(ends[1]);
  }
  [[nodiscard]] std::string read(std::size_t bytes) const {
    std::string text(bytes, '\0');
    const ssize_t n = ::read(reading.get(), text.data(), text.size());
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    return text;
  }
  Descriptor reading;
  Descriptor writing;
};

class RingTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!ring) GTEST_SKIP() << "io_uring is refused here";
  }
  ~RingTest() override {
    ring.reset();
    loop.end();
  }

  Loop loop;
  std::unique_ptr<Ring> ring = Ring::open(loop.executor());
  BigFile file{kBytes};
};

TEST_F(RingTest, SplicesFromAFile) {
  for (const bool cold : {false, true}) {
    if (cold && !file.make_cold()) continue;
    const Ends pipe;
    int result = -1;
    ASSERT_TRUE(
        ring->splice(file.get(), 10'000, pipe.writing.get(), 5'000, [&](int n) { result = n; }));
    EXPECT_EQ(ring->in_flight(), 1u);
    ASSERT_TRUE(loop.run_until([&] { return ring->in_flight() == 0; }));
    EXPECT_EQ(result, 5'000);
    EXPECT_EQ(pipe.read(5'000), file.range(10'000, 5'000));
  }
}

TEST_F(RingTest, SaysWhyNot) {
  const Ends pipe;
  int result = 0;
  ASSERT_TRUE(ring->splice(-1, 0, pipe.writing.get(), 100, [&](int n) { result = n; }));
  ASSERT_TRUE(loop.run_until([&] { return ring->in_flight() == 0; }));
  EXPECT_EQ(result, -EBADF);
}

TEST_F(RingTest, HasManyInFlightAndNoMoreThanItMay) {
  static_cast<void>(file.make_cold());
  std::deque<Ends> pipes(Ring::kInFlightMax);
  std::size_t ended = 0;
  for (std::size_t i = 0; i < pipes.size(); ++i) {
    ASSERT_TRUE(ring->splice(file.get(), i * 65'536, pipes[i].writing.get(), 65'536, [&](int n) {
      EXPECT_GT(n, 0);
      ++ended;
    }));
  }
  const Ends one_more;
  EXPECT_FALSE(ring->splice(file.get(), 0, one_more.writing.get(), 1, [](int) { FAIL(); }));
  ASSERT_TRUE(loop.run_until([&] { return ended == pipes.size(); }));
  for (std::size_t i = 0; i < pipes.size(); ++i) {
    const std::string text = pipes[i].read(65'536);
    EXPECT_EQ(text, file.range(i * 65'536, text.size()));
  }
}

TEST_F(RingTest, StartsTheNextWhereOneEnds) {
  std::deque<Ends> pipes(20);
  std::size_t started = 0;
  const std::function<void(int)> next = [&](int) {
    if (started == pipes.size()) return;
    ASSERT_TRUE(ring->splice(file.get(), 0, pipes[started++].writing.get(), 10, next));
  };
  next(0);
  ASSERT_TRUE(loop.run_until([&] { return ring->in_flight() == 0; }));
  EXPECT_EQ(started, pipes.size());
}

TEST_F(RingTest, EndsWhatIsInFlight) {
  std::deque<Ends> pipes(10);
  const auto held = std::make_shared<int>(1);
  static_cast<void>(file.make_cold());
  for (std::size_t i = 0; i < pipes.size(); ++i) {
    ASSERT_TRUE(
        ring->splice(file.get(), i * 400'000, pipes[i].writing.get(), 65'536, [held](int) {}));
  }
  ring.reset();
  EXPECT_EQ(held.use_count(), 1);
}

TEST(Ring, ThatIsRefusedIsNone) {
  for (const int error : {EPERM, ENOSYS, ENOMEM}) {
    std::thread sandboxed([error] {
      if (!refuse_call(SYS_io_uring_setup, error)) GTEST_SKIP() << "no seccomp here";
      const auto before = open_descriptors();
      Loop loop;
      const auto with_loop = open_descriptors();
      EXPECT_EQ(Ring::open(loop.executor()), nullptr);
      EXPECT_EQ(open_descriptors(), with_loop);
      loop.end();
      EXPECT_EQ(open_descriptors(), before);
    });
    sandboxed.join();
  }
}

}  // namespace
}  // namespace tallygate::disk
