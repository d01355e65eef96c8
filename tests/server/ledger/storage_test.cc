#include "server/ledger/storage.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "tests/support/temp_dir.h"

namespace tallygate::ledger {
namespace {

namespace errc = boost::system::errc;

class StorageTest : public testing::Test {
 protected:
  StorageTest() {
    auto opened = open_directory((temp / "ledger").string(), true);
    EXPECT_TRUE(opened);
    directory = std::move(*opened);
  }
  std::unique_ptr<File> create(const std::string& name, std::string_view content = {}) {
    auto file = directory->create(name);
    EXPECT_TRUE(file);
    EXPECT_FALSE((*file)->write_at(0, content));
    return std::move(*file);
  }
  std::unique_ptr<File> open(const std::string& name) {
    auto file = directory->open(name);
    EXPECT_TRUE(file);
    return std::move(*file);
  }
  static std::string read(File& file, std::uint64_t offset, std::size_t bytes) {
    std::string buffer(bytes, '?');
    const auto got = file.read_at(offset, buffer);
    EXPECT_TRUE(got);
    buffer.resize(*got);
    return buffer;
  }
  [[nodiscard]] struct stat about(const std::string& name) const {
    struct stat about {};
    EXPECT_EQ(::stat((temp / "ledger" / name).c_str(), &about), 0);
    return about;
  }

