#include "server/net/user_timeout.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "server/net/descriptor.h"

namespace tallygate::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class UserTimeout : public testing::Test {
 protected:
  UserTimeout() : listening(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listening.get(), any(), size), 0);
    EXPECT_EQ(::listen(listening.get(), 8), 0);
    EXPECT_EQ(::getsockname(listening.get(), any(), &size), 0);
  }
  sockaddr* any() { return reinterpret_cast<sockaddr*>(&address); }

  // Of a connection that is accepted now, in milliseconds.
  unsigned of_accepted() {
    const Descriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(client.get(), any(), sizeof address), 0);
    const Descriptor accepted(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
    unsigned timeout = 0;
    socklen_t size = sizeof timeout;
    EXPECT_EQ(::getsockopt(accepted.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, &size), 0);
    return timeout;
  }

  const Descriptor listening;
  sockaddr_in address{};
};

TEST_F(UserTimeout, IsWhatAcceptedConnectionsHaveFromTheirListener) {  // O8
  EXPECT_EQ(of_accepted(), 0u);
  set_user_timeout(listening.get(), seconds(60));
  EXPECT_EQ(of_accepted(), 61'000u);
}

TEST_F(UserTimeout, FollowsASettingThatIsReloaded) {
  set_user_timeout(listening.get(), milliseconds(100));
  EXPECT_EQ(of_accepted(), 1'100u);
  set_user_timeout(listening.get(), std::chrono::hours(1));
  EXPECT_EQ(of_accepted(), 3'601'000u);
}

}  // namespace
}  // namespace tallygate::net
