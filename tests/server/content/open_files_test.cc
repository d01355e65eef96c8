#include "server/content/open_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"

namespace tallygate::content {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

class OpenFilesTest : public testing::Test {
 protected:
  std::shared_ptr<const OpenFile> open(std::string_view path) {
    auto file = files.open(path);
    return file ? *file : nullptr;
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
  OpenFiles files{root, types, clock, 3};
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

TEST_F(OpenFilesTest, NoticesAChangeThatKeptSizeAndTime) {
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

}  // namespace
}  // namespace tallygate::content
