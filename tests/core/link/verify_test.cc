#include "core/link/verify.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "core/link/base64url.h"
#include "tests/core/link/signed_target.h"

namespace tallygate::link {
namespace {

// Computed elsewhere (Python, PHP) with the key "correct horse battery staple 32b".
const std::string kGame =
    "/dl/My%20Game.zip?tg=1.kshop2.e1700000600.io-881-2.n3.fTXkgR2FtZSAodjEpLnppcA."
    "s5f1720b7aaac1bf7c146b1fd7f691f5425c2bc24ce0150ce77e12a6e52474009";
const std::string kDisk =
    "/dl/game-7/disk1.iso?tg=1.kshop2.e1700000600.io-881-3.n5.p2."
    "s803fbd10f1ac5797819dfca8f9165269294516fc7b6ec2b43c6e2c5c6e12e8f7";
const std::string kFlac =
    "/music/Gr%C3%B6%C3%9Fe%20XL.flac?tg=1.kshop2.e1767225600.i1001-7.n3."
    "s87de46e916a914bce34bdae14321dcce6ddf25512f7d45e5a0a231699fd563ca";
const std::string kEverything =
    "/music/100%25%20%2B%20more.flac?tg=1.kshop2.e1767225600.b1700000000.i1001-7.n3."
    "aMTkyLjAuMi4wLzI0.fR3LDtsOfZS5mbGFj.r500.dcampaign-7."
    "s6bbd908681b7bb99e8010549636cc2abdd60ede41173c6c508c1f6f7dbc41123";
const std::string kLeaflet =
    "/free/leaflet.pdf?tg=1.kshop2.e1767225600."
    "sb457e386ecc0cc3d09b8cf79832e3528fa80b52fffcc3b77c20764a639b249fc";
const std::string kFolderWithoutId =
    "/dl/a?tg=1.kshop2.e1700000600.p1."
    "s1226e26a321ebdbc277e6ea81be38d8175d9b3c883d0cc58d1949904e13f55a7";

std::string answer(const std::string& target, const Keyring& keys = shop_keyring(),
                   const std::string& client = "192.0.2.7", std::int64_t now = 1'700'000'000) {
  return Attempt(target, keys, client, now).answer();
}

TEST(LinkVerify, GrantsWhatTheFirstWorkedVectorSays) {
  const auto keys = shop_keyring();
  const Attempt attempt(kGame, keys);
  ASSERT_TRUE(attempt.granted());
  const auto& grant = *attempt.result;
  EXPECT_EQ(grant.path, "/dl/My Game.zip");
  EXPECT_EQ(grant.file_name, "My Game (v1).zip");
  EXPECT_EQ(grant.key_id, "shop2");
  EXPECT_EQ(grant.data, "");
  EXPECT_EQ(grant.link_id.view(), "o-881-2");
  EXPECT_FALSE(grant.is_folder_link());
  EXPECT_EQ(grant.limit, 3U);
  EXPECT_EQ(grant.expires_at, 1'700'000'600);
  EXPECT_EQ(grant.not_before, std::nullopt);
  EXPECT_EQ(grant.bytes_per_second, 0U);
}

TEST(LinkVerify, CountsEachFileOfAFolderLinkByItself) {
  const auto keys = shop_keyring();
  const Attempt attempt(kDisk, keys);
  ASSERT_TRUE(attempt.granted());
  EXPECT_EQ(attempt.result->path, "/dl/game-7/disk1.iso");
  EXPECT_EQ(attempt.result->file_name, "disk1.iso");
  EXPECT_EQ(attempt.result->link_id.view(), "o-881-3:a4418ddf532ebec0");
  EXPECT_EQ(attempt.result->parent_id.view(), "o-881-3");
  EXPECT_TRUE(attempt.result->is_folder_link());
  EXPECT_EQ(attempt.result->limit, 5U);

  const auto token = kDisk.substr(kDisk.find("?tg="));
  const Attempt sibling("/dl/game-7/extras/disk2.iso" + token, keys);
  ASSERT_TRUE(sibling.granted());
  EXPECT_NE(sibling.result->link_id, attempt.result->link_id);
  EXPECT_EQ(sibling.result->parent_id, attempt.result->parent_id);
}

TEST(LinkVerify, CarriesEveryFieldIntoTheGrant) {
  const auto keys = shop_keyring();
  const Attempt attempt(kEverything, keys);
  ASSERT_TRUE(attempt.granted());
  EXPECT_EQ(attempt.result->path, "/music/100% + more.flac");
  EXPECT_EQ(attempt.result->file_name, "Größe.flac");
  EXPECT_EQ(attempt.result->data, "campaign-7");
  EXPECT_EQ(attempt.result->expires_at, 1'767'225'600);
  EXPECT_EQ(attempt.result->not_before, 1'700'000'000);
  EXPECT_EQ(attempt.result->bytes_per_second, 500'000U);
}

TEST(LinkVerify, DerivesAnIdWhereNoneIsSigned) {
  const auto keys = shop_keyring();
  const Attempt exact(kLeaflet, keys);
  ASSERT_TRUE(exact.granted());
  EXPECT_EQ(exact.result->link_id.view(), "h.405ae141d1ad80810f26bd268ce29cba");
  EXPECT_EQ(exact.result->limit, 0U);
  const Attempt folder(kFolderWithoutId, keys);
  ASSERT_TRUE(folder.granted());
  EXPECT_EQ(folder.result->parent_id.view(), "h.86e26572e7c61b71c02b81654944daf9");
  EXPECT_TRUE(folder.result->link_id.view().starts_with("h.86e26572e7c61b71c02b81654944daf9:"));
}

TEST(LinkVerify, TakesTheTokenAsFirstPathSegment) {
  const auto keys = shop_keyring();
  for (const auto& url : {kGame, kDisk, kFlac, kEverything, kLeaflet}) {
    const auto question_mark = url.find('?');
    const auto in_path = "/" + url.substr(question_mark + 1) + url.substr(0, question_mark);
    const Attempt query(url, keys);
    const Attempt path(in_path, keys);
    ASSERT_TRUE(path.granted()) << in_path;
    EXPECT_EQ(path.result->path, query.result->path);
    EXPECT_EQ(path.result->link_id, query.result->link_id);
    EXPECT_EQ(answer(in_path + "?utm_source=mail"), "granted");
    EXPECT_EQ(answer(in_path + url.substr(question_mark)), "malformed");
  }
}

TEST(LinkVerify, IgnoresOtherQueryParameters) {
  const auto question_mark = kFlac.find('?') + 1;
  const auto path = kFlac.substr(0, question_mark);
  const auto token = kFlac.substr(question_mark);
  EXPECT_EQ(answer(path + "utm_source=x&" + token + "&fbclid=y"), "granted");
  EXPECT_EQ(answer(path + "&" + token + "&"), "granted");
  EXPECT_EQ(answer(path + token + "&" + token), "malformed");
  EXPECT_EQ(answer(path + token + "&tg="), "malformed");
}

TEST(LinkVerify, GrantsTheSameFileForEverySpellingOfItsPath) {
  const auto keys = shop_keyring();
  const auto token = kFlac.substr(kFlac.find('?'));
  for (const auto* path : {"/music/Gr%c3%b6%c3%9fe%20XL.flac",
                           "/%6Dusic/Gr%C3%B6%C3%9Fe%20XL%2eflac", "/music/Größe%20XL.flac"}) {
    const Attempt attempt(path + token, keys);
    ASSERT_TRUE(attempt.granted()) << path;
    EXPECT_EQ(attempt.result->path, "/music/Größe XL.flac");
  }
}

TEST(LinkVerify, RefusesAPathThatCouldMeanAnotherFileEvenIfSigned) {  // F1
  const std::string text = "1.kshop2.e1767225600";
  for (const std::string path :
       {"/a/", "/", "//a", "/a//b", "/a/../b", "/./a", "/a\\b", "/a\x01", "a"}) {
    EXPECT_EQ(answer(signed_target(path, text)), "malformed") << path;
  }
  EXPECT_EQ(answer("/a%2Fb?tg=" + signed_token("path:/a/b", text)), "malformed");
  EXPECT_EQ(answer("/a%5cb?tg=" + signed_token("path:/a\\b", text)), "malformed");
  EXPECT_EQ(answer("/a%00?tg=" + signed_token("path:/a", text)), "malformed");
  EXPECT_EQ(answer("?tg=" + signed_token("path:", text)), "malformed");
  EXPECT_EQ(answer("/tg=" + signed_token("path:", text)), "malformed");
}

TEST(LinkVerify, SignsAFolderFromOneSegmentToOneLessThanThePathHas) {
  const auto with = [](const std::string& path, const std::string& folder, const std::string& p) {
    return answer(path + "?tg=" + signed_token("prefix:" + folder, "1.kshop2.e1767225600.p" + p));
  };
  EXPECT_EQ(with("/a/b/c", "/a/", "1"), "granted");
  EXPECT_EQ(with("/a/b/c", "/a/b/", "2"), "granted");
  EXPECT_EQ(with("/a/b/c", "/a/b/c/", "3"), "malformed");
  EXPECT_EQ(with("/a/b/c", "/a/b/c/", "2147483647"), "malformed");
  EXPECT_EQ(with("/a", "/a/", "1"), "malformed");
  EXPECT_EQ(with("/ab/c", "/a/", "1"), "bad_mac");
  EXPECT_EQ(with("/b/a/c", "/a/", "1"), "bad_mac");
}

TEST(LinkVerify, RefusesATargetLongerThanTheServerReads) {  // L13
  const std::string text = "1.kshop2.e1767225600";
  const auto size_without_name = signed_target("/", text).size();
  const std::string name(kTargetBytesMax - size_without_name, 'a');
  EXPECT_EQ(answer(signed_target("/" + name, text)), "granted");
  EXPECT_EQ(answer(signed_target("/" + name + "a", text)), "malformed");
}

TEST(LinkVerify, AnswersInAFixedOrder) {
  // Each link has the fault of its line and all that follow; only the first one shows.
  const auto keys = shop_keyring("scope = \"/dl/\"\n");
  const std::string client = ".a" + encode_base64url("10.0.0.1");
  EXPECT_EQ(answer("/x?tg=1.kother.e01" + client + ".s00", keys), "malformed");
  EXPECT_EQ(answer("/x?tg=1.kother.e1" + client + ".s" + std::string(64, '0'), keys),
            "unknown_key");
  EXPECT_EQ(answer("/x?tg=1.kshop2.e1" + client + ".s" + std::string(64, '0'), keys), "bad_mac");
  EXPECT_EQ(answer(signed_target("/x", "1.kshop2.e1" + client), keys), "out_of_scope");
  EXPECT_EQ(answer(signed_target("/dl/x", "1.kshop2.e1" + client), keys), "wrong_client");
  EXPECT_EQ(answer(signed_target("/dl/x", "1.kshop2.e1"), keys), "granted");  // time comes later
}

TEST(LinkVerify, RefusesAnUnknownKeyAndAnothersMac) {  // L7
  EXPECT_EQ(answer(signed_target("/a", "1.kshop3.e1767225600")), "unknown_key");
  EXPECT_EQ(answer(signed_target("/a", "1.kSHOP2.e1767225600")), "unknown_key");
  EXPECT_EQ(answer(signed_target("/a", "1.kshop2.e1767225600", "another secret of 16+ b")),
            "bad_mac");
  // The decoy that unknown keys are measured against must not open anything.
  EXPECT_EQ(answer(signed_target("/a", "1.kshop3.e1767225600", "")), "unknown_key");
}

TEST(LinkVerify, TakesOldAndNewKeysDuringARotation) {  // L8
  const auto keys = keyring_of(
      "[[key]]\nid = \"new\"\nsecret = \"raw:0123456789abcdef-new\"\n"
      "[[key]]\nid = \"old\"\nsecret = \"raw:0123456789abcdef-old\"\nuse = \"verify\"\n"
      "not_after = 1700000000\n");
  const auto fresh = signed_target("/a", "1.knew.e1767225600", "0123456789abcdef-new");
  const auto aged = signed_target("/a", "1.kold.e1767225600", "0123456789abcdef-old");
  EXPECT_EQ(answer(fresh, keys, "192.0.2.7", 1'699'999'999), "granted");
  EXPECT_EQ(answer(aged, keys, "192.0.2.7", 1'699'999'999), "granted");
  EXPECT_EQ(answer(fresh, keys, "192.0.2.7", 1'700'000'000), "granted");
  EXPECT_EQ(answer(aged, keys, "192.0.2.7", 1'700'000'000), "unknown_key");
  EXPECT_EQ(answer(signed_target("/a", "1.kold.e1767225600", "0123456789abcdef-new"), keys),
            "unknown_key");
  EXPECT_EQ(answer(signed_target("/a", "1.knew.e1767225600", "0123456789abcdef-old"), keys),
            "bad_mac");
}

TEST(LinkVerify, HoldsAKeyToItsScope) {
  const auto keys = shop_keyring("scope = \"/music/live/\"\n");
  const std::string text = "1.kshop2.e1767225600";
  EXPECT_EQ(answer(signed_target("/music/live/a", text), keys), "granted");
  EXPECT_EQ(answer(signed_target("/music/live/b/c", text), keys), "granted");
  for (const std::string path :
       {"/music/a", "/music/live", "/music/lively/a", "/Music/live/a", "/live/a"}) {
    EXPECT_EQ(answer(signed_target(path, text), keys), "out_of_scope") << path;
  }
  const auto folder = [&](const std::string& scope, const std::string& p) {
    return answer("/music/live/2024/a?tg=" + signed_token("prefix:" + scope, text + ".p" + p),
                  keys);
  };
  EXPECT_EQ(folder("/music/live/2024/", "3"), "granted");
  EXPECT_EQ(folder("/music/live/", "2"), "granted");
  EXPECT_EQ(folder("/music/", "1"), "out_of_scope");
}

TEST(LinkVerify, HoldsAPartnersKeyToItsIds) {
  const auto keys = shop_keyring("ids = \"p1-\"\n");
  EXPECT_EQ(answer(signed_target("/a", "1.kshop2.e1767225600.ip1-77"), keys), "granted");
  EXPECT_EQ(answer(signed_target("/a", "1.kshop2.e1767225600.ip1-"), keys), "granted");
  EXPECT_EQ(answer(signed_target("/a", "1.kshop2.e1767225600.ip1"), keys), "out_of_scope");
  EXPECT_EQ(answer(signed_target("/a", "1.kshop2.e1767225600.ip2-77"), keys), "out_of_scope");
  EXPECT_EQ(answer(signed_target("/a", "1.kshop2.e1767225600"), keys), "out_of_scope");
}

TEST(LinkVerify, ServesOnlyTheClientThatWasSigned) {
  struct Case {
    std::string block, client, answer;
  };
  for (const auto& [block, client, expected] : std::vector<Case>{
           {"192.0.2.7", "192.0.2.7", "granted"},
           {"192.0.2.7", "::ffff:192.0.2.7", "granted"},
           {"192.0.2.7", "192.0.2.8", "wrong_client"},
           {"::ffff:192.0.2.7", "192.0.2.7", "granted"},
           {"192.0.2.0/24", "192.0.2.255", "granted"},
           {"192.0.2.0/24", "192.0.3.0", "wrong_client"},
           {"0.0.0.0/0", "2001:db8::1", "wrong_client"},
           {"::/0", "192.0.2.7", "wrong_client"},
           {"2001:db8::/64", "2001:db8::9", "granted"},
           {"2001:db8::/64", "2001:db8:0:1::9", "wrong_client"},
       }) {
    const auto target = signed_target("/a", "1.kshop2.e1767225600.a" + encode_base64url(block));
    EXPECT_EQ(answer(target, shop_keyring(), client), expected) << block << " " << client;
  }
}

struct TimesCase {
  std::optional<std::int64_t> signed_not_before, signed_expiry, row_not_before, row_expiry;
  std::int64_t now;
  std::optional<Refusal> refusal;
};

TEST(LinkTimes, AreExactToTheSecondAndTheRowOverridesThem) {  // L5
  constexpr auto kNone = std::nullopt;
  constexpr auto kFar = std::numeric_limits<std::int64_t>::max();
  const std::vector<TimesCase> kCases = {
      {kNone, 1000, kNone, kNone, 999, kNone},
      {kNone, 1000, kNone, kNone, 1000, Refusal::expired},
      {kNone, 1000, kNone, kNone, 1001, Refusal::expired},
      {500, 1000, kNone, kNone, 499, Refusal::not_yet_valid},
      {500, 1000, kNone, kNone, 500, kNone},
      {500, 1000, kNone, kNone, 999, kNone},
      {500, 1000, kNone, kNone, 1000, Refusal::expired},
      // The row moves the expiry, both ways, and gives one where none is signed.
      {kNone, 1000, kNone, 2000, 1999, kNone},
      {kNone, 1000, kNone, 2000, 2000, Refusal::expired},
      {kNone, 1000, kNone, 600, 600, Refusal::expired},
      {kNone, kNone, kNone, 600, 599, kNone},
      {kNone, kNone, kNone, 600, 600, Refusal::expired},
      {kNone, kNone, kNone, kNone, 1, Refusal::malformed},
      {500, kNone, kNone, kNone, 1, Refusal::malformed},
      // And the beginning.
      {500, 1000, 300, kNone, 300, kNone},
      {500, 1000, 700, kNone, 699, Refusal::not_yet_valid},
      {kNone, 1000, 700, kNone, 700, kNone},
      // Both faults at once: the one that will pass.
      {2000, 1000, kNone, kNone, 1500, Refusal::not_yet_valid},
      // The ends of the number line.
      {kNone, 0, kNone, kNone, 0, Refusal::expired},
      {kNone, kFar, kNone, kNone, kFar - 1, kNone},
      {kNone, kFar, kNone, kNone, kFar, Refusal::expired},
      {0, kFar, kNone, kNone, 0, kNone},
      {kNone, 1000, kNone, std::numeric_limits<std::int64_t>::min(), 0, Refusal::expired},
  };
  for (std::size_t i = 0; i < kCases.size(); ++i) {
    const auto& c = kCases[i];
    Grant grant;
    grant.not_before = c.signed_not_before;
    grant.expires_at = c.signed_expiry;
    const RowTimes row{.not_before = c.row_not_before, .expires_at = c.row_expiry};
    EXPECT_EQ(check_times(grant, row, {}, c.now), c.refusal) << "case " << i;
  }
}

TEST(LinkTimes, AllowAnUnfinishedCopyWithinTheGrace) {
  constexpr auto kFar = std::numeric_limits<std::int64_t>::max();
  Grant grant;
  grant.expires_at = 1000;
  const auto check = [&](std::int64_t grace, bool unfinished, std::int64_t now) {
    return check_times(grant, {}, {.seconds = grace, .has_unfinished_copy = unfinished}, now);
  };
  EXPECT_EQ(check(60, true, 1000), std::nullopt);
  EXPECT_EQ(check(60, true, 1059), std::nullopt);
  EXPECT_EQ(check(60, true, 1060), Refusal::expired);
  EXPECT_EQ(check(60, false, 1000), Refusal::expired);
  EXPECT_EQ(check(0, true, 1000), Refusal::expired);
  EXPECT_EQ(check(-5, true, 1000), Refusal::expired);
  EXPECT_EQ(check(kFar, true, kFar), std::nullopt);
  EXPECT_EQ(check_times(grant, {.not_before = {}, .expires_at = 500}, {60, true}, 559),
            std::nullopt);
  EXPECT_EQ(check_times(grant, {.not_before = {}, .expires_at = 500}, {60, true}, 560),
            Refusal::expired);
  grant.not_before = 2000;
  EXPECT_EQ(check(60, true, 1010), Refusal::not_yet_valid);
}

}  // namespace
}  // namespace tallygate::link