  TempDir temp;
  std::unique_ptr<Directory> directory;
};

// -- files --------------------------------------------------------------------------------------

TEST_F(StorageTest, ReadsWhatWasWrittenAndLessAtTheEndOfTheFile) {
  const auto file = create("f", "0123456789");
  EXPECT_EQ(*file->size(), 10u);
  const struct {
    std::uint64_t offset;
    std::size_t bytes;
    const char* content;
  } cases[] = {
      {0, 10, "0123456789"}, {3, 4, "3456"}, {8, 2, "89"}, {8, 100, "89"},
      {9, 100, "9"},         {10, 100, ""},  {500, 1, ""}, {0, 0, ""},
  };
  for (const auto& c : cases) EXPECT_EQ(read(*file, c.offset, c.bytes), c.content) << c.offset;
  EXPECT_FALSE(file->write_at(4, "xy"));
  EXPECT_EQ(read(*open("f"), 0, 99), "0123xy6789");
  EXPECT_FALSE(file->write_at(12, "z"));
  EXPECT_EQ(read(*file, 9, 99), (std::string{'9', '\0', '\0', 'z'}));
}

TEST_F(StorageTest, AllocatesSpaceThatReadsAsZeroesAndKeepsWhatIsThere) {
  const auto file = create("f", "head");
  EXPECT_FALSE(file->allocate(1 << 20));
  EXPECT_EQ(*file->size(), 1u << 20);
  EXPECT_GE(about("f").st_blocks * 512, 1 << 20) << "reserved, not only promised";
  const std::string content = read(*file, 0, 2 << 20);
  EXPECT_EQ(content.size(), 1u << 20);
  EXPECT_EQ(content.substr(0, 4), "head");
  EXPECT_EQ(content.find_first_not_of('\0', 4), std::string::npos);
  EXPECT_FALSE(file->allocate(1000));
  EXPECT_EQ(*file->size(), 1u << 20) << "it never takes any away";
}

TEST_F(StorageTest, SyncsAFileThatIsOnlyRead) {
  static_cast<void>(create("f", "content"));
  const auto file = open("f");
  EXPECT_FALSE(file->sync());
  EXPECT_EQ(read(*file, 0, 99), "content");
  EXPECT_EQ(file->write_at(0, "x"), errc::bad_file_descriptor);
  EXPECT_TRUE(file->allocate(100));
  EXPECT_EQ(read(*file, 0, 99), "content");
}

TEST_F(StorageTest, DropsFromTheCacheNothingThatWasWritten) {
  const std::string content(300'000, 'c');
  const auto file = create("f", content);
  file->drop_cache();  // not synced yet
  EXPECT_EQ(read(*file, 0, 400'000), content);
  EXPECT_FALSE(file->sync());
  file->drop_cache();
  EXPECT_EQ(read(*file, 0, 400'000), content);
  const auto reader = open("f");
  reader->drop_cache();
  EXPECT_EQ(read(*reader, 0, 400'000), content);
}

// A write that the system takes in part is gone on with, and the error is that of the rest.
TEST_F(StorageTest, WritesWhatTheSystemTakesAndSaysWhyNotTheRest) {  // J5
  const auto file = create("f");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 10'000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const error_code ec = file->write_at(0, std::string(30'000, 'x'));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, handler);
  EXPECT_EQ(ec, errc::file_too_large);
  EXPECT_EQ(*file->size(), 10'000u);
}

// -- names --------------------------------------------------------------------------------------

TEST_F(StorageTest, CreatesRenamesListsAndRemoves) {
  static_cast<void>(create("a", "of a"));
  static_cast<void>(create("b", "of b"));
  EXPECT_FALSE(directory->sync());
  EXPECT_FALSE(directory->rename("a", "b"));
  EXPECT_EQ(read(*open("b"), 0, 99), "of a") << "it replaces";
  EXPECT_EQ(directory->open("a").error(), errc::no_such_file_or_directory);
  auto names = *directory->list();
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<std::string>{".", "..", "b"}));
  EXPECT_EQ(directory->list()->size(), 3u) << "it may be listed again";
  EXPECT_FALSE(directory->remove("b"));
  EXPECT_EQ(directory->remove("b"), errc::no_such_file_or_directory);
  EXPECT_EQ(directory->rename("b", "c"), errc::no_such_file_or_directory);
}

TEST_F(StorageTest, CreatesAFileAnewThatIsThereAlready) {
  static_cast<void>(create("f", "long content"));
  const auto file = create("f", "x");
  EXPECT_EQ(read(*file, 0, 99), "x");
}

TEST_F(StorageTest, HidesWhatItMakesFromOthers) {
  static_cast<void>(create("f", "customers' counts"));
  EXPECT_EQ(about("f").st_mode & 0777, 0600u);
  EXPECT_EQ(about(".").st_mode & 0777, 0700u);
}

TEST_F(StorageTest, FollowsNoLink) {
  const auto outside = temp.write("outside", "precious");
  ASSERT_EQ(::symlink(outside.c_str(), (temp / "ledger" / "f").c_str()), 0);
  EXPECT_EQ(directory->open("f").error(), errc::too_many_symbolic_link_levels);
  EXPECT_EQ(directory->create("f").error(), errc::too_many_symbolic_link_levels);
}

TEST(Storage, OpensADirectoryThatIsThereAndMakesOneOnlyWhenToldTo) {
  const TempDir temp;
  const std::string path = (temp / "ledger").string();
  EXPECT_EQ(open_directory(path, false).error(), errc::no_such_file_or_directory);
  EXPECT_TRUE(open_directory(path, true));
  EXPECT_TRUE(open_directory(path, true));
  EXPECT_TRUE(open_directory(path, false));
  EXPECT_EQ(open_directory(path + "/no/parent", true).error(), errc::no_such_file_or_directory);
  const auto file = temp.write("file", "");
  EXPECT_EQ(open_directory(file.string(), true).error(), errc::not_a_directory);
}

// -- the lock -----------------------------------------------------------------------------------

TEST_F(StorageTest, LocksOutASecondHandleUntilTheFirstIsGone) {
  EXPECT_FALSE(directory->lock());
  auto second = open_directory((temp / "ledger").string(), false);
  EXPECT_EQ((*second)->lock(), errc::operation_would_block);
  EXPECT_FALSE(directory->lock()) << "its own is no hindrance";
  directory.reset();
  EXPECT_FALSE((*second)->lock());
}

TEST_F(StorageTest, LocksOutAnotherProcessUntilItDies) {  // J10
  int locked[2];
  ASSERT_EQ(::pipe2(locked, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto theirs = open_directory((temp / "ledger").string(), false);
    const char answer = theirs && !(*theirs)->lock() ? 'y' : 'n';
    static_cast<void>(!::write(locked[1], &answer, 1));
    ::pause();
    ::_exit(0);
  }
  char answer = 0;
  ASSERT_EQ(::read(locked[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  EXPECT_EQ(directory->lock(), errc::operation_would_block);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(directory->lock());
  ::close(locked[0]);
  ::close(locked[1]);
}

}  // namespace
}  // namespace tallygate::ledger
