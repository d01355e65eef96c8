#include "core/net/proxy_protocol.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tallygate::net {
namespace {

using link::IpAddress;
using State = ProxyHeader::State;

constexpr std::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);

// Version 2: command, family, and what the length counts.
std::string version_2(int command, int family, std::string_view payload) {
  std::string out(kSignature);
  out += static_cast<char>(command);
  out += static_cast<char>(family);
  out += static_cast<char>(payload.size() >> 8);
  out += static_cast<char>(payload.size() & 0xff);
  out += payload;
  return out;
}

// 192.0.2.7:51000 to 198.51.100.1:443
const std::string kOverV4("\xc0\x00\x02\x07\xc6\x33\x64\x01\xc7\x38\x01\xbb", 12);
// [2001:db8::7]:51000 to [2001:db8::1]:443
const std::string kOverV6 = std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07", 16) +
                            std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16) +
                            std::string("\xc7\x38\x01\xbb", 4);

std::string shown(const ProxyHeader& header) {
  switch (header.state) {
    case State::incomplete:
      return "incomplete";
    case State::malformed:
      return "malformed";
    default:
      return header.source ? header.source->to_string() : "no address";
  }
}

struct Case {
  std::string header;
  std::string expected;  // an address, "no address" or "malformed"
};

std::string repeated(char c, std::size_t times) {
  return std::string(times, c);
}

