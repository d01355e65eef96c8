#include "server/net/stream_position.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <string>

namespace tallygate::net {
namespace {

// Two ends of a TCP connection over loopback, where the peer acknowledges within microseconds.
class Pair {
 public:
  Pair() {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(listener, any, size), 0);
    EXPECT_EQ(::listen(listener, 1), 0);
    EXPECT_EQ(::getsockname(listener, any, &size), 0);
    client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int small = 4096;  // before connecting, so that the window is small as well
    ::setsockopt(client, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    EXPECT_EQ(::connect(client, any, size), 0);
    server = ::accept(listener, nullptr, nullptr);
    ::close(listener);
  }
  ~Pair() {
    ::close(client);
    ::close(server);
  }
  // Writes until the kernel takes no more.
  std::uint64_t fill() {
    const std::string bytes(64 * 1024, 'x');
    std::uint64_t sum = 0;
    for (ssize_t n = 0; (n = ::send(server, bytes.data(), bytes.size(), MSG_DONTWAIT)) > 0;) {
      sum += static_cast<std::uint64_t>(n);
    }
    return sum;
  }
  void drain(std::uint64_t bytes) {
    std::string buffer(64 * 1024, '\0');
    while (bytes > 0) {
      const ssize_t n =
          ::recv(client, buffer.data(), std::min<std::size_t>(buffer.size(), bytes), 0);
      ASSERT_GT(n, 0);
      bytes -= static_cast<std::uint64_t>(n);
    }
  }
  int client = -1;
  int server = -1;
};

// Acknowledgements come when they come.
bool comes_to(StreamPosition& position, std::uint64_t expected) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (position.acknowledged() != expected) {
    if (std::chrono::steady_clock::now() > until) return false;
    ::poll(nullptr, 0, 1);
  }
  return true;
}

TEST(StreamPosition, OfNothingWrittenIsNothing) {
  StreamPosition position(-1);
  EXPECT_EQ(position.written(), 0u);
  EXPECT_EQ(position.acknowledged(), 0u);
}

TEST(StreamPosition, FollowsWhatThePeerHasAcknowledged) {
  Pair pair;
  StreamPosition position(pair.server);
  ASSERT_EQ(::send(pair.server, "hello", 5, 0), 5);
  position.wrote(5);
  EXPECT_EQ(position.written(), 5u);
  EXPECT_TRUE(comes_to(position, 5)) << "acknowledged by its TCP, though nobody has read it";
}

TEST(StreamPosition, CountsNothingThatWaitsInAQueue) {
  Pair pair;
  StreamPosition position(pair.server);
  const std::uint64_t bytes = pair.fill();
  position.wrote(bytes);
  const std::uint64_t before = position.acknowledged();
  EXPECT_LT(before, bytes) << "the peer does not read";
  EXPECT_GE(position.acknowledged(), before) << "never falls";
  pair.drain(bytes);
  EXPECT_TRUE(comes_to(position, bytes));
}

TEST(StreamPosition, DoesNotTakeItsOwnEndForAByte) {
  Pair pair;
  StreamPosition position(pair.server);
  const std::uint64_t bytes = pair.fill();
  position.wrote(bytes);
  ::shutdown(pair.server, SHUT_WR);
  position.shut_down();
  const std::uint64_t before = position.acknowledged();
  EXPECT_LT(before, bytes);
  pair.drain(bytes);
  EXPECT_TRUE(comes_to(position, bytes));
}

TEST(StreamPosition, OfASocketThatIsGoneStaysWhereItWas) {
  StreamPosition position(-1);
  position.wrote(7);
  EXPECT_EQ(position.acknowledged(), 0u);
}

}  // namespace
}  // namespace tallygate::net
