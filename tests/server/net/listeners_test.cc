#include "server/net/listeners.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

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

TEST(Listeners, DemandTheProxyProtocolOnTheAddressesThatAreNamed) {
  auto settings = on_loopback();
  settings.tls.certificate = "/etc/fullchain.pem";
  settings.server.listen = {{"127.0.0.1", 0}, {"127.0.0.2", 0}};
  settings.tls.listen = {{"127.0.0.1", 0}, {"127.0.0.3", 0}};
  settings.server.proxy_protocol = {{"127.0.0.2", 0}, {"127.0.0.3", 0}};
  const auto bound = bind_listeners(settings, 2);
  ASSERT_TRUE(bound) << bound.error();
  for (const auto& sockets : bound->sockets) {
    ASSERT_EQ(sockets.size(), 4u);
    EXPECT_FALSE(sockets[0].is_proxied);
    EXPECT_TRUE(sockets[1].is_proxied);
    EXPECT_FALSE(sockets[2].is_proxied);
    EXPECT_TRUE(sockets[3].is_proxied);
  }
  EXPECT_THAT(bound->addresses,
              ElementsAre(MatchesRegex("127\\.0\\.0\\.1:[0-9]*"),
                          MatchesRegex("127\\.0\\.0\\.2:[0-9]* \\(PROXY protocol\\)"),
                          MatchesRegex("https://127\\.0\\.0\\.1:[0-9]*"),
                          MatchesRegex("https://127\\.0\\.0\\.3:[0-9]* \\(PROXY protocol\\)")));
}

// A socket that was handed over stands for an address, and demands what the address demands.
TEST(Listeners, DemandTheProxyProtocolOnSocketsThatWereHandedOver) {
  for (const bool v6 : {false, true}) {
    auto first_settings = on_loopback();
    first_settings.server.listen = {{v6 ? "::1" : "127.0.0.1", 0}};
    auto first = bind_listeners(first_settings, 1);
    if (v6 && !first) GTEST_SKIP() << first.error();
    ASSERT_TRUE(first) << first.error();
    const auto& text = first->addresses[0];
    const auto port = static_cast<std::uint16_t>(std::stoi(text.substr(text.rfind(':') + 1)));
    const std::string other_spelling = v6 ? "0:0::1" : "127.0.0.1";

    const auto bind_handed_over = [&](std::uint16_t demanded) {
      auto settings = on_loopback();
      settings.server.proxy_protocol = {{other_spelling, demanded}};
      HandedOver handed_over;
      handed_over.http.emplace_back(::dup(first->sockets[0][0].fd.get()));
      return bind_listeners(settings, 1, std::move(handed_over));
    };
    const auto bound = bind_handed_over(port);
    ASSERT_TRUE(bound) << bound.error();
    EXPECT_TRUE(bound->sockets[0][0].is_proxied);
    EXPECT_THAT(bound->addresses[0], HasSubstr("(PROXY protocol)"));
    // That nothing is on such an address must not go unnoticed.
    const auto missed = bind_handed_over(static_cast<std::uint16_t>(port ^ 1));
    ASSERT_FALSE(missed);
    EXPECT_THAT(missed.error(), StartsWith("server.proxy_protocol: no socket is on "));
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
