#include "server/disk/cold_reader.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/server/disk/big_file.h"
#include "tests/server/disk/loop.h"
#include "tests/support/fuse_mount.h"
#include "tests/support/refuse_call.h"

namespace tallygate::disk {
namespace {

constexpr std::size_t kBytes = (3 << 20) + 1234;
constexpr std::size_t kQuantum = 512 << 10;

std::string read_all(const Filled& filled) {
  std::string text(kQuantum + 1, '\0');
  const ssize_t n = ::read(filled.pipe.reading(), text.data(), text.size());
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  return text;
}

// A worker's parts, ended in the order in which a worker ends them.
struct Parts {
  Parts(BlockingPool& pool, ColdReader::Options options)
      : off_loop(std::make_unique<OffLoop>(loop.executor(), pool)),
        reader(std::make_unique<ColdReader>(loop.executor(), *off_loop, options)) {}
  ~Parts() { end(); }
  void end() {
    reader.reset();
    off_loop.reset();
    loop.end();
  }

  Loop loop;
  std::unique_ptr<OffLoop> off_loop;
  std::unique_ptr<ColdReader> reader;
};

// The parameter: by a ring, or by the pool.
class ColdReaderTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam() && !parts.reader->has_ring()) GTEST_SKIP() << "io_uring is refused here";
  }
  Task<Filled> fill(std::size_t offset, std::size_t bytes, std::chrono::milliseconds timeout = 20s,
                    std::shared_ptr<const void> keep = nullptr) {
    return parts.reader->fill(std::move(keep), file.get(), file.on(), offset, bytes, timeout);
  }

  BlockingPool pool;
  Parts parts{pool, {.use_ring = GetParam()}};
  BigFile file{kBytes};
};

INSTANTIATE_TEST_SUITE_P(By, ColdReaderTest, testing::Values(true, false),
                         [](const auto& by) { return by.param ? "Ring" : "Pool"; });

