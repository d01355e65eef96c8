#include "core/net/address_key.h"

#include <gtest/gtest.h>

#include <string_view>

namespace tallygate::net {
namespace {

std::uint64_t key(std::string_view text) {
  const auto address = link::IpAddress::parse(text);
  EXPECT_TRUE(address.has_value()) << text;
  return address_key(*address);
}

TEST(AddressKey, TellsEveryIpv4AddressFromItsNeighbour) {
  EXPECT_NE(key("192.0.2.7"), key("192.0.2.8"));
  EXPECT_NE(key("192.0.2.7"), key("192.0.3.7"));
  EXPECT_NE(key("0.0.0.0"), key("255.255.255.255"));
  EXPECT_EQ(key("192.0.2.7"), key("::ffff:192.0.2.7"));
}

TEST(AddressKey, IsOneForAllOfAnIpv6Customers64) {
  EXPECT_EQ(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff:ffff:ffff:ffff"));
  EXPECT_NE(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
  EXPECT_NE(key("2001:db8:1:2::1"), key("2001:db9:1:2::1"));
}

TEST(AddressKey, OfIpv4IsNoIpv6Clients) {
  EXPECT_NE(key("192.0.2.7"), key("::c000:207"));
  EXPECT_NE(key("32.1.13.184"), key("2001:db8::"));
  EXPECT_EQ(key("192.0.2.7") >> 32, 0xffffu);
  EXPECT_EQ(key("::1"), 0u);
}

}  // namespace
}  // namespace tallygate::net
