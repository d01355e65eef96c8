#include "core/shop/maria_url.h"

#include <gtest/gtest.h>

namespace tallygate::shop {
namespace {

MariaTarget target_of(std::string_view url) {
  const auto parsed = parse_maria_url(url);
  EXPECT_TRUE(parsed.has_value()) << url << ": " << parsed.error().text;
  return parsed.has_value() ? *parsed : MariaTarget{};
}
std::string wrong_with(std::string_view url) {
  const auto parsed = parse_maria_url(url);
  EXPECT_FALSE(parsed.has_value()) << url;
  return parsed.has_value() ? "" : parsed.error().text;
}

TEST(MariaUrl, LocalhostIsTheUsualSocket) {
  EXPECT_EQ(target_of("mysql://edge@localhost/shop"),
            (MariaTarget{.user = "edge", .database = "shop"}));
  EXPECT_EQ(target_of("mysql://edge@/shop"), target_of("mysql://edge@localhost/shop"));
  EXPECT_EQ(target_of("mysql://edge@localhost/shop?socket=/run/my%20sql.sock").socket,
            "/run/my sql.sock");
}

TEST(MariaUrl, AnotherHostOrAPortIsTcpAndEncryptedIfPossible) {
  const auto far = target_of("mysql://edge@db.example:3307/shop");
  EXPECT_EQ(far.host, "db.example");
  EXPECT_EQ(far.port, 3307);
  EXPECT_TRUE(far.over_tcp);
  EXPECT_EQ(far.tls, TlsMode::preferred);
  EXPECT_TRUE(target_of("mysql://edge@localhost:3306/shop").over_tcp);
  EXPECT_EQ(target_of("mysql://edge@[2001:db8::1]:3306/shop").host, "2001:db8::1");
  EXPECT_EQ(target_of("mysql://edge@[2001:db8::1]/shop").port, 0);
}

TEST(MariaUrl, PartsArePercentDecoded) {
  const auto target = target_of("mysql://ed%40ge%3A@db/my%2Dshop");
  EXPECT_EQ(target.user, "ed@ge:");
  EXPECT_EQ(target.database, "my-shop");
}

TEST(MariaUrl, TlsOptionsAreTaken) {
  const auto target = target_of(
      "mysql://e@db/s?ssl-mode=verify-identity&ssl-ca=/ca.pem&ssl-cert=/c.pem&ssl-key=/k.pem");
  EXPECT_EQ(target.tls, TlsMode::verify_identity);
  EXPECT_EQ(target.ssl_ca, "/ca.pem");
  EXPECT_EQ(target.ssl_cert, "/c.pem");
  EXPECT_EQ(target.ssl_key, "/k.pem");
  EXPECT_EQ(target_of("mysql://e@db/s?ssl-mode=disabled").tls, TlsMode::disabled);
  EXPECT_EQ(target_of("mysql://e@db/s?ssl-mode=required").tls, TlsMode::required);
  EXPECT_EQ(target_of("mysql://e@db/s?ssl-mode=verify-ca&ssl-ca=/ca").tls, TlsMode::verify_ca);
}

TEST(MariaUrl, PasswordIsRefusedAndNotRepeated) {
  for (const auto* url : {"mysql://e:secret@db/s", "mysql://e@db/s?password=secret"}) {
    const auto wrong = wrong_with(url);
    EXPECT_NE(wrong.find("shop.password_file"), wrong.npos) << wrong;
    EXPECT_EQ(wrong.find("secret"), wrong.npos) << wrong;
  }
}

TEST(MariaUrl, WhatCannotBeEnforcedIsRefused) {
  for (const auto* url : {
           "mysql://e@localhost/s?ssl-mode=required",  // a socket has no TLS
           "mysql://e@localhost/s?socket=/s&ssl-ca=/ca",
           "mysql://e@db/s?ssl-mode=verify-ca",             // by whom?
           "mysql://e@db/s?ssl-ca=/ca",                     // checked by whom?
           "mysql://e@db/s?ssl-mode=required&ssl-ca=/ca",   // neither
           "mysql://e@db/s?ssl-mode=required&ssl-cert=/c",  // without its key
           "mysql://e@db/s?ssl-mode=disabled&ssl-cert=/c&ssl-key=/k",
       }) {
    EXPECT_NE(wrong_with(url), "") << url;
  }
}

TEST(MariaUrl, MistakesAreNamed) {
  for (const auto* url : {
           "",
           "mysql:",
           "mysql://",
           "mysql://e@db",
           "mysql://e@db/",
           "mysql://e@db/a/b",
           "mysql://db/s",
           "mysql://@db/s",
           "postgresql://e@db/s",
           "mysql://e@db:0/s",
           "mysql://e@db:x/s",
           "mysql://e@db:/s",
           "mysql://e@db:65536/s",
           "mysql://e@[::1/s",
           "mysql://e@[::1]x/s",
           "mysql://e%@db/s",
           "mysql://e%0a@db/s",
           "mysql://e@db/s?x=1",
           "mysql://e@db/s?socket",
           "mysql://e@db/s?socket=",
           "mysql://e@db/s?socket=/s",
           "mysql://e@localhost/s?socket=s",
           "mysql://e@localhost:1/s?socket=/s",
           "mysql://e@localhost/s?socket=/s&socket=/s",
           "mysql://e@db/s?ssl-mode=on",
           "mysql://e@db/s#f",
       }) {
    EXPECT_NE(wrong_with(url), "") << url;
  }
}

}  // namespace
}  // namespace tallygate::shop
