#include "core/config/combination.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tallygate::config {
namespace {

using namespace std::chrono_literals;

Settings good() {
  Settings settings;
  settings.content.root = "/srv/downloads";
  settings.links.keyring = "/etc/tallygate/keyring.toml";
  return settings;
}

std::vector<std::string_view> clashing(const Settings& settings) {
  std::vector<std::string_view> names;
  for (const auto& clash : find_clashes(settings)) names.push_back(clash.name);
  return names;
}

TEST(Combination, OfDefaultsIsFine) {
  EXPECT_THAT(clashing(good()), testing::IsEmpty());
}

TEST(Combination, OfTheShopsAuthorityNeedsAShop) {
  auto settings = good();
  settings.links.authority = Authority::shop;
  EXPECT_THAT(clashing(settings), testing::ElementsAre("links.authority"));
  settings.shop.url = "sqlite:/var/lib/shop.db";
  EXPECT_THAT(clashing(settings), testing::IsEmpty());
}

TEST(Combination, OfAPasswordAndAFileIsAMistake) {
  auto settings = good();
  settings.shop.url = "sqlite:/var/lib/shop.db";
  settings.shop.password_file = "/etc/tallygate/shop.password";
  EXPECT_THAT(clashing(settings), testing::ElementsAre("shop.password_file"));
  settings.shop.url = "postgresql://edge@db/shop";
  EXPECT_THAT(clashing(settings), testing::IsEmpty());
}

TEST(Combination, OfThePortOfTheAdminInterfaceIsForThisMachineAndNeedsAToken) {
  auto settings = good();
  settings.admin.listen = "127.0.0.1:8081";
  EXPECT_THAT(clashing(settings), testing::ElementsAre("admin.listen"));
  settings.admin.token_file = "/etc/tallygate/admin.token";
  for (const char* here : {"127.0.0.1:8081", "127.1.2.3:0", "[::1]:8081"}) {
    settings.admin.listen = here;
    EXPECT_THAT(clashing(settings), testing::IsEmpty()) << here;
  }
  for (const char* elsewhere :
       {"0.0.0.0:8081", "[::]:8081", "192.0.2.1:8081", "[2001:db8::1]:8081"}) {
    settings.admin.listen = elsewhere;
    EXPECT_THAT(clashing(settings), testing::ElementsAre("admin.listen")) << elsewhere;
  }
  settings.admin.listen = "127.0.0.1:8081";
  settings.server.listen = {{"127.0.0.1", 8081}};
  EXPECT_THAT(clashing(settings), testing::ElementsAre("admin.listen"));
}

TEST(Combination, OfAShopSystemAndAnotherDatabaseThanItsOwnIsAMistake) {
  auto settings = good();
  settings.shop.schema = Schema::woocommerce;
  for (const char* url : {"sqlite:/var/lib/shop.db", "postgresql://edge@db/shop"}) {
    settings.shop.url = url;
    EXPECT_THAT(clashing(settings), testing::ElementsAre("shop.schema"));
  }
  settings.shop.url = "mysql://edge@db/shop";
  EXPECT_THAT(clashing(settings), testing::IsEmpty());
}

TEST(Combination, KeepsCountsAsLongAsALinkMayBeResumed) {
  auto settings = good();
  settings.metering.keep_expired = 24h;
  settings.links.resume_grace = 24h;
  EXPECT_THAT(clashing(settings), testing::IsEmpty());
  settings.links.resume_grace += 1ms;
  EXPECT_THAT(clashing(settings), testing::ElementsAre("metering.keep_expired"));
}

TEST(Combination, KeepsSecretsOutOfTheRoot) {
  struct {
    const char* root;
    const char* keyring;
    bool within;
  } const cases[] = {
      {"/srv", "/srv/keyring.toml", true},        {"/srv/", "/srv/keyring.toml", true},
      {"/srv", "/srv/a/b/keyring.toml", true},    {"/srv", "//srv//keyring.toml", true},
      {"/srv", "/etc/../srv/keyring.toml", true}, {"/srv/a/..", "/srv/keyring.toml", true},
      {"/", "/etc/keyring.toml", true},           {"/srv", "/srvx/keyring.toml", false},
      {"/srv/files", "/srv/keyring.toml", false}, {"/srv", "/srv/../keyring.toml", false},
  };
  for (const auto& c : cases) {
    auto settings = good();
    settings.content.root = c.root;
    settings.links.keyring = c.keyring;
    const auto names = clashing(settings);
    EXPECT_EQ(std::count(names.begin(), names.end(), "links.keyring"), c.within ? 1 : 0)
        << c.root << " " << c.keyring;
  }
}

TEST(Combination, KeepsLedgerShopAndLogOutOfTheRootToo) {
  auto settings = good();
  settings.ledger.dir = "/srv/downloads";
  settings.shop.url = "sqlite:/srv/downloads/shop.db";
  settings.log.access = "/srv/downloads/access.log";
  EXPECT_THAT(clashing(settings), testing::ElementsAre("ledger.dir", "shop.url", "log.access"));
}

TEST(Combination, KeepsTheKeysOfCertificatesOutOfTheRoot) {
  auto settings = good();
  settings.tls.certificate = "/srv/downloads/fullchain.pem";  // no secret
  settings.tls.key = "/srv/downloads/key.pem";
  settings.tls.sites = {{"/etc/a.pem", "/etc/a.key"}, {"/etc/b.pem", "/srv/downloads/b.key"}};
  EXPECT_THAT(clashing(settings), testing::ElementsAre("tls.key", "tls.site"));
}

TEST(Combination, ServesHttpOrHttpsOnAnAddress) {
  auto settings = good();
  settings.server.listen = {{"0.0.0.0", 443}, {"0.0.0.0", 0}};
  settings.tls.listen = {{"127.0.0.1", 443}, {"0.0.0.0", 0}, {"0.0.0.0", 443}};
  EXPECT_THAT(clashing(settings), testing::IsEmpty()) << "without [tls] there is none";
  settings.tls.certificate = "/etc/fullchain.pem";
  EXPECT_THAT(clashing(settings), testing::ElementsAre("tls.listen"));
}

TEST(Combination, TakesTheProxyProtocolFromTrustedProxiesAlone) {
  auto settings = good();
  settings.server.proxy_protocol = settings.server.listen;
  EXPECT_THAT(clashing(settings), testing::ElementsAre("server.proxy_protocol"));
  settings.server.trusted_proxies = {"10.0.0.1"};
  EXPECT_THAT(clashing(settings), testing::IsEmpty());
}

TEST(Combination, DemandsTheProxyProtocolWhereItListens) {
  auto settings = good();
  settings.server.trusted_proxies = {"10.0.0.1"};
  settings.server.listen = {{"0.0.0.0", 8080}, {"0.0.0.0", 8081}};
  settings.tls.listen = {{"0.0.0.0", 8443}};
  settings.server.proxy_protocol = {{"0.0.0.0", 8081}, {"0.0.0.0", 8443}};
  EXPECT_THAT(clashing(settings), testing::ElementsAre("server.proxy_protocol"))
      << "without [tls] nothing listens there";
  settings.tls.certificate = "/etc/fullchain.pem";
  EXPECT_THAT(clashing(settings), testing::IsEmpty());
  settings.server.proxy_protocol = {{"0.0.0.0", 8082}, {"127.0.0.1", 8080}};
  EXPECT_THAT(clashing(settings),
              testing::ElementsAre("server.proxy_protocol", "server.proxy_protocol"));
}

}  // namespace
}  // namespace tallygate::config
