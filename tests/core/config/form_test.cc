#include "core/config/form.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tallygate::config {
namespace {

using ::testing::HasSubstr;

struct Case {
  std::string text;
  std::string wrong;  // part of the message; empty: fine
};

void expect(Check check, const std::vector<Case>& cases) {
  for (const auto& c : cases) {
    const auto wrong = check(c.text);
    if (c.wrong.empty()) {
      EXPECT_FALSE(wrong) << c.text << ": " << wrong->what;
    } else {
      ASSERT_TRUE(wrong) << c.text;
      EXPECT_THAT(wrong->what, HasSubstr(c.wrong)) << c.text;
    }
  }
}

TEST(ListenAddress, IsAnIpAddressAndAPort) {
  struct {
    const char* text;
    ListenAddress address;
  } const cases[] = {
      {"0.0.0.0:8080", {"0.0.0.0", 8080}},
      {"127.0.0.1:0", {"127.0.0.1", 0}},
      {"127.0.0.1:65535", {"127.0.0.1", 65535}},
      {"[::]:8080", {"::", 8080}},
      {"[::1]:1", {"::1", 1}},
      {"[2001:db8::7]:443", {"2001:db8::7", 443}},
  };
  for (const auto& c : cases) {
    const auto address = parse_listen_address(c.text);
    ASSERT_TRUE(address) << c.text << ": " << address.error().what;
    EXPECT_EQ(*address, c.address);
    EXPECT_EQ(format_listen_address(*address), c.text);
  }
}

TEST(ListenAddress, SaysWhatIsWrong) {
  expect(check_listen_address, {
                                   {"", "has no port"},
                                   {"8080", "has no port"},
                                   {"0.0.0.0", "has no port"},
                                   {"[::]", "has no port"},
                                   {":8080", "has no address: 0.0.0.0 stands for all of IPv4"},
                                   {"*:8080", "has no address"},
                                   {"::8080", "in brackets"},
                                   {"::1:8080", "in brackets"},
                                   {"localhost:8080", "names are not looked up"},
                                   {"256.0.0.1:8080", "no valid IP address"},
                                   {"1.2.3:8080", "no valid IP address"},
                                   {"[0.0.0.0]:8080", "no valid IP address"},
                                   {"[::1:8080", "no valid IP address"},
                                   {"[]:8080", "no valid IP address"},
                                   {"[:8080", "no valid IP address"},
                                   {"[fe80::1%eth0]:80", "no valid IP address"},
                                   {std::string("1.2.3.4\0:80", 11), "no valid IP address"},
                                   {"0.0.0.0:", "wrong port: 0 to 65535"},
                                   {"0.0.0.0:65536", "wrong port"},
                                   {"0.0.0.0:-1", "wrong port"},
                                   {"0.0.0.0:80x", "wrong port"},
                                   {"0.0.0.0: 80", "wrong port"},
                               });
}

TEST(Path, IsAbsolute) {
  expect(check_path, {{"/srv", ""},
                      {"/srv/Große Dateien/", ""},
                      {"srv", "must begin with a slash"},
                      {"~/x", "must begin with a slash"},
                      {"", "must begin with a slash"},
                      {std::string("/a\0b", 4), "control character"},
                      {"/a\n", "control character"},
                      {"/" + std::string(4'094, 'a'), ""},
                      {"/" + std::string(4'095, 'a'), "longer than 4095 bytes"}});
}

TEST(SocketPath, FitsIntoASocketAddress) {
  expect(check_socket_path, {{"/" + std::string(106, 'a'), ""},
                             {"/" + std::string(107, 'a'), "longer than 107 bytes"},
                             {"admin.sock", "must begin with a slash"}});
}

TEST(AccessLog, IsAWordOrAPath) {
  expect(check_access_log,
         {{"stdout", ""},
          {"off", ""},
          {"syslog", ""},
          {"journald", ""},
          {"/var/log/tallygate.log", ""},
          {"stderr", "is not \"stdout\", \"off\", \"syslog\", \"journald\" or an absolute path"},
          {"Syslog", "is not"},
          {"access.log", "is not"},
          {"/a\tb", "control character"}});
}

TEST(BaseUrl, IsHttpWithoutQueryAndFinalSlash) {
  expect(check_base_url, {{"https://dl.shop.example", ""},
                          {"http://127.0.0.1:8080", ""},
                          {"http://[::1]:8080", ""},
                          {"https://shop.example/files", ""},
                          {"https://shop.example:65535", ""},
                          {"https://shop.example/", "ends with a slash"},
                          {"https://shop.example/files/", "ends with a slash"},
                          {"https://shop.example?x=1", "query or fragment"},
                          {"https://shop.example/#top", "query or fragment"},
                          {"ftp://shop.example", "does not begin with https:// or http://"},
                          {"shop.example", "does not begin with"},
                          {"https:/shop.example", "does not begin with"},
                          {"https://", "no valid host name"},
                          {"https://:80", "no valid host name"},
                          {"https://a b", "percent-encode"},
                          {"https://größe.example", "percent-encode"},
                          {"https://user@shop.example", "no valid host name"},
                          {"https://shop.example:0", "wrong port"},
                          {"https://shop.example:65536", "wrong port"},
                          {"https://shop.example:", "wrong port"},
                          {"http://[::1", "wrong IPv6 address"},
                          {"http://[x]", "wrong IPv6 address"},
                          {"http://[::1]80", "wrong port"},
                          {"https://a/" + std::string(2'000, 'a'), "longer than 2000 bytes"}});
}

TEST(ContactUrl, MayBeAMailAddress) {
  expect(check_contact_url, {{"https://shop.example/contact?from=download", ""},
                             {"mailto:help@shop.example", ""},
                             {"mailto:help@shop.example?subject=Download", ""},
                             {"mailto:", "is not a mail address"},
                             {"mailto:@shop.example", "is not a mail address"},
                             {"mailto:help@", "is not a mail address"},
                             {"mailto:help", "is not a mail address"},
                             {"javascript:alert(1)", "does not begin with"},
                             {"https://shop.example/\"><script>", "percent-encode"}});
}

TEST(Origin, IsSpeltAsBrowsersSendIt) {
  expect(check_origin, {{"https://shop.example", ""},
                        {"http://localhost:3000", ""},
                        {"https://shop.example:80", ""},
                        {"*", "every site"},
                        {"null", "does not begin with"},
                        {"shop.example", "does not begin with"},
                        {"https://shop.example/", "has a path"},
                        {"https://Shop.example", "upper case"},
                        {"https://shop.example:443", "the scheme's own port"},
                        {"http://shop.example:80", "the scheme's own port"}});
}

TEST(Cidr, IsAnAddressOrABlock) {
  expect(check_cidr, {{"10.0.0.0/8", ""},
                      {"10.0.0.1", ""},
                      {"0.0.0.0/0", ""},
                      {"10.0.0.0/32", ""},
                      {"2001:db8::/128", ""},
                      {"10.0.0.0/33", "0 to 32"},
                      {"2001:db8::/129", "0 to 128"},
                      {"10.0.0.0/", "wrong prefix length"},
                      {"10.0.0.0/-1", "wrong prefix length"},
                      {"10.0.0.0/08", "leading zero"},
                      {"::ffff:10.0.0.0/104", ""},
                      {"::ffff:0.0.0.0/95", "all of IPv4"},
                      {"10.0.0/8", "is not an address or CIDR block"},
                      {"", "is not an address or CIDR block"}});
}

TEST(ShopUrl, NamesADatabaseAndIsNeverRepeated) {
  expect(check_shop_url, {{"sqlite:/var/lib/shop.db", ""},
                          {"postgresql://shop@db/shop", ""},
                          {"mysql://shop@db/shop", ""},
                          {"postgresql://shop@/shop?host=/run/postgresql&sslmode=disable", ""},
                          {"postgresql://a:5432,b:5432/shop?target_session_attrs=read-write", ""},
                          {"postgresql://shop:secret@db/shop", "has a password in it"},
                          {"mysql://shop:@db/shop", "has a password in it"},
                          {"postgresql://db/shop?user=a&password=secret", "has a password in it"},
                          {"postgresql://shop@db/my shop", "percent-encoded"},
                          {"sqlite:shop.db", "absolute path after sqlite:"},
                          {"sqlite:", "absolute path after sqlite:"},
                          {"postgres:/x", "must begin with sqlite:"},
                          {"/var/lib/shop.db", "must begin with sqlite:"}});
  EXPECT_EQ(check_shop_url("pgsql://shop:secret@db")->what.find("secret"), std::string::npos);
}

TEST(PasswordFile, IsAPathOrACredential) {
  expect(check_secret_file, {{"/etc/tallygate/shop.password", ""},
                             {"credential:shop", ""},
                             {"credential:shop.password", ""},
                             {"credential:", "does not name a credential"},
                             {"credential:../x", "does not name a credential"},
                             {"credential:..", "does not name a credential"},
                             {"shop.password", "is not an absolute path"}});
}

TEST(EdgeId, HasOneToThirtyTwoPlainCharacters) {
  expect(check_edge_id, {{"e", ""},
                         {"Edge_1-b", ""},
                         {std::string(32, 'e'), ""},
                         {std::string(33, 'e'), "1 to 32"},
                         {"", "1 to 32"},
                         {"edge 1", "1 to 32"},
                         {"edge.1", "1 to 32"}});
}

TEST(TablePrefix, IsSafeInSql) {
  expect(check_table_prefix, {{"", ""},
                              {"wp_2_", ""},
                              {std::string(32, 'p'), ""},
                              {std::string(33, 'p'), "up to 32"},
                              {"wp-", "up to 32"},
                              {"wp`; --", "up to 32"}});
}

}  // namespace
}  // namespace tallygate::config
