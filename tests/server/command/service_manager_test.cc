#include "server/command/service_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "server/net/descriptor.h"

namespace tallygate::command {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(FindStandstill, IsEmptyWhileEveryWorkerTicks) {
  EXPECT_THAT(find_standstill({{1, 7}, 0ns}, {{2, 9}, 0ns}, 1s), IsEmpty());
  EXPECT_THAT(find_standstill({{1, 7}, 0ns}, {{2, 9}, 999ms}, 1s), IsEmpty());
}

TEST(FindStandstill, NamesTheWorkerWhoseLoopStands) {
  EXPECT_THAT(find_standstill({{1, 7}, 0ns}, {{2, 7}, 0ns}, 1s), HasSubstr("worker 1 "));
}

TEST(FindStandstill, NamesTheJournalOnceItsDiskIsTooLate) {
  EXPECT_THAT(find_standstill({{1}, 0ns}, {{2}, 1s + 1ns}, 1s), HasSubstr("journal"));
}

// systemd's end of NOTIFY_SOCKET.
class ToldTest : public testing::Test {
 protected:
  ToldTest() : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    std::string folder = testing::TempDir() + "tallygate-notify-XXXXXX";
    folder_ = ::mkdtemp(folder.data());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = folder_ / "socket";
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
    ::setenv("WATCHDOG_USEC", "20000", 1);
    ::unsetenv("WATCHDOG_PID");
  }
  ~ToldTest() override {
    ::unsetenv("NOTIFY_SOCKET");
    ::unsetenv("WATCHDOG_USEC");
    std::filesystem::remove_all(folder_);
  }

  // The next message that has come; empty: there is none.
  std::string next(int flags = MSG_DONTWAIT) {
    char text[512];
    const ssize_t n = ::recv(socket_.get(), text, sizeof text, flags);
    return n < 0 ? std::string() : std::string(text, static_cast<std::size_t>(n));
  }

  Descriptor socket_;
  std::filesystem::path folder_;
};

TEST_F(ToldTest, NothingMoreWhileAWorkerStandsStill) {  // P8
  std::atomic<int> looks{0};
  {
    ServiceManager manager;
    manager.ready("serving", [&looks] {
      ++looks;
      looks.notify_all();
      return Pulse{{static_cast<std::uint64_t>(looks), 5}, 0ns};
    });
    for (int seen = looks; seen < 10; seen = looks) looks.wait(seen);
  }
  EXPECT_EQ(next(), "READY=1\nSTATUS=serving\nWATCHDOG_USEC=20000");
  EXPECT_EQ(next(), "");
}

TEST_F(ToldTest, AgainAndAgainThatItMoves) {
  std::atomic<std::uint64_t> looks{0};
  ServiceManager manager;
  manager.ready("serving", [&looks] { return Pulse{{++looks}, 0ns}; });
  EXPECT_EQ(next(0), "READY=1\nSTATUS=serving\nWATCHDOG_USEC=20000");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(next(0), "WATCHDOG=1");
}

TEST_F(ToldTest, NoSignOfLifeBehindStopping) {
  ServiceManager manager;
  manager.ready("serving", [] { return Pulse{}; });
  manager.stopping("draining", 90s);
  std::string last;
  for (std::string message = next(); !message.empty(); message = next()) last = message;
  EXPECT_EQ(last, "EXTEND_TIMEOUT_USEC=90000000");
}

TEST_F(ToldTest, NothingWithoutASocket) {  // P13
  ::unsetenv("NOTIFY_SOCKET");
  ServiceManager manager;
  manager.ready("serving", [] { return Pulse{}; });
  manager.reloading();
  manager.reloaded();
  manager.stopping("draining", 1s);
  EXPECT_EQ(next(), "");
}

}  // namespace
}  // namespace tallygate::command
