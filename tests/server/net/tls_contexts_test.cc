#include "server/net/tls_contexts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/net/tls_client.h"

namespace tallygate::net {
namespace {

using std::chrono_literals::operator""h;

// What a client finds at a context.
struct Meeting {
  bool done = false;
  std::string certificate;
  std::string protocol;
  int version = 0;
  bool resumed = false;
  int reason = 0;
  Session session;
};

Meeting meet(SSL_CTX* context, const ClientOptions& options) {
  TlsBuffers buffers;
  TcpPair pair;
  const auto server = TlsSession::open(context, pair.server, buffers);
  TlsClient client(pair.client, options);
  Meeting meeting;
  meeting.done = shake_hands(*server, client);
  std::string nothing;
  if (meeting.done) client.read_all(nothing);  // the ticket
  meeting.certificate = client.certificate_name();
  meeting.protocol = client.protocol();
  meeting.version = client.version();
  meeting.resumed = client.resumed();
  meeting.reason = client.reason();
  meeting.session = client.take_session();
  return meeting;
}

struct Shop : TlsWorld {
  Shop() {
    settings.sites.push_back(make_site("music", {"music.example", "Www.Music.Example"}));
    settings.sites.push_back(make_site("wild", {"*.shop.example", "*.deep.music.example"}));
    settings.sites.push_back(make_site("rsa", {"rsa.example"}, 2048));
  }
  config::TlsSite make_site(const std::string& name, std::vector<std::string> names,
                            unsigned rsa_bits = 0) const {
    CertificateOptions options;
    options.common_name = name;
    options.names = std::move(names);
    options.rsa_bits = rsa_bits;
    return make_certificate(folder, name, options);
  }
};

TEST(TlsContexts, ChooseTheCertificateByServerName) {
  const Shop shop;
  const auto context = shop.make_context();
  struct {
    const char* asked;
    const char* got;
  } const cases[] = {
      {"", "default"},                 // no SNI
      {"dl.shop.example", "default"},  // exact goes before the wildcard
      {"music.example", "music"},
      {"www.music.example", "music"},
      {"WWW.MUSIC.EXAMPLE", "music"},
      {"eu.shop.example", "wild"},
      {"EU.Shop.Example", "wild"},
      {"a.b.shop.example", "default"},  // a wildcard is one label
      {"shop.example", "default"},
      {"x.deep.music.example", "wild"},
      {"rsa.example", "rsa"},
      {"unknown.example", "default"},  // and no alert
      {"common", "default"},
      {"localhost", "default"},
  };
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const auto& c : cases) {
      const auto meeting = meet(context.get(), {.server_name = c.asked, .version = version});
      EXPECT_TRUE(meeting.done) << c.asked;
      EXPECT_EQ(meeting.certificate, c.got) << c.asked;
    }
  }
}

