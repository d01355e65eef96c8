#include "server/content/root.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <atomic>
#include <thread>

#include "tests/support/refuse_call.h"
#include "tests/support/temp_dir.h"

namespace tallygate::content {
namespace {

namespace fs = std::filesystem;

class ContentRootTest : public testing::Test {
 protected:
  ContentRootTest() {
    inside.write("music/a.flac", "inside");
    outside.write("secret", "outside");
  }
  std::string read(std::string_view path) {
    const auto fd = root.open_file(path);
    if (!fd) return "! " + fd.error().message();
    std::string text(100, '\0');
    const ssize_t n = ::read(fd->get(), text.data(), text.size());
    text.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
    return text;
  }
  bool refuses(std::string_view path) { return read(path).starts_with("!"); }

  TempDir inside;
  TempDir outside;
  ContentRoot root = std::move(*ContentRoot::open(inside.str()));
};

TEST_F(ContentRootTest, OpensARegularFileBelowIt) {
  EXPECT_EQ(read("/music/a.flac"), "inside");
  inside.write("Größe XL", "name");
  EXPECT_EQ(read("/Größe XL"), "name");
  inside.write("empty", "");
  EXPECT_EQ(read("/empty"), "");
}

TEST_F(ContentRootTest, LeadsNowhereElse) {
  fs::create_symlink(outside / "secret", inside / "link");
  fs::create_symlink("a.flac", inside / "music/inner");
  fs::create_directory_symlink(outside.str(), inside / "folder");
  fs::create_directory_symlink("music", inside / "same");
  fs::create_symlink("/proc/self/root", inside / "magic");
  const std::string secret = outside.str() + "/secret";
  const std::string up = "/../" + fs::path(outside.str()).filename().string() + "/secret";
  const std::string paths[] = {
      "/link",
      "/music/inner",
      "/folder/secret",
      "/same/a.flac",
      "/magic" + secret,
      "/magic",
      secret,
      "/" + secret,
      up,
      "/music/../.." + up,
      "/music/..",
      "/..",
      "/.",
      "/",
      "",
      "/music",
      "/music/",
      "/missing",
      "/music/a.flac/",
      "/music/a.flac/x",
      "/music/a.fla",
      "/MUSIC/a.flac",
  };
  for (const std::string& path : paths) EXPECT_TRUE(refuses(path)) << path << ": " << read(path);
}

TEST_F(ContentRootTest, DoesNotReachAProcessThroughProc) {  // F2
  auto proc = ContentRoot::open("/proc");
  ASSERT_TRUE(proc) << proc.error();
  EXPECT_TRUE(proc->open_file("/self/root/etc/hostname").has_error());
  const std::string own = "/" + std::to_string(::getpid());
  EXPECT_TRUE(proc->open_file(own + "/root/etc/hostname").has_error());
  EXPECT_TRUE(proc->open_file(own + "/exe").has_error());
}

TEST_F(ContentRootTest, StopsAtANulInsteadOfReadingUpToIt) {
  EXPECT_EQ(read(std::string_view("/music/a.flac\0.txt", 18)), "! No such file or directory");
}

TEST_F(ContentRootTest, OpensNothingThatIsNoFileAndNeverWaitsForIt) {  // F4
  ASSERT_EQ(::mkfifo((inside / "fifo").c_str(), 0600), 0);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (inside / "socket").string().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(root.open_file("/fifo").error(), boost::system::errc::no_such_file_or_directory);
  EXPECT_TRUE(refuses("/socket"));
  EXPECT_EQ(root.open_file("/music").error(), boost::system::errc::no_such_file_or_directory);
  ::close(socket);
}

TEST_F(ContentRootTest, OpensAFileWhoseNameIsAsLongAsNamesMayBe) {
  inside.write(std::string(255, 'x'), "long");
  EXPECT_EQ(read("/" + std::string(255, 'x')), "long");
  EXPECT_TRUE(refuses("/" + std::string(256, 'x')));
  EXPECT_TRUE(refuses("/" + std::string(5000, 'x')));
}

// While a folder is swapped with a link to the outside, over and over, what is read is what is
// inside or nothing.
TEST_F(ContentRootTest, NeverOpensWhatALinkThatIsSwappedInPointsTo) {  // F2
  outside.write("a.flac", "outside");
  fs::create_directory_symlink(outside.str(), inside / "swap");
  std::atomic<bool> stop{false};
  std::thread swapper([&] {
    const std::string a = (inside / "music").string();
    const std::string b = (inside / "swap").string();
    while (!stop) ::syscall(SYS_renameat2, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), 2);
  });
  int opened = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = read("/music/a.flac");
    EXPECT_NE(text, "outside");
    opened += text == "inside";
  }
  stop = true;
  swapper.join();
  EXPECT_GT(opened, 0);
}

