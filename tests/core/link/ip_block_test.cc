#include "core/link/ip_block.h"

#include <gtest/gtest.h>

#include <string>

namespace tallygate::link {
namespace {

using namespace std::string_literals;

bool contains(std::string_view block, std::string_view address) {
  return IpBlock::parse(block).value().contains(IpAddress::parse(address).value());
}

TEST(IpAddress, TakesMappedAddressesAsIpv4) {
  const auto four = IpAddress::parse("192.0.2.7");
  ASSERT_TRUE(four.has_value());
  EXPECT_TRUE(four->is_v4());
  EXPECT_EQ(IpAddress::parse("::ffff:192.0.2.7"), four);
  EXPECT_EQ(IpAddress::parse("::ffff:c000:207"), four);
  EXPECT_EQ(IpAddress::v4({192, 0, 2, 7}), four);
  EXPECT_EQ(IpAddress::v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7}), four);
  EXPECT_EQ(four->to_string(), "192.0.2.7");
}

TEST(IpAddress, FormatsIpv6InItsShortForm) {
  const auto six = IpAddress::parse("2001:0DB8:0:0:0:0:0:1");
  ASSERT_TRUE(six.has_value());
  EXPECT_FALSE(six->is_v4());
  EXPECT_EQ(six->to_string(), "2001:db8::1");
}

TEST(IpAddress, RefusesOtherText) {
  for (const auto& text : {""s,
                           "1"s,
                           "192.0.2"s,
                           "192.0.2.256"s,
                           "192.0.2.1 "s,
                           " 192.0.2.1"s,
                           "192.0.2.01"s,
                           "192.0.2.1.1"s,
                           "0x7f.0.0.1"s,
                           "::1%lo"s,
                           "[::1]"s,
                           ":"s,
                           ":::"s,
                           "1::2::3"s,
                           "12345::"s,
                           "::1:443:"s,
                           "192.0.2.1\0"s,
                           "::1\0x"s,
                           std::string(100, '1'),
                           std::string(100, ':')}) {
    EXPECT_EQ(IpAddress::parse(text), std::nullopt) << text;
  }
}

TEST(IpBlock, ContainsAddressesUpToBothEdges) {
  EXPECT_TRUE(contains("192.0.2.7", "192.0.2.7"));
  EXPECT_FALSE(contains("192.0.2.7", "192.0.2.6"));
  EXPECT_TRUE(contains("192.0.2.0/24", "192.0.2.0"));
  EXPECT_TRUE(contains("192.0.2.0/24", "192.0.2.255"));
  EXPECT_FALSE(contains("192.0.2.0/24", "192.0.3.0"));
  EXPECT_FALSE(contains("192.0.2.0/24", "192.0.1.255"));
  EXPECT_TRUE(contains("10.128.0.0/9", "10.255.255.255"));
  EXPECT_FALSE(contains("10.128.0.0/9", "10.127.255.255"));
  EXPECT_TRUE(contains("192.0.2.6/31", "192.0.2.7"));
  EXPECT_FALSE(contains("192.0.2.6/31", "192.0.2.8"));
  EXPECT_TRUE(contains("2001:db8::/64", "2001:db8::ffff:ffff:ffff:ffff"));
  EXPECT_FALSE(contains("2001:db8::/64", "2001:db8:0:1::"));
  EXPECT_TRUE(contains("2001:db8::1", "2001:db8::1"));
  EXPECT_FALSE(contains("2001:db8::1", "2001:db8::2"));
  EXPECT_TRUE(contains("2001:db8::fe/127", "2001:db8::ff"));
}

TEST(IpBlock, IgnoresTheBitsBehindThePrefix) {
  EXPECT_TRUE(contains("192.0.2.77/24", "192.0.2.1"));
}

TEST(IpBlock, NeverContainsTheOtherFamily) {
  EXPECT_TRUE(contains("0.0.0.0/0", "203.0.113.9"));
  EXPECT_TRUE(contains("0.0.0.0/0", "::ffff:203.0.113.9"));
  EXPECT_FALSE(contains("0.0.0.0/0", "2001:db8::1"));
  EXPECT_TRUE(contains("::/0", "2001:db8::1"));
  EXPECT_FALSE(contains("::/0", "203.0.113.9"));
  EXPECT_FALSE(contains("::/0", "::ffff:203.0.113.9"));
  EXPECT_TRUE(contains("::ffff:192.0.2.0/120", "192.0.2.200"));
  EXPECT_FALSE(contains("::ffff:192.0.2.0/120", "192.0.3.200"));
}

TEST(IpBlock, RefusesOtherText) {
  for (const auto* text :
       {"", "/", "/24", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/+8",
        "192.0.2.0/08", "192.0.2.0/8 ", "192.0.2.0/8/8", "192.0.2.0/4294967304", "192.0.2.0/0x8",
        "2001:db8::/129", "::ffff:0:0/95", "example.org", "192.0.2.0-192.0.2.9"}) {
    EXPECT_FALSE(IpBlock::parse(text).has_value()) << text;
  }
}

TEST(IpAddress, HasItsTextInMemoryOfItsOwn) {
  for (const std::string longest :
       {"0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"}) {
    const auto address = IpAddress::parse(longest);
    ASSERT_TRUE(address.has_value()) << longest;
    EXPECT_EQ(address->text().view(), longest);
    EXPECT_EQ(address->to_string(), longest);
  }
  EXPECT_EQ(IpText().view(), "");
}

TEST(IpBlock, PrintsItself) {
  EXPECT_EQ(IpBlock::parse("192.0.2.0/24")->to_string(), "192.0.2.0/24");
  EXPECT_EQ(IpBlock::parse("192.0.2.1/32")->to_string(), "192.0.2.1");
  EXPECT_EQ(IpBlock::parse("0.0.0.0/0")->to_string(), "0.0.0.0/0");
  EXPECT_EQ(IpBlock::parse("::ffff:192.0.2.0/120")->to_string(), "192.0.2.0/24");
  EXPECT_EQ(IpBlock::parse("2001:DB8::/64")->to_string(), "2001:db8::/64");
}

}  // namespace
}  // namespace tallygate::link
