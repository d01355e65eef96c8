#include "core/link/base64url.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace tallygate::link {
namespace {

std::optional<std::string> decode(std::string_view text) {
  std::array<std::uint8_t, 64> out{};
  const auto size = decode_base64url(text, out);
  if (!size) return std::nullopt;
  return std::string(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(*size));
}

struct Pair {
  std::string bytes;
  std::string text;
};

// RFC 4648 §10, without padding, and the two characters that differ from plain base64.
const std::vector<Pair> kPairs = {{"", ""},
                                  {"f", "Zg"},
                                  {"fo", "Zm8"},
                                  {"foo", "Zm9v"},
                                  {"foob", "Zm9vYg"},
                                  {"fooba", "Zm9vYmE"},
                                  {"foobar", "Zm9vYmFy"},
                                  {"\xfb\xff", "-_8"},
                                  {std::string(1, '\0'), "AA"}};

TEST(Base64Url, DecodesAndEncodesTheVectorsOfTheRfc) {
  for (const auto& [bytes, text] : kPairs) {
    EXPECT_EQ(decode(text), bytes) << text;
    EXPECT_EQ(encode_base64url(bytes), text);
    EXPECT_EQ(base64url_decoded_size(text.size()), bytes.size());
  }
}

TEST(Base64Url, RefusesEveryOtherSpelling) {
  for (const auto* text : {"Zg==", "Zg=", "Z", "Zm9vY", "Zh", "Zm9", "Zm9vYmF", "+_8", "-/8",
                           "Zm 8", " Zm8", "Zm8\n", "Zm8.", "Zm\xc3\xb6"}) {
    EXPECT_EQ(decode(text), std::nullopt) << text;
  }
}

TEST(Base64Url, HasExactlyOneSpellingForEachTwoBytes) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  int spellings = 0;
  for (const char a : kAlphabet) {
    for (const char b : kAlphabet) {
      const std::string text = {'Q', a, b};
      const auto bytes = decode(text);
      if (!bytes) continue;
      ++spellings;
      EXPECT_EQ(encode_base64url(*bytes), text);
    }
  }
  EXPECT_EQ(spellings, 64 * 16);
}

TEST(Base64Url, RefusesWhatDoesNotFitIntoTheBuffer) {
  std::array<std::uint8_t, 3> out{};
  EXPECT_EQ(decode_base64url("Zm9v", out), 3U);
  EXPECT_EQ(decode_base64url("Zm9vYg", out), std::nullopt);
}

TEST(Base64Url, SurvivesARoundTripOfAllBytes) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  std::vector<std::uint8_t> out(256);
  ASSERT_EQ(decode_base64url(encode_base64url(all), out), 256U);
  EXPECT_EQ(std::string(out.begin(), out.end()), all);
}

}  // namespace
}  // namespace tallygate::link