// -- without waiting ----------------------------------------------------------------------------

TEST_F(ContentRootTest, OpensInPlaceWhatIsInMemory) {
  const auto file = root.open_file("/music/a.flac");  // its name is known from here on
  ASSERT_TRUE(file);
  const auto cached = root.open_cached("/music/a.flac");
  ASSERT_TRUE(cached);
  const auto seen = root.look_cached("/music/a.flac");
  ASSERT_TRUE(seen);
  EXPECT_EQ(*seen, *status_of(cached->get()));
  EXPECT_EQ(seen->version.size, 6u);
}

TEST_F(ContentRootTest, RefusesTheSameWithoutWaiting) {
  fs::create_symlink("music/a.flac", inside / "link");
  for (const auto& path :
       {std::string("/link"), std::string("/../") + outside.str(), std::string("/music"),
        std::string("/music/a.flac\0x", 15), "/" + std::string(5000, 'x')}) {
    EXPECT_FALSE(root.open_file(path));
    EXPECT_FALSE(root.open_cached(path)) << path;
    EXPECT_FALSE(root.look_cached(path)) << path;
  }
}

TEST_F(ContentRootTest, WaitsForEverythingOnAKernelThatCannotTell) {
  std::thread old([&] {
    if (!refuse_call(SYS_openat2, EINVAL)) GTEST_SKIP() << "no seccomp here";
    EXPECT_EQ(root.open_cached("/music/a.flac").error(),
              boost::system::errc::resource_unavailable_try_again);
    EXPECT_EQ(root.look_cached("/music/a.flac").error(),
              boost::system::errc::resource_unavailable_try_again);
  });
  old.join();
}

TEST_F(ContentRootTest, OpensNothingOnDescriptorsThatAreForOthers) {  // O2
  const auto few = ContentRoot::open(inside.str(), 0);
  ASSERT_TRUE(few);
  EXPECT_EQ(few->open_file("/music/a.flac").error(), boost::system::errc::too_many_files_open);
  const int next = root.open_file("/music/a.flac")->get();
  const auto one = ContentRoot::open(inside.str(), next + 2);
  ASSERT_TRUE(one);  // its folder has taken `next`
  const auto first = one->open_file("/music/a.flac");
  EXPECT_TRUE(first);
  EXPECT_EQ(one->open_file("/music/a.flac").error(), boost::system::errc::too_many_files_open);
  EXPECT_EQ(one->open_file("/music/none").error(), boost::system::errc::no_such_file_or_directory);
}

TEST(ContentRoot, IsNotServedFromWhereTheKernelDoesNotKeepToIt) {  // F3
  const TempDir dir;
  std::thread old([&] {
    if (!refuse_call(SYS_openat2, ENOSYS)) GTEST_SKIP() << "no seccomp here";
    const auto root = ContentRoot::open(dir.str());
    ASSERT_FALSE(root);
    EXPECT_EQ(root.error().find("openat2(2) is not available"), 0u) << root.error();
  });
  old.join();
}

TEST(ContentRoot, ThatDoesNotExistSaysSo) {
  const auto root = ContentRoot::open("/nonexistent/folder");
  ASSERT_FALSE(root);
  EXPECT_EQ(root.error(),
            "content.root /nonexistent/folder cannot be opened: No such file or directory");
  const TempDir dir;
  EXPECT_FALSE(ContentRoot::open(dir.write("file", "").string()));
}

}  // namespace
}  // namespace tallygate::content
