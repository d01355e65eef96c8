#include "server/net/listeners.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

namespace tallygate::net {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::StartsWith;

config::Settings on_loopback() {
  config::Settings settings;
  settings.server.listen = {{"127.0.0.1", 0}};
  settings.tls.listen = {{"127.0.0.1", 0}};
  return settings;
}

TEST(Listeners, ServeHttpAloneWithoutACertificate) {
  const auto bound = bind_listeners(on_loopback(), 2);
  ASSERT_TRUE(bound) << bound.error();
  EXPECT_THAT(bound->addresses, ElementsAre(MatchesRegex("127\\.0\\.0\\.1:[1-9][0-9]*")));
  ASSERT_EQ(bound->sockets.size(), 2u);
  ASSERT_EQ(bound->sockets[1].size(), 1u);
  EXPECT_FALSE(bound->sockets[1][0].is_tls);
}

TEST(Listeners, ServeHttpsBesideHttp) {
  auto settings = on_loopback();
  settings.tls.certificate = "/etc/fullchain.pem";
  const auto bound = bind_listeners(settings, 2);
  ASSERT_TRUE(bound) << bound.error();
  EXPECT_THAT(bound->addresses, ElementsAre(StartsWith("127."), StartsWith("https://127.0.0.1:")));
  for (const auto& sockets : bound->sockets) {
    ASSERT_EQ(sockets.size(), 2u);
    EXPECT_FALSE(sockets[0].is_tls);
    EXPECT_TRUE(sockets[1].is_tls);
    EXPECT_TRUE(sockets[1].fd);
  }
}

TEST(Listeners, NameTheSettingWhoseAddressIsTaken) {
  const auto first = bind_listeners(on_loopback(), 1);
  ASSERT_TRUE(first) << first.error();
  ASSERT_EQ(::listen(first->sockets[0][0].fd.get(), 1), 0);  // as somebody else's server
  const auto& address = first->addresses[0];
  const auto port = static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));

  auto settings = on_loopback();
  settings.server.listen[0].port = port;
  auto second = bind_listeners(settings, 1);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error(), StartsWith("server.listen: cannot listen on " + address));

  settings = on_loopback();
  settings.tls.certificate = "/etc/fullchain.pem";
  settings.tls.listen[0].port = port;
  second = bind_listeners(settings, 1);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error(), StartsWith("tls.listen: cannot listen on " + address));
}

}  // namespace
}  // namespace tallygate::net