TEST(TlsContexts, SpeakTls12And13Only) {
  const Shop shop;
  const auto context = shop.make_context();
  EXPECT_EQ(meet(context.get(), {}).version, TLS1_3_VERSION);
  for (const int version : {TLS1_VERSION, TLS1_1_VERSION}) {
    const auto meeting = meet(context.get(), {.version = version});
    EXPECT_FALSE(meeting.done);
    EXPECT_EQ(meeting.reason, SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
  }
}

TEST(TlsContexts, AgreeOnHttp11OrSayNo) {
  const Shop shop;
  const auto context = shop.make_context();
  const auto with = [&](std::vector<std::string> protocols, const char* name) {
    return meet(context.get(), {.server_name = name, .protocols = std::move(protocols)});
  };
  for (const char* name : {"dl.shop.example", "music.example"}) {
    EXPECT_EQ(with({}, name).protocol, "");
    EXPECT_TRUE(with({}, name).done);
    EXPECT_EQ(with({"http/1.1"}, name).protocol, "http/1.1");
    EXPECT_EQ(with({"h2", "http/1.1"}, name).protocol, "http/1.1");
    const auto refused = with({"h2", "http/1.0", "http/1.1x"}, name);
    EXPECT_FALSE(refused.done);
    EXPECT_EQ(refused.reason, SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
  }
}

TEST(TlsContexts, PreferAes128AndGiveChaChaToThoseWhoPreferIt) {
  const Shop shop;
  const auto context = shop.make_context();
  const auto negotiated = [&](const char* suites) {
    TlsBuffers buffers;
    TcpPair pair;
    const auto server = TlsSession::open(context.get(), pair.server, buffers);
    TlsClient client(pair.client);
    SSL_set_ciphersuites(client.native(), suites);
    EXPECT_TRUE(shake_hands(*server, client));
    return std::string(SSL_get_cipher_name(client.native()));
  };
  EXPECT_EQ(
      negotiated("TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"),
      "TLS_AES_128_GCM_SHA256");
  EXPECT_EQ(negotiated("TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"),
            "TLS_CHACHA20_POLY1305_SHA256");
}

class Tickets : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(TlsContexts, Tickets, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION));

TEST_P(Tickets, ResumeOnAnotherWorkerAfterAReloadAndAfterRotations) {
  Shop shop;
  const auto first = shop.make_context();
  const auto second = shop.make_context();
  const auto again = [&](SSL_CTX* context, SSL_SESSION* session) {
    return meet(context, {.server_name = "music.example",
                          .protocols = {"http/1.1"},
                          .version = GetParam(),
                          .resume = session});
  };
  const auto fresh = again(first.get(), nullptr);
  ASSERT_TRUE(fresh.session);
  EXPECT_FALSE(fresh.resumed);
  EXPECT_TRUE(again(second.get(), fresh.session.get()).resumed) << "another worker";

  shop.settings.sites[0] = shop.make_site("music2", {"music.example"});
  const auto reloaded = shop.make_context();
  EXPECT_EQ(again(reloaded.get(), nullptr).certificate, "music2");
  EXPECT_TRUE(again(reloaded.get(), fresh.session.get()).resumed) << "a reload keeps the keys";

  shop.clock.advance(8h);
  const auto renewed = again(first.get(), fresh.session.get());
  EXPECT_TRUE(renewed.resumed) << "the key before the newest";
  ASSERT_TRUE(renewed.session) << "with a new ticket";
  shop.clock.advance(8h);
  EXPECT_TRUE(again(second.get(), fresh.session.get()).resumed) << "the third";
  shop.clock.advance(8h);
  const auto too_late = again(first.get(), fresh.session.get());
  EXPECT_TRUE(too_late.done);
  EXPECT_FALSE(too_late.resumed) << "its key has gone; the handshake is a full one";
  EXPECT_TRUE(again(first.get(), renewed.session.get()).resumed);
}

TEST_P(Tickets, OfAnotherServerAreNoTickets) {
  Shop shop;
  const auto ours = shop.make_context();
  shop.tickets = std::make_shared<TlsTicketKeys>(shop.clock);
  const auto theirs = shop.make_context();
  const auto at = [&](SSL_CTX* context, SSL_SESSION* session) {
    return meet(context, {.version = GetParam(), .resume = session});
  };
  const auto foreign = at(theirs.get(), nullptr);
  const auto meeting = at(ours.get(), foreign.session.get());
  EXPECT_TRUE(meeting.done);
  EXPECT_FALSE(meeting.resumed);
}

TEST(TlsContexts, KeepTheTicketKeysForWhoeverIsLeft) {
  Shop shop;
  auto context = shop.make_context();
  shop.tickets.reset();
  EXPECT_TRUE(meet(context.get(), {}).done);
  TcpPair pair;
  const auto session = TlsSession::open(context.get(), pair.server, shop.buffers);
  context.reset();
  TlsClient client(pair.client, {.server_name = "eu.shop.example"});
  EXPECT_TRUE(shake_hands(*session, client));
  EXPECT_EQ(client.certificate_name(), "wild");
}

TEST(TlsContexts, OfferNoEarlyDataAndOneTicket) {  // H15
  const Shop shop;
  const auto context = shop.make_context();
  const auto meeting = meet(context.get(), {});
  ASSERT_TRUE(meeting.session);
  EXPECT_EQ(SSL_SESSION_get_max_early_data(meeting.session.get()), 0u);
  EXPECT_EQ(SSL_SESSION_get_ticket_lifetime_hint(meeting.session.get()), 16u * 3600);
  EXPECT_EQ(SSL_CTX_get_num_tickets(context.get()), 1u);
}

}  // namespace
}  // namespace tallygate::net
