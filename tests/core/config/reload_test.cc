#include "core/config/reload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/config/declarations.h"

namespace tallygate::config {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Settings with_tls() {
  Settings settings;
  settings.tls.certificate = "/etc/a.pem";
  settings.tls.key = "/etc/a.key";
  return settings;
}

// Nothing in it is as in default settings.
Settings all_changed() {
  Settings s;
  s.server.listen = {{"127.0.0.1", 1}};
  s.server.threads = 2;
  s.server.base_url = "https://dl.example";
  s.server.trusted_proxies = {"10.0.0.1"};
  s.server.forwarded_field = ForwardedField::forwarded;
  s.server.proxy_protocol = {{"127.0.0.1", 1}};
  s.server.max_connections = s.server.max_connections_per_address = 3;
  s.server.header_timeout = s.server.idle_timeout = std::chrono::seconds(4);
  s.server.send_timeout = s.server.drain_timeout = std::chrono::seconds(4);
  s.server.min_rate = 5;
  s.server.contact_url = "https://shop.example";
  s.admin = {"/a", "127.0.0.1:1", "/b"};
  s.tls.listen = {{"127.0.0.1", 2}};
  s.tls.certificate = "/c";
  s.tls.key = "/d";
  s.tls.sites = {{"/e", "/f"}};
  s.content = {"/g", Disposition::display_inline, {"https://shop.example"}};
  s.links = {"/h", Authority::shop, std::chrono::seconds(6)};
  s.metering = {7, std::chrono::days(8)};
  s.ledger.dir = "/i";
  s.shop.url = "mysql://db/shop";
  s.shop.password_file = "/j";
  s.shop.schema = Schema::magento;
  s.shop.table_prefix = "m_";
  s.shop.edge_id = "edge-2";
  s.shop.poll = std::chrono::seconds(9);
  s.shop.on_revoke = OnRevoke::finish;
  s.shop.keep_history = std::chrono::hours(48);
  s.log.access = "off";
  s.log.format = LogFormat::combined;
  s.log.client_ip = ClientIp::none;
  s.log.refused_per_minute = 9;
  return s;
}

TEST(NeedingRestart, NamesWhatAReloadCannotChange) {
  const Settings running;
  EXPECT_THAT(needing_restart(running, running), IsEmpty());
  auto wanted = running;
  wanted.server.idle_timeout = std::chrono::seconds{5};
  wanted.server.threads = 2;
  wanted.ledger.dir = "/elsewhere";
  EXPECT_THAT(needing_restart(running, wanted), ElementsAre("server.threads", "ledger.dir"));
}

TEST(NeedingRestart, NamesTheListenersOfTlsWhenTlsComesOrGoes) {
  EXPECT_THAT(needing_restart({}, with_tls()), ElementsAre("tls.listen"));
  EXPECT_THAT(needing_restart(with_tls(), {}), ElementsAre("tls.listen"));
  auto elsewhere = with_tls();
  elsewhere.tls.listen = {{"127.0.0.1", 443}};
  EXPECT_THAT(needing_restart({}, elsewhere), ElementsAre("tls.listen"));
  auto other_certificate = with_tls();
  other_certificate.tls.certificate = "/etc/b.pem";
  EXPECT_THAT(needing_restart(with_tls(), other_certificate), IsEmpty());
}

TEST(AfterReload, EachSettingIsAsWantedOrNeedsARestart) {
  const Settings running = with_tls();
  const Settings wanted = all_changed();
  const Settings after = after_reload(running, wanted);
  for (const auto& declaration : declarations()) {
    SCOPED_TRACE(full_name(declaration));
    const auto text = [&](const Settings& s) { return toml_text(declaration.rule, s); };
    ASSERT_NE(text(running), text(wanted)) << "change it above";
    const bool follows = declaration.applies == Applies::at_reload;
    EXPECT_EQ(text(after), text(follows ? wanted : running));
  }
}

TEST(AfterReload, TlsIsNeitherSwitchedOnNorOff) {
  EXPECT_FALSE(after_reload({}, with_tls()).tls.is_on());
  const Settings on = after_reload(with_tls(), {});
  EXPECT_EQ(on.tls.certificate, "/etc/a.pem");
  EXPECT_EQ(on.tls.key, "/etc/a.key");
}

}  // namespace
}  // namespace tallygate::config
