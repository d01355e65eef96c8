#include "server/content/open_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/server/disk/loop.h"
#include "tests/server/ledger/largest_allocation.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fuse_mount.h"
#include "tests/support/temp_dir.h"

namespace tallygate::content {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

class OpenFilesTest : public testing::Test {
 protected:
  ~OpenFilesTest() override {
    off_loop.reset();
    loop.end();
  }
  std::shared_ptr<const OpenFile> open(std::string_view path) {
    auto file = files.try_open(path);
    if (!file) file = loop.await(files.open_slowly(path));
    return *file ? **file : nullptr;
  }
  static std::string read(const OpenFile& file) {
    std::string text(100, '\0');
    const ssize_t n = ::pread(file.descriptor.get(), text.data(), text.size(), 0);
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    return text;
  }
  void replace(std::string_view name, std::string_view content) {
    fs::rename(dir.write("new", content), dir / name);
  }
  static bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

  TempDir dir;
  FakeClock clock;
  ContentRoot root = std::move(*ContentRoot::open(dir.str()));
  http::MediaTypes types{""};
  disk::BlockingPool pool;
  disk::Loop loop;
  std::unique_ptr<disk::OffLoop> off_loop = std::make_unique<disk::OffLoop>(loop.executor(), pool);
  OpenFiles files{root, types, clock, 3, *off_loop, 200ms};
};

TEST_F(OpenFilesTest, SaysWhatEveryAnswerSays) {
  const auto path = dir.write("a.txt", "hello");
  const timespec times[2] = {{1'700'000'000, 5}, {1'700'000'000, 5}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  const auto file = open("/a.txt");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->version, (FileVersion{5, 1'700'000'000, 5}));
  EXPECT_EQ(file->etag.view(), etag(file->version).view());
  EXPECT_EQ(file->key, version_key("/a.txt", file->etag.view()));
  EXPECT_EQ(file->last_modified, 1'700'000'000);
  EXPECT_EQ(file->last_modified_text.view(), "Tue, 14 Nov 2023 22:13:20 GMT");
  EXPECT_TRUE(file->content_type.starts_with("text/plain"));
  EXPECT_EQ(read(*file), "hello");
}

TEST_F(OpenFilesTest, CountsHitsAndMissesAndWhatIsOpen) {
  dir.write("a", "x");
  const auto& counters = files.counters();
  static_cast<void>(open("/a"));
  static_cast<void>(open("/none"));
  EXPECT_EQ(counters.misses.value(), 2u);
  EXPECT_EQ(counters.hits.value(), 0u);
  EXPECT_EQ(counters.open.value(), 1u);
  static_cast<void>(open("/a"));
  EXPECT_EQ(counters.hits.value(), 1u);
  EXPECT_EQ(counters.misses.value(), 2u);
  files.forget("/a");
  EXPECT_EQ(counters.open.value(), 0u);
}

TEST_F(OpenFilesTest, LooksAgainOnlyWhenItsLookHasGrownOld) {
  dir.write("a", "old");
  const auto first = open("/a");
  replace("a", "newer");
  clock.advance(OpenFiles::kRevalidate - 1ms);
  EXPECT_EQ(open("/a"), first);
  clock.advance(1ms);
  const auto second = open("/a");
  ASSERT_NE(second, first);
  EXPECT_EQ(read(*second), "newer");
  EXPECT_EQ(second->version.size, 5u);
  EXPECT_NE(second->key, first->key);
  EXPECT_EQ(read(*first), "old") << "a transfer keeps the version that it began with";
}

TEST_F(OpenFilesTest, GivesTheSameObjectWhileTheFileIsTheSame) {
  dir.write("a", "text");
  const auto first = open("/a");
  clock.advance(OpenFiles::kRevalidate);
  EXPECT_EQ(open("/a"), first);
}

TEST_F(OpenFilesTest, KeepsWhatItKnowsWhileNoDescriptorIsLeft) {  // O2
#if defined(TALLYGATE_SANITIZED)
  GTEST_SKIP() << "the sanitizer looks at memory through a pipe";
#endif
  dir.write("a", "text");
  dir.write("b", "text");
  const auto first = open("/a");
  ASSERT_TRUE(first);
  clock.advance(OpenFiles::kRevalidate);
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none{0, before.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &none);
  const auto again = open("/a");
  const auto other = files.try_open("/b");
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(again, first);
  ASSERT_TRUE(other);
  EXPECT_EQ(other->error(), boost::system::errc::too_many_files_open);
  EXPECT_TRUE(open("/b"));  // by itself, when there are some again
  replace("a", "newer");
  EXPECT_EQ(read(*open("/a")), "newer");
}

TEST_F(OpenFilesTest, NoticesAChangeThatKeptSizeAndTime) {  // F11
  const auto path = dir.write("a", "text");
  const timespec times[2] = {{1, 0}, {1, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  const auto first = open("/a");
  replace("a", "TEXT");
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  clock.advance(OpenFiles::kRevalidate);
  const auto second = open("/a");
  EXPECT_NE(second, first);
  EXPECT_EQ(read(*second), "TEXT");
  EXPECT_EQ(second->etag.view(), first->etag.view()) << "as on any edge: no version of its own";
}

TEST_F(OpenFilesTest, ForgetsAFileThatIsGone) {
  dir.write("a", "text");
  ASSERT_TRUE(open("/a"));
  fs::remove(dir / "a");
  ASSERT_TRUE(open("/a")) << "not looked at yet";
  clock.advance(OpenFiles::kRevalidate);
  EXPECT_FALSE(open("/a"));
  EXPECT_EQ(files.size(), 0u);
  dir.write("a", "again");
  EXPECT_TRUE(open("/a")) << "a missing file is not remembered";
}

TEST_F(OpenFilesTest, HoldsTheMostRecentlyUsedAndNoMoreThanItMay) {
  for (const char* name : {"a", "b", "c", "d"}) dir.write(name, name);
  const int a = open("/a")->descriptor.get();
  const int b = open("/b")->descriptor.get();
  ASSERT_TRUE(open("/c"));
  ASSERT_TRUE(open("/a"));  // used again
  EXPECT_EQ(files.size(), 3u);
  ASSERT_TRUE(is_open(b));
  const auto d = open("/d");
  EXPECT_EQ(files.size(), 3u);
  EXPECT_TRUE(is_open(a));
  EXPECT_EQ(open("/a")->descriptor.get(), a) << "still the same";
}

TEST_F(OpenFilesTest, ClosesAFileWhenItsLastTransferEnds) {
  dir.write("a", "text");
  auto transfer = open("/a");
  const int fd = transfer->descriptor.get();
  files.forget("/a");
  EXPECT_EQ(files.size(), 0u);
  EXPECT_TRUE(is_open(fd));
  transfer.reset();
  EXPECT_FALSE(is_open(fd));
}

TEST_F(OpenFilesTest, ForgetsWhatItIsToldToByAViewOfItsOwnName) {
  dir.write("a", "text");
  ASSERT_TRUE(open("/a"));
  files.forget("/nobody");
  EXPECT_EQ(files.size(), 1u);
  files.forget("/a");
  files.forget("/a");
  EXPECT_EQ(files.size(), 0u);
}

TEST_F(OpenFilesTest, RefusesWhatTheRootRefuses) {
  fs::create_symlink("a", dir / "link");
  EXPECT_FALSE(open("/link"));
  EXPECT_FALSE(open("/../etc/passwd"));
  EXPECT_EQ(files.size(), 0u);
}

// -- off the loop -------------------------------------------------------------------------------

TEST_F(OpenFilesTest, OpensInPlaceWhatIsInMemoryOnAFileSystemItKnows) {
  dir.write("a", "a");
  dir.write("b", "b");
  EXPECT_FALSE(files.try_open("/a")) << "which file system is that?";
  const auto a = open("/a");
  ASSERT_TRUE(a);
  EXPECT_EQ(a->file_system.device, a->status.device);
  EXPECT_FALSE(a->file_system.may_hang);
  const auto b = files.try_open("/b");
  ASSERT_TRUE(b);
  EXPECT_EQ(read(***b), "b");
  clock.advance(OpenFiles::kRevalidate);
  const auto again = files.try_open("/b");
  ASSERT_TRUE(again);
  EXPECT_EQ(**again, **b);
  const auto missing = files.try_open("/nothing");
  EXPECT_FALSE(missing && *missing);
  EXPECT_EQ(open("/nothing"), nullptr);
}

TEST_F(OpenFilesTest, AllocatesNothingForAHit) {
  const std::string path = "/a/long/enough/name/to/need/an/allocation/of/its/own";
  dir.write(path.substr(1), "text");
  ASSERT_TRUE(open(path));
  largest_allocation = 0;
  const auto hit = files.try_open(path);
  clock.advance(OpenFiles::kRevalidate);
  const auto checked = files.try_open(path);
  EXPECT_EQ(largest_allocation, 0u);
  EXPECT_TRUE(hit && checked);
}

TEST_F(OpenFilesTest, LooksOnceForAllWhoWaitForAPath) {
  dir.write("a", "text");
  disk::Gate gate;
  disk::BlockingPool narrow({.threads_max = 1});
  disk::OffLoop narrow_way(loop.executor(), narrow);
  OpenFiles other(root, types, clock, 3, narrow_way, 20s);
  ASSERT_TRUE(narrow.post(1, gate.job()));
  std::vector<std::shared_ptr<disk::Outcome<OpenFiles::Opened>>> waiters;
  for (int i = 0; i < 10; ++i) waiters.push_back(loop.begin(other.open_slowly("/a")));
  for (const auto& waiter : waiters) EXPECT_FALSE(waiter->value);
  gate.open();
  for (const auto& waiter : waiters) {
    ASSERT_TRUE(loop.run_until([&] { return waiter->value.has_value(); }));
    ASSERT_TRUE(*waiter->value);
    EXPECT_EQ(**waiter->value, **waiters.front()->value);
  }
  EXPECT_EQ(other.size(), 1u);
}

TEST_F(OpenFilesTest, GoesOnWhenTheDiskTakesTooLong) {
  dir.write("a", "text");
  disk::Gate gate;
  disk::BlockingPool narrow({.threads_max = 1});
  disk::OffLoop narrow_way(loop.executor(), narrow);
  OpenFiles other(root, types, clock, 3, narrow_way, 30ms);
  ASSERT_TRUE(narrow.post(1, gate.job()));
  const auto late = loop.await(other.open_slowly("/a"));
  EXPECT_EQ(late.error(), boost::system::errc::timed_out);
  gate.open();
  EXPECT_TRUE(loop.run_until([&] { return other.size() == 1; })) << "it is there for the next one";
  EXPECT_TRUE(other.try_open("/a"));
}

TEST_F(OpenFilesTest, RefusesWhenTooManyWait) {
  dir.write("a", "text");
  disk::Gate gate;
  disk::BlockingPool narrow({.per_lane_max = 1, .waiting_per_lane_max = 1});
  disk::OffLoop narrow_way(loop.executor(), narrow);
  OpenFiles other(root, types, clock, 3, narrow_way, 20s);
  const auto in_lane = [&](const std::string& path) { return other.open_slowly(path); };
  dir.write("d/1", "1");
  dir.write("d/2", "2");
  dir.write("d/3", "3");
  ASSERT_TRUE(narrow.post(std::hash<std::string_view>{}("/d"), gate.job()));
  const auto first = loop.begin(in_lane("/d/1"));
  const auto second = loop.await(in_lane("/d/2"));
  EXPECT_EQ(second.error(), boost::system::errc::resource_unavailable_try_again);
  EXPECT_TRUE(loop.await(in_lane("/a"))) << "another folder";
  gate.open();
  EXPECT_TRUE(loop.run_until([&] { return first->value.has_value(); }));
}

class OpenFilesOnAFileSystemThatHangs : public OpenFilesTest {
 protected:
  void SetUp() override {
    if (!net.is_mounted()) GTEST_SKIP() << "no FUSE here";
    dir.write("here", "here");
    ASSERT_TRUE(open("/here"));
  }
  // What is still open there is closed by the pool, which must outlive it: others take its places.
  void TearDown() override {
    net.hang(false);
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(disk::comes_true([&] { return pool.is_idle(); }));
      const std::string name = "local" + std::to_string(i);
      dir.write(name, name);
      EXPECT_TRUE(loop.await(files.open_slowly("/" + name)));  // behind all that came back
    }
    EXPECT_TRUE(disk::comes_true([&] { return pool.is_idle(); }));
  }
  static std::filesystem::path made(std::filesystem::path folder) {
    fs::create_directory(folder);
    return folder;
  }

  FuseMount net{made(dir / "net"), "far away"};
};

TEST_F(OpenFilesOnAFileSystemThatHangs, AsksForItOffTheLoopEachTime) {
  const auto file = open("/net/file");
  ASSERT_TRUE(file);
  EXPECT_EQ(read(*file), "far away");
  EXPECT_TRUE(file->file_system.may_hang);
  EXPECT_TRUE(files.try_open("/net/file")) << "for a moment";
  clock.advance(OpenFiles::kRevalidate);
  EXPECT_FALSE(files.try_open("/net/file"));
  EXPECT_EQ(open("/net/file"), file);
  files.forget("/net/file");
  EXPECT_FALSE(files.try_open("/net/file")) << "opening it may hang, though its name is known";
}

TEST_F(OpenFilesOnAFileSystemThatHangs, LeavesOthersAlone) {
  auto file = open("/net/file");
  ASSERT_TRUE(file);
  net.hang();
  clock.advance(OpenFiles::kRevalidate);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(files.try_open("/net/file"));
  EXPECT_FALSE(files.try_open("/net/other"));
  EXPECT_TRUE(files.try_open("/here"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 100ms);
  const auto late = loop.await(files.open_slowly("/net/file"));
  EXPECT_EQ(late.error(), boost::system::errc::timed_out);
  for (int i = 0; i < 40; ++i) {
    static_cast<void>(loop.begin(files.open_slowly("/net/" + std::to_string(i))));
  }
  dir.write("new/file", "new");
  EXPECT_TRUE(open("/new/file"));
  const auto close = std::chrono::steady_clock::now();
  files.forget("/net/file");
  file.reset();  // closing it asks the other side
  EXPECT_LT(std::chrono::steady_clock::now() - close, 100ms);
  net.hang(false);
  EXPECT_TRUE(disk::comes_true([&] { return pool.running() == 0; }));
}

}  // namespace
}  // namespace tallygate::content
