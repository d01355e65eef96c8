#include "core/link/hmac_sha256.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <random>
#include <string>
#include <vector>

namespace tallygate::link {
namespace {

HmacSha256 keyed(const std::string& key) {
  return HmacSha256({reinterpret_cast<const std::uint8_t*>(key.data()), key.size()});
}

std::string hex(const Mac& mac) {
  std::string text;
  for (const auto byte : mac) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

struct Vector {
  std::string key;
  std::string message;
  std::string mac;
};

// RFC 4231 §4.2 to §4.8; §4.6 truncates its result.
const std::vector<Vector> kVectors = {
    {std::string(20, '\x0b'), "Hi There",
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {"Jefe", "what do ya want for nothing?",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {std::string(20, '\xaa'), std::string(50, '\xdd'),
     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17"
     "\x18\x19",
     std::string(50, '\xcd'), "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
    {std::string(20, '\x0c'), "Test With Truncation", "a3b6167473100ee06e0c796c2955552b"},
    {std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First",
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    {std::string(131, '\xaa'),
     "This is a test using a larger than block-size key and a larger than block-size data. The key "
     "needs to be hashed before being used by the HMAC algorithm.",
     "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
};

TEST(HmacSha256, AgreesWithTheVectorsOfRfc4231) {
  for (const auto& [key, message, mac] : kVectors) {
    EXPECT_EQ(hex(keyed(key).sign({message})).substr(0, mac.size()), mac) << message;
  }
}

TEST(HmacSha256, AgreesWithOpenSslForEveryLengthOfKeyAndMessage) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto random_text = [&](std::size_t size) {
    std::string text(size, '\0');
    for (auto& c : text) c = static_cast<char>(random());
    return text;
  };
  for (std::size_t size = 0; size <= 200; ++size) {
    const auto key = random_text(size);
    const auto message = random_text(200 - size + size % 7);
    Mac expected{};
    ASSERT_NE(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                   reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                   expected.data(), nullptr),
              nullptr);
    EXPECT_EQ(keyed(key).sign({message}), expected) << size;
  }
}

TEST(HmacSha256, DependsOnTheBytesAndNotOnTheirDivision) {
  const auto hmac = keyed("correct horse battery staple 32b");
  const auto whole = hmac.sign({"tallygate"});
  EXPECT_EQ(hmac.sign({"", "tally", "", "gate"}), whole);
  EXPECT_EQ(hmac.sign({"tallygate"}), whole);
  EXPECT_NE(hmac.sign({"tallygat"}), whole);
}

TEST(HmacSha256, LivesOnInACopy) {
  auto original = std::make_unique<HmacSha256>(keyed("Jefe"));
  const HmacSha256 copy = *original;
  original.reset();
  EXPECT_EQ(hex(copy.sign({"what do ya want for nothing?"})), kVectors[1].mac);
}

}  // namespace
}  // namespace tallygate::link
