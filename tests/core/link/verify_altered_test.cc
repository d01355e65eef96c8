// Neighbours of genuine links: whatever is altered, none of them opens anything that was not
// signed.

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "core/link/base64url.h"
#include "core/link/mask.h"
#include "core/link/verify.h"
#include "tests/core/link/signed_target.h"

namespace tallygate::link {
namespace {

struct Genuine {
  std::string encoded_path;
  std::string scope;  // as signed
  std::string text;   // the token without its MAC
  [[nodiscard]] std::string token() const { return signed_token(scope, text); }
  [[nodiscard]] std::string target() const { return encoded_path + "?tg=" + token(); }
  [[nodiscard]] std::string target_in_path() const { return "/tg=" + token() + encoded_path; }
};

std::vector<Genuine> genuine_links() {
  const auto client = encode_base64url("192.0.2.0/24");
  const auto name = encode_base64url("Größe.flac");
  return {
      {"/dl/My%20Game.zip", "path:/dl/My Game.zip", "1.kshop2.e1700000600.io-881-2.n3.f" + name},
      {"/music/Gr%C3%B6%C3%9Fe%20XL.flac", "path:/music/Größe XL.flac",
       "1.kshop2.e1767225600.i1001-7.n3"},
      {"/music/a-b.flac", "path:/music/a-b.flac",
       "1.kshop2.e1767225600.b1600000000.i1001-7.n3.a" + client + ".f" + name + ".r500.dmail"},
      {"/free/leaflet.pdf", "path:/free/leaflet.pdf", "1.kshop2.e1767225600"},
      {"/dl/game-7/disk1.iso", "prefix:/dl/game-7/", "1.kshop2.e1700000600.io-881-3.n5.p2"},
      {"/dl/game-7/disk1.iso", "prefix:/dl/", "1.kshop2.e1700000600.p1"},
  };
}

// Holds for every target that is granted: it has a genuine token, unchanged, and a path within what
// that token signs. And a log does not show it.
void expect_harmless(const std::string& target, const Genuine& link, const Keyring& keys) {
  const Attempt attempt(target, keys);
  if (!attempt.granted()) return;
  EXPECT_NE(target.find(link.token()), std::string::npos) << target;
  EXPECT_EQ(mask_tokens(target).find(link.token()), std::string::npos) << target;
  const std::string path(attempt.result->path);
  if (link.scope.starts_with("path:")) {
    EXPECT_EQ("path:" + path, link.scope) << target;
  } else {
    EXPECT_TRUE(("prefix:" + path).starts_with(link.scope)) << target;
  }
}

TEST(LinkVerifyAltered, IsRefusedForEveryFlippedBit) {  // L2
  const auto keys = shop_keyring();
  for (const auto& link : genuine_links()) {
    for (const auto& target : {link.target(), link.target_in_path()}) {
      ASSERT_TRUE(Attempt(target, keys).granted()) << target;
      for (std::size_t i = 0; i < target.size(); ++i) {
        for (unsigned bit = 0; bit < 8; ++bit) {
          auto altered = target;
          altered[i] = static_cast<char>(static_cast<unsigned char>(altered[i]) ^ (1U << bit));
          expect_harmless(altered, link, keys);
        }
      }
    }
  }
}

TEST(LinkVerifyAltered, IsRefusedForEveryFlippedBitOfTheToken) {
  const auto keys = shop_keyring();
  for (const auto& link : genuine_links()) {
    const auto token = link.token();
    for (std::size_t i = 0; i < token.size(); ++i) {
      for (unsigned bit = 0; bit < 8; ++bit) {
        auto altered = token;
        altered[i] = static_cast<char>(static_cast<unsigned char>(altered[i]) ^ (1U << bit));
        EXPECT_FALSE(Attempt(link.encoded_path + "?tg=" + altered, keys).granted()) << altered;
      }
    }
  }
}

TEST(LinkVerifyAltered, IsRefusedWithACharacterRemovedDoubledOrInserted) {
  const auto keys = shop_keyring();
  for (const auto& link : genuine_links()) {
    for (const auto& target : {link.target(), link.target_in_path()}) {
      for (std::size_t i = 0; i < target.size(); ++i) {
        auto shorter = target;
        shorter.erase(i, 1);
        expect_harmless(shorter, link, keys);
        auto doubled = target;
        doubled.insert(i, 1, target[i]);
        expect_harmless(doubled, link, keys);
        for (const auto* inserted :
             {".", "/", "?", "&", "%", "#", "=", "&tg=", "/../", "%2F", "n9."}) {
          auto longer = target;
          longer.insert(i, inserted);
          expect_harmless(longer, link, keys);
        }
      }
    }
  }
}

TEST(LinkVerifyAltered, IsRefusedWithFieldsSwappedRemovedRepeatedOrAdded) {
  const auto keys = shop_keyring();
  for (const auto& link : genuine_links()) {
    std::vector<std::string> fields;
    const auto token = link.token();
    for (std::size_t begin = 0; begin <= token.size();) {
      const auto end = std::min(token.find('.', begin), token.size());
      fields.push_back(token.substr(begin, end - begin));
      begin = end + 1;
    }
    const auto expect_refused = [&](const std::vector<std::string>& altered) {
      std::string text;
      for (const auto& field : altered) text += "." + field;
      text.erase(0, 1);
      EXPECT_FALSE(Attempt(link.encoded_path + "?tg=" + text, keys).granted()) << text;
    };
    for (std::size_t i = 0; i < fields.size(); ++i) {
      auto removed = fields;
      removed.erase(removed.begin() + static_cast<std::ptrdiff_t>(i));
      expect_refused(removed);
      for (std::size_t j = 0; j <= fields.size(); ++j) {
        auto repeated = fields;
        repeated.insert(repeated.begin() + static_cast<std::ptrdiff_t>(j), fields[i]);
        expect_refused(repeated);
        if (j == fields.size() || i == j) continue;
        auto swapped = fields;
        std::swap(swapped[i], swapped[j]);
        expect_refused(swapped);
      }
      for (const auto* added :
           {"e9999999999", "b0", "ix", "n0", "n999", "p1", "fYQ", "r1", "dx", "x1", ""}) {
        auto longer = fields;
        longer.insert(longer.begin() + static_cast<std::ptrdiff_t>(i), added);
        expect_refused(longer);
      }
    }
  }
}

TEST(LinkVerifyAltered, IsRefusedWithABorderBetweenFieldsMoved) {  // L4
  const auto keys = shop_keyring();
  for (const auto& link : genuine_links()) {
    const auto token = link.token();
    for (std::size_t i = 1; i + 1 < token.size(); ++i) {
      if (token[i] != '.') continue;
      for (const auto other : {i - 1, i + 1}) {
        auto moved = token;
        std::swap(moved[i], moved[other]);
        EXPECT_FALSE(Attempt(link.encoded_path + "?tg=" + moved, keys).granted()) << moved;
      }
    }
  }
}

TEST(LinkVerifyAltered, DoesNotOpenAnotherLinksFileOrFields) {  // L11
  const auto keys = shop_keyring();
  const auto links = genuine_links();
  for (const auto& a : links) {
    for (const auto& b : links) {
      expect_harmless(b.encoded_path + "?tg=" + a.token(), a, keys);
      expect_harmless("/tg=" + a.token() + b.encoded_path, a, keys);
      if (&a == &b) continue;
      const auto mac_of_b = b.token().substr(b.text.size());
      EXPECT_FALSE(Attempt(a.encoded_path + "?tg=" + a.text + mac_of_b, keys).granted());
      EXPECT_FALSE(Attempt(a.target() + "&tg=" + b.token(), keys).granted());
    }
  }
}

TEST(LinkVerifyAltered, IsRefusedInEveryOtherSpellingOfTheToken) {  // L3
  const auto keys = shop_keyring();
  for (const auto& link : genuine_links()) {
    const auto token = link.token();
    const auto expect_refused = [&](const std::string& other) {
      EXPECT_FALSE(Attempt(link.encoded_path + "?tg=" + other, keys).granted()) << other;
    };
    for (std::size_t i = 0; i < token.size(); ++i) {
      const auto byte = static_cast<unsigned char>(token[i]);
      std::string encoded = {'%', "0123456789ABCDEF"[byte >> 4], "0123456789ABCDEF"[byte & 15]};
      expect_refused(token.substr(0, i) + encoded + token.substr(i + 1));
    }
    auto upper = token;
    for (auto& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    expect_refused(upper);
    expect_refused(token + "=");
    expect_refused(token + "%20");
    expect_refused(token + "+");
    expect_refused("%20" + token);
    expect_refused("\"" + token + "\"");
    expect_refused("<" + token + ">");
  }
}

// Random edits, several at a time: a small fuzzer that always runs.
TEST(LinkVerifyAltered, IsHarmlessAfterRandomEdits) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto keys = shop_keyring();
  const auto links = genuine_links();
  const std::string kAlphabet = "./?&%=#tgkebinpafrds0123456789aFzZ-_+~ \\\n\xc3\xb6";
  for (int round = 0; round < 100'000; ++round) {
    const auto& link = links[random() % links.size()];
    auto target = random() % 2 == 0 ? link.target() : link.target_in_path();
    for (auto edits = 1 + random() % 3; edits > 0; --edits) {
      const auto at = random() % target.size();
      const char c = kAlphabet[random() % kAlphabet.size()];
      switch (random() % 4) {
        case 0:
          target[at] = c;
          break;
        case 1:
          target.insert(at, 1, c);
          break;
        case 2:
          target.erase(at, 1 + random() % 3);
          break;
        default:
          target += target.substr(at, random() % 20);
          break;
      }
      if (target.empty()) target = "/";
    }
    expect_harmless(target, link, keys);
  }
}

}  // namespace
}  // namespace tallygate::link
