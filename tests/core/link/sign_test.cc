#include "core/link/sign.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "tests/core/link/signed_target.h"

namespace tallygate::link {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::int64_t kNow = 1'700'000'000;
const std::string kBase = "https://dl.shop.example";

std::string sign(const LinkSpec& spec, const Keyring& keys = shop_keyring()) {
  const auto url = sign_url(kBase, spec, keys, kNow);
  EXPECT_TRUE(url.has_value()) << (url ? "" : url.error().front().message);
  return url ? *url : "";
}

std::vector<std::string> mistakes_in(const LinkSpec& spec, const Keyring& keys = shop_keyring()) {
  const auto url = sign_url(kBase, spec, keys, kNow);
  std::vector<std::string> lines;
  if (url) return lines;
  for (const auto& [field, message] : url.error())
    lines.push_back(std::string(field) + ": " + message);
  return lines;
}

LinkSpec file(const std::string& path) {
  LinkSpec spec;
  spec.path = path;
  spec.expires_at = 1'767'225'600;
  return spec;
}

// Each differs from a link that can be signed in what `change` does.
template <class Change>
std::vector<std::string> mistakes_after(const Change& change,
                                        const Keyring& keys = shop_keyring()) {
  auto spec = file("/music/live/a.flac");
  spec.id = "1001-7";
  EXPECT_THAT(mistakes_in(spec), ElementsAre());
  change(spec);
  return mistakes_in(spec, keys);
}

TEST(LinkSign, WritesTheWorkedVectors) {
  auto game = file("/dl/My Game.zip");
  game.expires_at = 1'700'000'600;
  game.id = "o-881-2";
  game.limit = 3;
  game.file_name = "My Game (v1).zip";
  EXPECT_EQ(sign(game),
            kBase +
                "/dl/My%20Game.zip?tg=1.kshop2.e1700000600.io-881-2.n3.fTXkgR2FtZSAodjEpLnppcA."
                "s5f1720b7aaac1bf7c146b1fd7f691f5425c2bc24ce0150ce77e12a6e52474009");
  auto disk = file("/dl/game-7/disk1.iso");
  disk.expires_at = 1'700'000'600;
  disk.id = "o-881-3";
  disk.limit = 5;
  disk.folder_segments = 2;
  EXPECT_EQ(sign(disk), kBase +
                            "/dl/game-7/disk1.iso?tg=1.kshop2.e1700000600.io-881-3.n5.p2."
                            "s803fbd10f1ac5797819dfca8f9165269294516fc7b6ec2b43c6e2c5c6e12e8f7");
}

TEST(LinkSign, WritesEveryFieldInItsPlace) {
  auto spec = file("/music/100% + more.flac");
  spec.id = "1001-7";
  spec.limit = 3;
  spec.not_before = 1'700'000'000;
  spec.client = "192.0.2.0/24";
  spec.file_name = "Größe.flac";
  spec.rate_kbytes = 500;
  spec.data = "campaign-7";
  EXPECT_EQ(sign(spec),
            kBase +
                "/music/100%25%20%2B%20more.flac?tg=1.kshop2.e1767225600.b1700000000.i1001-7.n3."
                "aMTkyLjAuMi4wLzI0.fR3LDtsOfZS5mbGFj.r500.dcampaign-7."
                "s6bbd908681b7bb99e8010549636cc2abdd60ede41173c6c508c1f6f7dbc41123");
}

TEST(LinkSign, WritesWhatVerifies) {
  const auto keys = shop_keyring();
  for (const std::string path : {"/a", "/music/Größe XL.flac", "/tg=odd/a?b#c", "/100%/%2F",
                                 "/a+b;c&d=e", "/~user/.hidden/...", "/\xf0\x9f\x8e\xb5"}) {
    for (const bool in_path : {false, true}) {
      auto spec = file(path);
      spec.token_in_path = in_path;
      const auto url = sign(spec, keys);
      const Attempt attempt(url.substr(kBase.size()), keys);
      ASSERT_TRUE(attempt.granted()) << url;
      EXPECT_EQ(attempt.result->path, path);
    }
  }
}

TEST(LinkSign, PutsTheTokenInFrontOnRequest) {
  auto spec = file("/music/a b.flac");
  spec.token_in_path = true;
  EXPECT_THAT(sign(spec), StartsWith(kBase + "/tg=1.kshop2.e1767225600.s"));
  EXPECT_THAT(sign(spec), testing::EndsWith("/music/a%20b.flac"));
}

TEST(LinkSign, SignsAFolderItself) {
  const auto keys = shop_keyring();
  auto spec = file("/music/live/");
  spec.folder_segments = 2;
  spec.token_in_path = true;
  const auto url = sign(spec, keys);
  EXPECT_TRUE(Attempt((url + "a.flac").substr(kBase.size()), keys).granted());
  EXPECT_TRUE(Attempt((url + "2024/a.flac").substr(kBase.size()), keys).granted());
  EXPECT_FALSE(Attempt(url.substr(kBase.size()), keys).granted());
  spec.folder_segments = 1;
  EXPECT_TRUE(Attempt((sign(spec, keys) + "a.flac").substr(kBase.size()), keys).granted());
  spec.folder_segments = 3;
  EXPECT_THAT(mistakes_in(spec), ElementsAre(StartsWith("folder_segments: ")));
  spec.folder_segments = 0;
  EXPECT_THAT(mistakes_in(spec), ElementsAre(HasSubstr("path: the path has an empty segment")));
  spec.folder_segments = 1;
  spec.path = "/";
  EXPECT_THAT(mistakes_in(spec), ElementsAre(HasSubstr("path: the path has an empty segment")));
}

TEST(LinkSign, JoinsBaseAndPathWithOneSlash) {
  const auto keys = shop_keyring();
  for (const std::string base : {"https://h", "https://h/", "https://h//"}) {
    EXPECT_THAT(*sign_url(base, file("/a"), keys, kNow), StartsWith("https://h/a?tg="));
  }
  EXPECT_THAT(*sign_url("", file("/a"), keys, kNow), StartsWith("/a?tg="));
}

TEST(LinkSign, NamesWhatCannotBeSigned) {
  const auto one = [](const std::string& text) { return ElementsAre(HasSubstr(text)); };
  EXPECT_THAT(mistakes_after([](auto& s) { s.path = "a"; }), one("path: the path does not begin"));
  EXPECT_THAT(mistakes_after([](auto& s) { s.path = "/a/../b"; }),
              one("path: the path has a segment"));
  EXPECT_THAT(mistakes_after([](auto& s) { s.path = "/a\\b"; }),
              one("path: the path has a backslash"));
  EXPECT_THAT(mistakes_after([](auto& s) { s.path = "/\xff"; }),
              one("path: the path is not valid UTF-8"));
  EXPECT_THAT(mistakes_after([](auto& s) { s.path = "/" + std::string(3000, ' '); }),
              one("path: the signed URL is longer"));
  EXPECT_THAT(mistakes_after([](auto& s) { s.folder_segments = 3; }),
              one("folder_segments: 3 segments"));
  EXPECT_THAT(mistakes_after([](auto& s) { s.id = "a b"; }), one("id: a link id is 1 to 64"));
  EXPECT_THAT(mistakes_after([](auto& s) { s.id = std::string(65, 'i'); }),
              one("id: a link id is"));
  EXPECT_THAT(mistakes_after([](auto& s) { s.limit = 0x80000000; }),
              one("limit: a limit is below 2^31"));
  EXPECT_THAT(mistakes_after([](auto& s) { s.limit = 1, s.id = ""; }),
              one("limit: a limit needs an id"));
  EXPECT_THAT(mistakes_after([](auto& s) { s.expires_at = -1; }), one("expires_at: "));
  EXPECT_THAT(mistakes_after([](auto& s) { s.not_before = -1; }), one("not_before: "));
  EXPECT_THAT(mistakes_after([](auto& s) { s.not_before = s.expires_at; }),
              one("expires_at: the link would expire"));
  EXPECT_THAT(mistakes_after([](auto& s) { s.client = "10.0.0.0/33"; }),
              one("client: '10.0.0.0/33' is not"));
  EXPECT_THAT(mistakes_after([](auto& s) { s.file_name = "a/b"; }), one("file_name: "));
  EXPECT_THAT(mistakes_after([](auto& s) { s.rate_kbytes = 0x80000000; }), one("rate_kbytes: "));
  EXPECT_THAT(mistakes_after([](auto& s) { s.data = "a.b"; }), one("data: "));
  EXPECT_THAT(mistakes_after([](auto& s) { s.key_id = "k9"; }),
              one("key_id: no key has the id 'k9'"));
  EXPECT_THAT(mistakes_after([](auto& s) { s.path = "a", s.id = "", s.limit = 1, s.data = "."; }),
              ElementsAre(StartsWith("path: "), StartsWith("limit: "), StartsWith("data: ")));
}

TEST(LinkSign, ObeysTheKeysLimits) {
  const auto none = [](auto&) {};
  const auto one = [](const std::string& text) { return ElementsAre(text); };
  EXPECT_THAT(mistakes_after(none, shop_keyring("scope = \"/music/live/\"\n")), ElementsAre());
  EXPECT_THAT(mistakes_after(none, shop_keyring("scope = \"/films/\"\n")),
              one("path: key 'shop2' signs only below '/films/'"));
  EXPECT_THAT(mistakes_after([](auto& s) { s.folder_segments = 1; },
                             shop_keyring("scope = \"/music/live/\"\n")),
              one("folder_segments: key 'shop2' signs only below '/music/live/'"));
  EXPECT_THAT(mistakes_after(none, shop_keyring("ids = \"1001-\"\n")), ElementsAre());
  EXPECT_THAT(mistakes_after(none, shop_keyring("ids = \"p1-\"\n")),
              one("id: key 'shop2' signs only ids that begin with 'p1-'"));
  EXPECT_THAT(mistakes_after([](auto& s) { s.id = ""; }, shop_keyring("ids = \"p1-\"\n")),
              one("id: key 'shop2' signs only ids that begin with 'p1-'"));
  EXPECT_THAT(mistakes_after(none, shop_keyring("use = \"verify\"\n")),
              one("keyring: no key has use = \"sign\" and is not retired"));
  const auto named = [](auto& s) { s.key_id = "shop2"; };
  EXPECT_THAT(mistakes_after(named, shop_keyring("not_after = 1700000001\n")), ElementsAre());
  EXPECT_THAT(mistakes_after(named, shop_keyring("not_after = 1700000000\n")),
              one("key_id: key 'shop2' is past its not_after"));
  EXPECT_THAT(mistakes_after(named, shop_keyring("use = \"verify\"\n")),
              one("key_id: key 'shop2' has use = \"verify\""));
}

TEST(LinkSign, UsesTheNamedKeyOrElseTheFirst) {
  const auto keys = keyring_of(
      "[[key]]\nid = \"a\"\nsecret = \"raw:0123456789abcdef\"\n"
      "[[key]]\nid = \"b\"\nsecret = \"raw:fedcba9876543210\"\n");
  auto spec = file("/x");
  EXPECT_THAT(sign(spec, keys), HasSubstr("?tg=1.ka."));
  spec.key_id = "b";
  EXPECT_THAT(sign(spec, keys), HasSubstr("?tg=1.kb."));
}

}  // namespace
}  // namespace tallygate::link