TEST_P(ColdReaderTest, BringsTheRightBytes) {
  struct Range {
    std::size_t offset;
    std::size_t bytes;
  };
  const std::vector<Range> ranges{{0, kQuantum},       {0, 1},
                                  {4096, 4096},        {4095, 2},
                                  {1'000'001, 99'999}, {7, kQuantum},
                                  {1 << 20, 10 << 20}, {kBytes - 1, 1},
                                  {kBytes - 1, 4096},  {kBytes - kQuantum, kQuantum}};
  for (const bool cold : {true, false}) {
    for (const auto& [offset, bytes] : ranges) {
      if (cold && !file.make_cold()) GTEST_SKIP() << "this file system keeps its pages";
      const Filled filled = parts.loop.await(fill(offset, bytes));
      ASSERT_EQ(filled.error, 0) << offset;
      ASSERT_GT(filled.bytes, 0u) << offset;
      const std::string text = read_all(filled);
      EXPECT_EQ(text.size(), filled.bytes);
      EXPECT_TRUE(text == file.range(offset, filled.bytes)) << offset << " " << bytes;
      EXPECT_LE(filled.bytes, bytes);
    }
  }
  EXPECT_EQ(parts.reader->pipes().in_use(), 0u);
}

TEST_P(ColdReaderTest, BringsNothingFromBeyondTheEnd) {
  for (const std::size_t offset : {kBytes, kBytes + 4096, kBytes * 10}) {
    const Filled filled = parts.loop.await(fill(offset, 100));
    EXPECT_EQ(filled.error, 0);
    EXPECT_EQ(filled.bytes, 0u);
  }
}

TEST_P(ColdReaderTest, SaysWhyNot) {
  const Filled filled = parts.loop.await(parts.reader->fill(nullptr, -1, file.on(), 0, 100, 20s));
  EXPECT_EQ(filled.error, EBADF);
  EXPECT_FALSE(filled.pipe);
  EXPECT_EQ(parts.reader->pipes().in_use(), 0u);
}

TEST_P(ColdReaderTest, LeavesThePagesForTheNextLook) {
  if (!file.make_cold()) GTEST_SKIP() << "this file system keeps its pages";
  const std::size_t offset = 1 << 20;
  const Filled filled = parts.loop.await(fill(offset, kQuantum));
  ASSERT_GT(filled.bytes, 0u);
  EXPECT_EQ(look(file.on(), file.get(), offset), Residency::hot);
  EXPECT_EQ(look(file.on(), file.get(), offset + filled.bytes - 1), Residency::hot);
}

TEST_P(ColdReaderTest, ServesMoreThanThereArePipes) {
  static_cast<void>(file.make_cold());
  const auto before = open_descriptors();
  std::size_t right = 0;
  const auto one = [&](std::size_t offset) -> Task<bool> {
    const Filled filled = co_await fill(offset, 40'000);
    if (read_all(filled) == file.range(offset, filled.bytes)) ++right;
    co_return filled.bytes > 0;
  };
  std::vector<std::shared_ptr<Outcome<bool>>> outcomes;
  for (std::size_t i = 0; i < 200; ++i) outcomes.push_back(parts.loop.begin(one(i * 15'013)));
  ASSERT_TRUE(parts.loop.run_until([&] {
    return std::all_of(outcomes.begin(), outcomes.end(),
                       [](const auto& o) { return o->value.has_value(); });
  }));
  EXPECT_EQ(right, 200u);
  EXPECT_EQ(parts.reader->pipes().in_use(), 0u);
  EXPECT_EQ(parts.reader->in_flight(), 0u);
  EXPECT_LE(parts.reader->pipes().idle(), 16u);
  EXPECT_EQ(open_descriptors(), before + 2 * parts.reader->pipes().idle() + 1) << "and /dev/null";
}

TEST_P(ColdReaderTest, KeepsTheFileUntilTheOperationHasEnded) {
  static_cast<void>(file.make_cold());
  std::weak_ptr<const void> kept;
  {
    const auto keep = std::make_shared<const int>(1);
    kept = keep;
    const Filled filled = parts.loop.await(fill(0, kQuantum, 20s, keep));
    EXPECT_GT(filled.bytes, 0u);
  }
  EXPECT_TRUE(parts.loop.run_until([&] { return kept.expired(); }));
}

// Cut at every moment of its life: the loop ends with it.
TEST_P(ColdReaderTest, LeaksNothingWhenItIsCutInFlight) {
  const auto before = open_descriptors();
  for (int i = 0; i < 60; ++i) {
    static_cast<void>(file.make_cold());
    Parts cut(pool, {.use_ring = GetParam()});
    const auto keep = std::make_shared<const int>(1);
    std::vector<std::shared_ptr<Outcome<Filled>>> outcomes;
    for (std::size_t n = 0; n < 40; ++n) {
      outcomes.push_back(cut.loop.begin(cut.reader->fill(keep, file.get(), file.on(), n * 50'000,
                                                         50'000, std::chrono::milliseconds(n))));
    }
    static_cast<void>(cut.loop.run_until([] { return false; }, std::chrono::milliseconds(i % 10)));
    cut.end();
    outcomes.clear();
    EXPECT_TRUE(comes_true([&] { return keep.use_count() == 1; }));
  }
  EXPECT_TRUE(comes_true([&] { return open_descriptors() == before; }));
}

TEST_P(ColdReaderTest, OfADeviceThatHangsLeavesOthersAlone) {
  FileSystem hanging = file.on();
  hanging.device += 1;
  hanging.may_hang = true;
  Gate gate;
  for (int i = 0; i < 16; ++i) ASSERT_TRUE(pool.post(hanging.device, gate.job()));
  std::vector<std::shared_ptr<Outcome<Filled>>> hung;
  for (int i = 0; i < 100; ++i) {
    hung.push_back(parts.loop.begin(parts.reader->fill(nullptr, file.get(), hanging, 0, 100, 1h)));
  }
  for (int i = 0; i < 50; ++i) {
    const Filled filled = parts.loop.await(fill(0, 4096));
    EXPECT_EQ(filled.bytes, 4096u);
  }
  EXPECT_EQ(parts.reader->pipes().in_use(), 16u);
  gate.open();
  EXPECT_TRUE(parts.loop.run_until([&] {
    return std::all_of(hung.begin(), hung.end(), [&](const auto& o) {
      if (o->value) o->value->pipe = Pipe();  // the next one has it
      return o->value.has_value();
    });
  }));
}

TEST_P(ColdReaderTest, EndsAfterItsThread) {
  // As in the server: the thread that submitted ends, and then another destroys everything.
  const auto before = open_descriptors();
  for (int i = 0; i < 20; ++i) {
    static_cast<void>(file.make_cold());
    Parts worker(pool, {.use_ring = GetParam()});
    std::thread([&] {
      for (std::size_t n = 0; n < 10; ++n) {
        worker.loop.begin(
            worker.reader->fill(nullptr, file.get(), file.on(), n * 300'000, 300'000, 10s));
      }
    }).join();
  }
  EXPECT_TRUE(comes_true([&] { return open_descriptors() == before; }));
}

// -- with a disk that hangs ---------------------------------------------------------------------

class ColdReaderOfAHangingFile : public ColdReaderTest {
 protected:
  void SetUp() override {
    ColdReaderTest::SetUp();
    if (!net.is_mounted()) GTEST_SKIP() << "no FUSE here";
    far = Descriptor(::open((dir / "file").c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(far);
    struct stat status {};
    ASSERT_EQ(::fstat(far.get(), &status), 0);
    on = inspect(far.get(), status.st_dev);
    ASSERT_TRUE(on.may_hang);
    on.may_hang = false;  // or the ring would not be asked
    net.hang();
  }
  void TearDown() override { net.hang(false); }
  Task<Filled> fill_from_afar(Parts& by, std::size_t offset, std::chrono::milliseconds timeout) {
    return by.reader->fill(keep, far.get(), on, offset, 4096, timeout);
  }

  TempDir dir;
  FuseMount net{dir.str(), std::string(1 << 20, 'x')};
  Descriptor far;
  FileSystem on;
  std::shared_ptr<const int> keep = std::make_shared<const int>(1);
};

INSTANTIATE_TEST_SUITE_P(By, ColdReaderOfAHangingFile, testing::Values(true, false),
                         [](const auto& by) { return by.param ? "Ring" : "Pool"; });

TEST_P(ColdReaderOfAHangingFile, GoesOnAfterItsDeadline) {
  const auto begin = std::chrono::steady_clock::now();
  {
    const Filled filled = parts.loop.await(fill_from_afar(parts, 0, 50ms));
    EXPECT_EQ(filled.error, ETIMEDOUT);
    EXPECT_FALSE(filled.pipe);
  }
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 50ms);
  EXPECT_EQ(parts.reader->in_flight(), 1u);
  EXPECT_EQ(parts.reader->pipes().in_use(), 1u) << "it may still be filled";
  EXPECT_EQ(keep.use_count(), 2);
  net.hang(false);
  ASSERT_TRUE(parts.loop.run_until([&] { return parts.reader->in_flight() == 0; }));
  EXPECT_EQ(parts.reader->pipes().in_use(), 0u);
  EXPECT_EQ(parts.reader->pipes().idle(), 1u);
  EXPECT_EQ(keep.use_count(), 1);
}

TEST_P(ColdReaderOfAHangingFile, LeavesOthersAlone) {
  std::vector<std::shared_ptr<Outcome<Filled>>> hung;
  for (std::size_t i = 0; i < 40; ++i) {
    hung.push_back(parts.loop.begin(fill_from_afar(parts, i * 4096, 100ms)));
  }
  EXPECT_EQ(parts.reader->in_flight(), 16u);
  for (int i = 0; i < 50; ++i) {
    static_cast<void>(file.make_cold());
    const Filled filled = parts.loop.await(fill(0, 4096));
    EXPECT_EQ(filled.bytes, 4096u);
  }
  ASSERT_TRUE(parts.loop.run_until([&] {
    return std::all_of(hung.begin(), hung.end(),
                       [](const auto& o) { return o->value.has_value(); });
  }));
  for (const auto& each : hung) EXPECT_EQ((*each->value).error, ETIMEDOUT);
}

TEST_P(ColdReaderOfAHangingFile, EndsWithoutIt) {
  const auto before = open_descriptors();
  {
    Parts worker(pool, {.use_ring = GetParam()});
    const auto waiting = worker.loop.begin(fill_from_afar(worker, 0, 1h));
    EXPECT_EQ(worker.reader->in_flight(), 1u);
    ASSERT_TRUE(comes_true([&] { return net.unanswered() > 0; }));
    const auto begin = std::chrono::steady_clock::now();
    worker.end();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
    EXPECT_TRUE(waiting->dropped);
  }
  EXPECT_EQ(keep.use_count(), 2) << "the kernel may still look for its descriptor";
  EXPECT_EQ(open_descriptors(), before + 2);
  net.hang(false);
  if (GetParam()) return;  // what the kernel never told about is kept for good
  EXPECT_TRUE(comes_true([&] { return keep.use_count() == 1; }));
  EXPECT_TRUE(comes_true([&] { return open_descriptors() == before; }));
}

// -- by the pool --------------------------------------------------------------------------------

TEST(ColdReader, UsesThePoolWhereIoUringIsRefused) {
  const BigFile file(kBytes);
  std::thread sandboxed([&] {
    if (!refuse_call(SYS_io_uring_setup, EPERM)) GTEST_SKIP() << "no seccomp here";
    BlockingPool pool;
    Parts parts(pool, {});
    EXPECT_FALSE(parts.reader->has_ring());
    static_cast<void>(file.make_cold());
    const Filled filled =
        parts.loop.await(parts.reader->fill(nullptr, file.get(), file.on(), 4096, kQuantum, 20s));
    EXPECT_EQ(filled.error, 0);
    EXPECT_EQ(filled.bytes, kQuantum);
    EXPECT_TRUE(read_all(filled) == file.range(4096, kQuantum));
    EXPECT_EQ(pool.threads(), 1u);
  });
  sandboxed.join();
}

TEST(ColdReader, UsesThePoolWhereItMayHang) {
  const BigFile file(kBytes);
  BlockingPool pool;
  Parts parts(pool, {});
  FileSystem network = file.on();
  network.may_hang = true;
  const Filled filled =
      parts.loop.await(parts.reader->fill(nullptr, file.get(), network, 0, 100, 20s));
  EXPECT_EQ(filled.bytes, 100u);
  EXPECT_EQ(pool.threads(), 1u);
}

TEST(ColdReader, RefusesWhatThePoolRefuses) {
  const BigFile file(kBytes);
  BlockingPool pool({.per_lane_max = 1, .waiting_per_lane_max = 0});
  Parts parts(pool, {.use_ring = false});
  Gate gate;
  ASSERT_TRUE(pool.post(file.on().device, gate.job()));
  const Filled filled =
      parts.loop.await(parts.reader->fill(nullptr, file.get(), file.on(), 0, 100, 20s));
  EXPECT_EQ(filled.error, EAGAIN);
  EXPECT_EQ(parts.reader->pipes().in_use(), 0u);
  EXPECT_EQ(parts.reader->in_flight(), 0u);
  gate.open();
}

}  // namespace
}  // namespace tallygate::disk
