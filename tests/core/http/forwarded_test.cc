#include "core/http/forwarded.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/core/http/raw_head.h"

namespace tallygate::http {
namespace {

using link::IpAddress;
using link::IpBlock;

IpAddress address(std::string_view text) {
  return *IpAddress::parse(text);
}

const std::vector<IpBlock>& our_proxies() {
  static const std::vector<IpBlock> blocks{*IpBlock::parse("10.0.0.0/8"),
                                           *IpBlock::parse("2001:db8:1::/48")};
  return blocks;
}

// Who asks, in a request with these lines of fields that came from `peer`.
std::string client(const std::string& lines, std::string_view peer = "10.0.0.1",
                   ForwardedField field = ForwardedField::x_forwarded_for) {
  RawHead head(get_with(lines));
  return find_client(*head, address(peer), {our_proxies(), field}).to_string();
}

std::string of_forwarded(const std::string& lines, std::string_view peer = "10.0.0.1") {
  return client(lines, peer, ForwardedField::forwarded);
}

struct Case {
  std::string_view list;
  std::string_view client;
};

TEST(FindClient, IsThePeerWithoutAField) {
  EXPECT_EQ(client(""), "10.0.0.1");
  EXPECT_EQ(client("", "203.0.113.9"), "203.0.113.9");
  EXPECT_EQ(of_forwarded(""), "10.0.0.1");
}

TEST(FindClient, DoesNotListenToWhomIsNotTrusted) {
  for (const std::string_view peer : {"203.0.113.9", "11.0.0.1", "2001:db8:2::1", "127.0.0.1"}) {
    EXPECT_EQ(client("X-Forwarded-For: 198.51.100.7\n", peer), peer);
    EXPECT_EQ(of_forwarded("Forwarded: for=198.51.100.7\n", peer), peer);
  }
  RawHead head(get_with("X-Forwarded-For: 198.51.100.7\n"));
  EXPECT_EQ(find_client(*head, address("10.0.0.1"), {}).to_string(), "10.0.0.1");
}

TEST(FindClient, IsTheRightmostThatIsNotTrusted) {
  for (const auto& [list, expected] : std::vector<Case>{
           {"203.0.113.9", "203.0.113.9"},
           {"198.51.100.7, 203.0.113.9", "203.0.113.9"},
           {"198.51.100.7,203.0.113.9", "203.0.113.9"},
           {"\t198.51.100.7 ,\t 203.0.113.9 ", "203.0.113.9"},
           {"203.0.113.9, 10.1.2.3", "203.0.113.9"},
           {"198.51.100.7, 203.0.113.9, 10.1.2.3, 2001:db8:1::5", "203.0.113.9"},
           {"10.9.9.9, 203.0.113.9, 10.1.2.3", "203.0.113.9"},
           {"10.9.9.9", "10.9.9.9"},  // trusted all along: the first one asks
           {"10.7.7.7, 10.8.8.8, 10.9.9.9", "10.7.7.7"},
       }) {
    EXPECT_EQ(client("X-Forwarded-For: " + std::string(list) + "\n"), expected) << list;
  }
}

TEST(FindClient, LooksAtSoManyMembersAndNoMore) {
  std::string list = "203.0.113.9";
  for (std::size_t i = 1; i < kProxiesMax; ++i) list += ", 10.0.0.2";
  EXPECT_EQ(client("X-Forwarded-For: " + list + "\n"), "203.0.113.9");
  EXPECT_EQ(client("X-Forwarded-For: " + list + ", 10.0.0.3\n"), "10.0.0.2");
  EXPECT_EQ(client("X-Forwarded-For: " + list + "\nX-Forwarded-For: 10.0.0.3\n"), "10.0.0.2");
}

TEST(FindClient, ReadsAllLinesAsOneList) {
  EXPECT_EQ(client("X-Forwarded-For: 198.51.100.7\nx-forwarded-for: 203.0.113.9, 10.0.0.3\n"
                   "X-FORWARDED-FOR: 10.0.0.2\n"),
            "203.0.113.9");
  EXPECT_EQ(client("X-Forwarded-For: 203.0.113.9\nAccept: */*\nX-Forwarded-For: 10.0.0.2\n"),
            "203.0.113.9");
  EXPECT_EQ(of_forwarded("Forwarded: for=198.51.100.7\nForwarded: for=203.0.113.9\n"
                         "Forwarded: for=10.0.0.2\n"),
            "203.0.113.9");
}

TEST(FindClient, TakesAddressesAsProxiesWriteThem) {
  for (const auto& [list, expected] : std::vector<Case>{
           {"203.0.113.9:4711", "203.0.113.9"},
           {"203.0.113.9:_gate", "203.0.113.9"},
           {"2001:db8::9", "2001:db8::9"},
           {"[2001:db8::9]", "2001:db8::9"},
           {"[2001:db8::9]:4711", "2001:db8::9"},
           {"[2001:DB8:0:0::9]", "2001:db8::9"},
           {"::ffff:203.0.113.9", "203.0.113.9"},
           {"[::ffff:203.0.113.9]:4711", "203.0.113.9"},
           {"198.51.100.7, ::ffff:10.0.0.2", "198.51.100.7"},  // IPv4, and trusted as such
       }) {
    EXPECT_EQ(client("X-Forwarded-For: " + std::string(list) + "\n"), expected) << list;
  }
  EXPECT_EQ(client("X-Forwarded-For: 203.0.113.9\n", "::ffff:10.0.0.1"), "203.0.113.9");
}

// What cannot be read ends the walk at the trusted proxy that wrote it.
TEST(FindClient, StaysAtTheProxyWhoseWordCannotBeRead) {
  for (const std::string_view unreadable : {"",
                                            "unknown",
                                            "_hidden",
                                            "203.0.113",
                                            "203.0.113.256",
                                            "203.0.113.09",
                                            "203.0.113.9:",
                                            "203.0.113.9:x",
                                            "203.0.113.9:123456",
                                            "203.0.113.9:_",
                                            "203.0.113.9 4711",
                                            "[2001:db8::9",
                                            "[2001:db8::9]4711",
                                            "[203.0.113.9]",
                                            "2001:db8::9]",
                                            "[]",
                                            "[",
                                            "fe80::1%eth0",
                                            ":",
                                            "::1::",
                                            "\"203.0.113.9\"",
                                            "203.0.113.9;",
                                            "for=203.0.113.9",
                                            "dl.example",
                                            "203.0.113.9/32",
                                            "0x7f.0.0.1",
                                            "2001:db8::9:47111"}) {
    const std::string field = "X-Forwarded-For: ";
    const std::string last(unreadable);
    EXPECT_EQ(client(field + last + "\n"), "10.0.0.1") << unreadable;
    EXPECT_EQ(client(field + "198.51.100.7, " + last + "\n"), "10.0.0.1") << unreadable;
    EXPECT_EQ(client(field + "198.51.100.7\n" + field + last + "\n"), "10.0.0.1") << unreadable;
    EXPECT_EQ(client(field + "198.51.100.7, " + last + ", 10.0.0.2\n"), "10.0.0.2") << unreadable;
    // To the left of the client nothing matters.
    EXPECT_EQ(client(field + last + ", 203.0.113.9\n"), "203.0.113.9") << unreadable;
  }
}

// H14: a proxy appends what it sees; what a client has put before that is its own word.
TEST(FindClient, IsTheSameWhateverTheClientSends) {
  for (const std::string_view forged :
       {"198.51.100.7", "10.0.0.2", "\"", "\"198.51.100.7", "\\\"", ",", ",,,", ";", "for=\"",
        "for=", "for=10.0.0.2;", "for=\"10.0.0.2", "for=\"\\", "for=\"\\\"", "for=\"a\\\\",
        "for=a,for=\"", "[", "unknown", "\t"}) {
    for (const std::string_view between : {", ", ",", "\nX-Forwarded-For: "}) {
      EXPECT_EQ(client("X-Forwarded-For: " + std::string(forged) + std::string(between) +
                       "203.0.113.9\n"),
                "203.0.113.9")
          << forged;
    }
    for (const std::string_view own :
         {"for=203.0.113.9", "for=203.0.113.9;proto=https", "for=\"203.0.113.9:4711\"",
          "by=10.0.0.1;for=203.0.113.9", "for=203.0.113.9;host=\"a, b\\\" c\"",
          "host=\"x\\\\\";for=\"203.0.113.9\""}) {
      for (const std::string_view between : {", ", ",", "\nForwarded: "}) {
        EXPECT_EQ(of_forwarded("Forwarded: " + std::string(forged) + std::string(between) +
                               std::string(own) + "\n"),
                  "203.0.113.9")
            << forged << " | " << own;
      }
    }
    // The field that our proxies do not write is never read.
    EXPECT_EQ(client("Forwarded: for=198.51.100.7\nX-Forwarded-For: " + std::string(forged) +
                     ", 203.0.113.9\n"),
              "203.0.113.9");
    EXPECT_EQ(of_forwarded("X-Forwarded-For: 198.51.100.7\nForwarded: for=203.0.113.9\n"),
              "203.0.113.9");
  }
  EXPECT_EQ(client("Forwarded: for=198.51.100.7\n"), "10.0.0.1");
  EXPECT_EQ(of_forwarded("X-Forwarded-For: 198.51.100.7\n"), "10.0.0.1");
}

TEST(FindClient, TakesElementsOfForwarded) {
  for (const auto& [list, expected] : std::vector<Case>{
           {"for=203.0.113.9", "203.0.113.9"},
           {"For=203.0.113.9", "203.0.113.9"},
           {"for=\"203.0.113.9\"", "203.0.113.9"},
           {"for=\"\\2\\0\\3.0.113.9\"", "203.0.113.9"},
           {"for=\"203.0.113.9:4711\"", "203.0.113.9"},
           {"for=\"[2001:db8::9]\"", "2001:db8::9"},
           {"for=\"[2001:db8::9]:4711\"", "2001:db8::9"},
           {"for=\"[2001:db8::9]:_gate\"", "2001:db8::9"},
           {"for=203.0.113.9;proto=http;by=10.0.0.1", "203.0.113.9"},
           {"by=10.0.0.1 ; proto=http ; for=203.0.113.9", "203.0.113.9"},
           {";for=203.0.113.9;", "203.0.113.9"},
           {"for=198.51.100.7, for=203.0.113.9", "203.0.113.9"},
           {"for=203.0.113.9, for=10.0.0.2", "203.0.113.9"},
           {"for=203.0.113.9;host=\"a,b;for=10.0.0.9\", for=10.0.0.2", "203.0.113.9"},
           {"for=203.0.113.9;host=\""
            "0123456789012345678901234567890123456789012345678901234567890"
            "12345678901234567890123456789012345678901234567890123456789\"",
            "203.0.113.9"},
       }) {
    EXPECT_EQ(of_forwarded("Forwarded: " + std::string(list) + "\n"), expected) << list;
  }
}

TEST(FindClient, StaysAtTheProxyWhoseElementIsMalformed) {
  for (const std::string_view element : {"",
                                         "for",
                                         "for=",
                                         "=203.0.113.9",
                                         "203.0.113.9",
                                         "proto=https",
                                         "by=203.0.113.9",
                                         "for=unknown",
                                         "for=_hidden",
                                         "for=\"_hidden\"",
                                         "for=\"unknown\"",
                                         "for=\"\"",
                                         "for=203.0.113.9:4711",
                                         "for=[2001:db8::9]",
                                         "for=\"203.0.113.9",
                                         "for=203.0.113.9\"",
                                         "for=\"203.0.113.9\"x",
                                         "for=\"203.0.113.9\\",
                                         "for=203.0.113.9;for=203.0.113.9",
                                         "for=203.0.113.9;proto",
                                         "for=203.0.113.9;=x",
                                         "for =203.0.113.9",
                                         "for= 203.0.113.9",
                                         "for=203.0.113.9 proto=https",
                                         "for=203.0.113.9;pro to=https"}) {
    const std::string last(element);
    EXPECT_EQ(of_forwarded("Forwarded: " + last + "\n"), "10.0.0.1") << element;
    EXPECT_EQ(of_forwarded("Forwarded: for=198.51.100.7\nForwarded: " + last + "\n"), "10.0.0.1")
        << element;
    EXPECT_EQ(of_forwarded("Forwarded: " + last + "\nForwarded: for=10.0.0.2\n"), "10.0.0.2")
        << element;
  }
  const std::string obfuscated = "for=\"_" + std::string(200, 'x') + "\"";
  EXPECT_EQ(of_forwarded("Forwarded: for=198.51.100.7, " + obfuscated + "\n"), "10.0.0.1");
}

TEST(TrustedProxies, AreOfOneFamilyEach) {
  const TrustedProxies proxies{our_proxies(), {}};
  EXPECT_TRUE(proxies.include(address("10.255.0.1")));
  EXPECT_TRUE(proxies.include(address("::ffff:10.255.0.1")));
  EXPECT_TRUE(proxies.include(address("2001:db8:1:ffff::1")));
  EXPECT_FALSE(proxies.include(address("11.0.0.1")));
  EXPECT_FALSE(proxies.include(address("2001:db8:2::1")));
  EXPECT_FALSE(proxies.include(address("::a00:1")));  // 10.0.0.1, but not mapped
}

}  // namespace
}  // namespace tallygate::http
