#include "core/link/mask.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

namespace tallygate::link {
namespace {

using namespace std::string_literals;

TEST(LinkMask, ReplacesTokensWhole) {
  const std::vector<std::pair<std::string, std::string>> kCases = {
      {"/a.zip?tg=1.kk1.e5.sab", "/a.zip?tg=***"},
      {"/a.zip?tg=1.kk1.sab&utm_source=mail", "/a.zip?tg=***&utm_source=mail"},
      {"/a.zip?x=1&tg=1.kk1.sab", "/a.zip?x=1&tg=***"},
      {"/tg=1.kk1.sab/music/a.zip", "/tg=***/music/a.zip"},
      {"/tg=1.kk1.sab", "/tg=***"},
      {"/tg=1.kk1.sab?x=1", "/tg=***?x=1"},
      {"/tg=1.kk1.sab/a?tg=1.kk1.sab", "/tg=***/a?tg=***"},
      {"/a?tg=1&tg=2&tg=3", "/a?tg=***&tg=***&tg=***"},
      {"/a?tg=", "/a?tg=***"},
      {"https://dl.shop.example/a?tg=1.kk1.sab", "https://dl.shop.example/a?tg=***"},
      {"https://dl.shop.example/tg=1.kk1.sab/a", "https://dl.shop.example/tg=***/a"},
      {"?tg=1.kk1.sab", "?tg=***"},
      {"tg=1.kk1.sab", "tg=***"},
      {"/a?token=1.kk1.s" + std::string(64, 'a') + "&x=1", "/a?token=1.kk1.***&x=1"},
      {"/1.kk1%2ES" + std::string(70, '0') + "g", "/1.kk1%2E***g"},
      {"/a.s" + std::string(63, 'a'), "/a.s" + std::string(63, 'a')},
  };
  for (const auto& [target, masked] : kCases) EXPECT_EQ(mask_tokens(target), masked);
}

TEST(LinkMask, SeesThroughOtherSpellings) {  // H13
  const std::vector<std::pair<std::string, std::string>> kCases = {
      {"/a?%74g=secret", "/a?%74g=***"},
      {"/a?t%67=secret", "/a?t%67=***"},
      {"/a?%54%47%3dsecret", "/a?%54%47%3d***"},
      {"/a?%2574g=secret", "/a?%2574g=***"},
      {"/a?%252574%252567%25253Dsecret", "/a?%252574%252567%25253D***"},
      {"/a?TG=secret", "/a?TG=***"},
      {"/%74%67%3Dsecret/a", "/%74%67%3D***/a"},
      {"/a&tg=secret/b", "/a&tg=***/b"},
      {"/a%3Ftg%3Dsecret", "/a%3Ftg%3D***"},
      {"/a?x=1;tg=secret", "/a?x=1;tg=***"},
      {"/a?x=1&amp;tg=secret", "/a?x=1&amp;tg=***"},
      {"/a?x=1%26tg=secret", "/a?x=1%26tg=***"},
      {"/a? tg=secret", "/a? tg=***"},
      {"/a?url=https%3A%2F%2Fdl%2Fb%3Ftg%3Dsecret&c=d",
       "/a?url=https%3A%2F%2Fdl%2Fb%3Ftg%3D***&c=d"},
      {"/a?tg=sec/ret?secret", "/a?tg=***"},
      {"//tg=secret/a", "//tg=***/a"},
      {"/a/tg=secret/b", "/a/tg=***/b"},
      {"/a?tg=tg=secret", "/a?tg=***"},
      {"/a?=tg=secret", "/a?=tg=***"},
  };
  for (const auto& [target, masked] : kCases) EXPECT_EQ(mask_tokens(target), masked);
}

TEST(LinkMask, LeavesEverythingElseAsItIs) {
  for (const auto& target :
       {""s,         "/"s,         "*"s,     "/a.zip"s, "/a.zip?"s, "/a?tg"s,     "/a?tgx=1"s,
        "/a?xtg=1"s, "/a?tg2=1"s,  "/tg/a"s, "/tga=1"s, "/a%"s,     "/a%7"s,      "/%74"s,
        "/%74%67"s,  "/%2574%25"s, "/%25"s,  "/%252"s,  "/a\0b"s,   "/\xff\xfe"s, "/a%GG?x=%"s}) {
    EXPECT_EQ(mask_tokens(target), target);
  }
}

// Junk made of the very characters that matter: the secret is always behind a "tg=".
TEST(LinkMask, NeverShowsATokenWhateverSurroundsIt) {  // H13
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const std::vector<std::string> kJunk = {"tg", "=", "&", "?",   "/",    "%", "%25", "%74",
                                          "g",  ";", "#", "%3D", "\xc3", "a", "25",  "=="};
  const std::vector<std::string> kCarriers = {"?tg=", "&tg=", "/tg=", "%26%74g%3d", "&TG="};
  for (int round = 0; round < 20'000; ++round) {
    std::string target = "/";
    for (auto n = random() % 6; n > 0; --n) target += kJunk[random() % kJunk.size()];
    target += kCarriers[random() % kCarriers.size()] + "SECRET";
    for (auto n = random() % 6; n > 0; --n) target += kJunk[random() % kJunk.size()];
    ASSERT_EQ(mask_tokens(target).find("SECRET"), std::string::npos) << target;
  }
}

}  // namespace
}  // namespace tallygate::link