std::vector<Case> well_formed() {
  const std::string longest =
      "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe "
      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
  return {
      {"PROXY TCP4 192.0.2.7 198.51.100.1 51000 443\r\n", "192.0.2.7"},
      {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255"},
      {"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0"},
      {"PROXY TCP6 2001:db8::7 2001:db8::1 51000 443\r\n", "2001:db8::7"},
      {"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 1 2\r\n", "192.0.2.7"},
      {longest, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"},
      {"PROXY UNKNOWN\r\n", "no address"},
      {"PROXY UNKNOWN 192.0.2.7 198.51.100.1 51000 443\r\n", "no address"},
      {"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
       "no address"},
      {"PROXY UNKNOWN " + repeated('x', 91) + "\r\n", "no address"},  // 107 bytes
      {version_2(0x21, 0x11, kOverV4), "192.0.2.7"},
      {version_2(0x21, 0x21, kOverV6), "2001:db8::7"},
      // Behind the addresses: TLVs, which are skipped.
      {version_2(0x21, 0x11, kOverV4 + std::string("\x04\x00\x03\0\0\0", 6)), "192.0.2.7"},
      {version_2(0x21, 0x21, kOverV6 + repeated('\xff', 500)), "2001:db8::7"},
      {version_2(0x21, 0x11, kOverV4 + repeated('t', kProxyHeaderBytesMax - 28)), "192.0.2.7"},
      {version_2(0x21, 0x31, repeated('u', 216)), "no address"},  // Unix sockets
      {version_2(0x21, 0x00, ""), "no address"},
      {version_2(0x21, 0x00, "ignored"), "no address"},
      // LOCAL: whatever the rest says.
      {version_2(0x20, 0x00, ""), "no address"},
      {version_2(0x20, 0x11, kOverV4), "no address"},
      {version_2(0x20, 0x99, "?"), "no address"},
  };
}

std::vector<Case> malformed() {
  std::vector<Case> out;
  for (const std::string header : {
           "GET / HTTP/1.1\r\n",
           "P\r\n",
           "PROXY\r\n",
           "PROXY \r\n",
           "proxy TCP4 192.0.2.7 198.51.100.1 51000 443\r\n",
           "PROXY  TCP4 192.0.2.7 198.51.100.1 51000 443\r\n",
           "PROXY TCP4  192.0.2.7 198.51.100.1 51000 443\r\n",
           "PROXY TCP4 192.0.2.7 198.51.100.1 51000 443 \r\n",
           "PROXY TCP4 192.0.2.7 198.51.100.1 51000 443\n",
           "PROXY TCP4 192.0.2.7 198.51.100.1 51000 443\r\r\n",
           "PROXY TCP4 192.0.2.7 198.51.100.1 51000\r\n",
           "PROXY TCP4 192.0.2.7 198.51.100.1 51000 443 1\r\n",
           "PROXY TCP4 192.0.2.7 198.51.100.1 51000 65536\r\n",
           "PROXY TCP4 192.0.2.7 198.51.100.1 051000 443\r\n",
           "PROXY TCP4 192.0.2.7 198.51.100.1 -1 443\r\n",
           "PROXY TCP4 192.0.2.7 198.51.100.1  443\r\n",
           "PROXY TCP4 192.0.2.07 198.51.100.1 51000 443\r\n",
           "PROXY TCP4 192.0.2.256 198.51.100.1 51000 443\r\n",
           "PROXY TCP4 192.0.2.7 198.51.100 51000 443\r\n",
           "PROXY TCP4 2001:db8::7 2001:db8::1 51000 443\r\n",
           "PROXY TCP6 192.0.2.7 198.51.100.1 51000 443\r\n",
           "PROXY TCP6 2001:db8::7 192.0.2.1 51000 443\r\n",
           "PROXY TCP6 [2001:db8::7] [2001:db8::1] 51000 443\r\n",
           "PROXY TCP6 fe80::1%eth0 2001:db8::1 51000 443\r\n",
           "PROXY TCP5 192.0.2.7 198.51.100.1 51000 443\r\n",
           "PROXY UDP4 192.0.2.7 198.51.100.1 51000 443\r\n",
           "PROXY UNKNOWNX\r\n",
           "PROXY unknown\r\n",
           "\x16\x03\x01\x02",
           "\r\n\r\nGET",
       }) {
    out.push_back({header, "malformed"});
  }
  const std::string with_nul("PROXY TCP4 192.0.2.7\0 198.51.100.1 51000 443\r\n", 46);
  out.push_back({with_nul, "malformed"});
  out.push_back({"PROXY UNKNOWN " + repeated('x', 92) + "\r\n", "malformed"});  // 108 bytes
  out.push_back({"PROXY TCP4 " + repeated('1', 200), "malformed"});             // and no end
  for (const int command : {0x00, 0x01, 0x11, 0x22, 0x2f, 0x31, 0xff}) {
    out.push_back({version_2(command, 0x11, kOverV4), "malformed"});
  }
  for (const int family : {0x01, 0x02, 0x10, 0x12, 0x13, 0x20, 0x22, 0x30, 0x32, 0x41, 0xff}) {
    out.push_back({version_2(0x21, family, repeated('x', 216)), "malformed"});
  }
  out.push_back({version_2(0x21, 0x11, kOverV4.substr(1)), "malformed"});
  out.push_back({version_2(0x21, 0x21, kOverV6.substr(1)), "malformed"});
  out.push_back({version_2(0x21, 0x31, repeated('u', 215)), "malformed"});
  out.push_back({version_2(0x21, 0x11, ""), "malformed"});
  out.push_back(
      {version_2(0x21, 0x11, kOverV4 + repeated('t', kProxyHeaderBytesMax - 27)), "malformed"});
  out.push_back({version_2(0x20, 0x00, repeated('t', 65535)), "malformed"});
  return out;
}

TEST(ProxyHeader, NamesTheClientOrNobody) {
  for (const auto& c : well_formed()) {
    const auto header = parse_proxy_header(c.header);
    EXPECT_EQ(shown(header), c.expected) << c.header;
    EXPECT_EQ(header.bytes, c.header.size()) << c.header;
  }
}

TEST(ProxyHeader, ThatIsMalformedIsNotHelped) {
  for (const auto& c : malformed()) {
    EXPECT_EQ(shown(parse_proxy_header(c.header)), "malformed") << c.header;
  }
}

TEST(ProxyHeader, EndsWhereTheClientBegins) {
  for (const auto& c : well_formed()) {
    for (const std::string_view client :
         {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01", "PROXY TCP4 "}) {
      const auto header = parse_proxy_header(c.header + std::string(client));
      EXPECT_EQ(shown(header), c.expected) << c.header;
      EXPECT_EQ(header.bytes, c.header.size()) << c.header;
    }
  }
}

TEST(ProxyHeader, MayComeByteByByte) {
  for (const auto& c : well_formed()) {
    for (std::size_t size = 0; size < c.header.size(); ++size) {
      EXPECT_EQ(shown(parse_proxy_header(std::string_view(c.header).substr(0, size))), "incomplete")
          << size << " bytes of " << c.header;
    }
  }
}

TEST(ProxyHeader, ThatIsMalformedStaysSoWithEveryFurtherByte) {
  for (const auto& c : malformed()) {
    bool refused = false;
    for (std::size_t size = 0; size <= c.header.size(); ++size) {
      const auto said = shown(parse_proxy_header(std::string_view(c.header).substr(0, size)));
      EXPECT_EQ(said, refused ? "malformed" : said) << size << " bytes of " << c.header;
      EXPECT_TRUE(said == "incomplete" || said == "malformed") << said;
      refused = said == "malformed";
    }
    EXPECT_TRUE(refused) << c.header;
  }
}

TEST(ProxyHeader, OfAnotherProtocolIsToldByItsFirstByte) {
  for (const std::string_view other : {"G", "\x16", "O", "\n", "p"}) {
    EXPECT_EQ(shown(parse_proxy_header(other)), "malformed") << other;
  }
}

// Whoever sends without an end is not waited for beyond what a header may have.
TEST(ProxyHeader, IsBounded) {
  EXPECT_EQ(shown(parse_proxy_header("PROXY UNKNOWN " + repeated('x', 91))), "incomplete");
  EXPECT_EQ(shown(parse_proxy_header("PROXY UNKNOWN " + repeated('x', 92))), "malformed");
  EXPECT_EQ(
      shown(parse_proxy_header(version_2(0x21, 0x11, kOverV4 + repeated('t', 5000)).substr(0, 16))),
      "malformed");
}

}  // namespace
}  // namespace tallygate::net
