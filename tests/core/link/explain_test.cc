#include "core/link/explain.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "core/link/base64url.h"
#include "tests/core/link/signed_target.h"

namespace tallygate::link {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::int64_t kNow = 1'700'000'000;

std::optional<IpAddress> client(const std::string& text = "192.0.2.7") {
  return IpAddress::parse(text);
}

// The finding of that field, for reading in a failed test too.
Finding find(const Explanation& explanation, const std::string& field) {
  for (const auto& finding : explanation.findings) {
    if (finding.field == field) return finding;
  }
  ADD_FAILURE() << "no finding for " << field;
  return {};
}

std::string all_text(const Explanation& explanation) {
  std::string text;
  for (const auto& [field, value, verdict, why] : explanation.findings) {
    text += field + " " + value + " " + why + "\n";
  }
  return text;
}

TEST(LinkExplain, ShowsEveryFieldOfAGenuineLink) {
  const auto keys = shop_keyring("scope = \"/music/\"\nids = \"1001\"\n");
  const auto target =
      signed_target("/music/a.flac", "1.kshop2.e1767225600.b1600000000.i1001-7.n3.a" +
                                         encode_base64url("192.0.2.0/24") + ".f" +
                                         encode_base64url("Größe.flac") + ".r500.dmail");
  const auto explanation = explain(target, keys, client(), kNow);
  EXPECT_EQ(explanation.refusal, std::nullopt);
  for (const auto& finding : explanation.findings)
    EXPECT_EQ(finding.verdict, Verdict::ok) << finding.field;
  EXPECT_EQ(find(explanation, "path").value, "/music/a.flac");
  EXPECT_EQ(find(explanation, "k key").value, "shop2");
  EXPECT_THAT(find(explanation, "signed bytes").value,
              testing::StartsWith("tallygate-link-1\\npath:/music/a.flac\\n1.kshop2.e1767225600."));
  EXPECT_EQ(find(explanation, "key's scope").value, "/music/");
  EXPECT_EQ(find(explanation, "key's ids").value, "1001");
  EXPECT_EQ(find(explanation, "i link id").value, "1001-7");
  EXPECT_EQ(find(explanation, "n limit").value, "3");
  EXPECT_EQ(find(explanation, "f file name").value, "Größe.flac");
  EXPECT_EQ(find(explanation, "r rate").value, "500 kB/s");
  EXPECT_EQ(find(explanation, "d data").value, "mail");
  EXPECT_EQ(find(explanation, "a client").value, "192.0.2.0/24");
  EXPECT_EQ(find(explanation, "b not before").value, "1600000000 (2020-09-13T12:26:40Z)");
  EXPECT_EQ(find(explanation, "e expiry").value, "1767225600 (2026-01-01T00:00:00Z)");
}

TEST(LinkExplain, NamesTheFolderAndTheFilesOwnId) {
  const auto keys = shop_keyring();
  const auto target = "/dl/game-7/disk1.iso?tg=" +
                      signed_token("prefix:/dl/game-7/", "1.kshop2.e1767225600.io-881-3.n5.p2");
  const auto explanation = explain(target, keys, client(), kNow);
  EXPECT_EQ(find(explanation, "p folder").value, "/dl/game-7/");
  EXPECT_EQ(find(explanation, "i link id").value, "o-881-3:a4418ddf532ebec0");
  EXPECT_THAT(find(explanation, "i link id").explanation, HasSubstr("'o-881-3'"));
}

TEST(LinkExplain, TakesAWholeUrl) {
  const auto keys = shop_keyring();
  const auto target = signed_target("/a", "1.kshop2.e1767225600");
  for (const auto& url :
       {"https://dl.shop.example" + target, "http://[::1]:8080" + target + "#top", target}) {
    EXPECT_EQ(explain(url, keys, client(), kNow).refusal, std::nullopt) << url;
  }
  EXPECT_EQ(explain("https://dl.shop.example", keys, client(), kNow).refusal, Refusal::malformed);
  EXPECT_EQ(explain("https://dl.shop.example" + target.substr(2), keys, client(), kNow).refusal,
            Refusal::malformed);
}

TEST(LinkExplain, NeverShowsTheMacThatWouldBeRight) {
  const auto keys = shop_keyring();
  const std::string text = "1.kshop2.e1767225600";
  const auto right = mac_field("tallygate-link-1\npath:/a\n" + text).substr(2);
  const auto explanation =
      explain("/a?tg=" + text + ".s" + std::string(64, '0'), keys, client(), kNow);
  EXPECT_EQ(explanation.refusal, Refusal::bad_mac);
  EXPECT_THAT(all_text(explanation), Not(HasSubstr(right)));
  EXPECT_THAT(all_text(explanation), Not(HasSubstr(kSecret)));
  EXPECT_THAT(find(explanation, "s MAC").explanation, HasSubstr("does not match"));
}

TEST(LinkExplain, LeavesOpenWhatItCannotKnow) {
  const auto keys = shop_keyring();
  const auto bound = signed_target("/a", "1.kshop2.e1767225600.a" + encode_base64url("10.0.0.1"));
  EXPECT_EQ(find(explain(bound, keys, std::nullopt, kNow), "a client").verdict, Verdict::depends);
  EXPECT_EQ(explain(bound, keys, std::nullopt, kNow).refusal, std::nullopt);
  EXPECT_EQ(find(explain(bound, keys, client(), kNow), "a client").verdict, Verdict::failed);
  const auto endless = explain(signed_target("/a", "1.kshop2"), keys, client(), kNow);
  EXPECT_EQ(find(endless, "e expiry").verdict, Verdict::depends);
  EXPECT_EQ(endless.refusal, std::nullopt);
}

TEST(LinkExplain, GoesOnAfterTheFirstFailure) {
  const auto explanation =
      explain(signed_target("/a", "1.kshop2.e1.b9999999999"), shop_keyring(), client(), kNow);
  EXPECT_EQ(explanation.refusal, Refusal::not_yet_valid);
  EXPECT_EQ(find(explanation, "b not before").verdict, Verdict::failed);
  EXPECT_EQ(find(explanation, "e expiry").verdict, Verdict::failed);
}

TEST(LinkExplain, SuspectsMilliseconds) {
  const auto explanation =
      explain(signed_target("/a", "1.kshop2.e1767225600000"), shop_keyring(), client(), kNow);
  EXPECT_THAT(find(explanation, "e expiry").explanation, HasSubstr("milliseconds"));
}

TEST(LinkExplain, SaysWhichFieldIsMalformed) {
  const auto keys = shop_keyring();
  struct Case {
    std::string target, field, explanation;
  };
  for (const auto& [target, field, text] : std::vector<Case>{
           {"/a", "carrier", "there is no token"},
           {"/a?tg=1.k&tg=1.k", "carrier", "more than one"},
           {"/a?tg=2.kx", "token", "does not begin with '1.'"},
           {"/a?tg=1.kx.e01", "e", "leading zero"},
           {"/a?tg=1.kx.x1", "x", "no field"},
           {"/a?tg=1.kx.e1", "s", "MAC is missing"},
           {"/a//b?tg=1.kx.s" + std::string(64, '0'), "path", "empty segment"},
           {"/a?tg=1.kx.p1.s" + std::string(64, '0'), "p folder", "only 1 segments"},
           {"/" + std::string(9000, 'a'), "target", "longer"},
       }) {
    const auto explanation = explain(target, keys, client(), kNow);
    EXPECT_EQ(explanation.refusal, Refusal::malformed) << target;
    const auto finding = find(explanation, field);
    EXPECT_EQ(finding.verdict, Verdict::failed) << target;
    EXPECT_THAT(finding.explanation, HasSubstr(text)) << target;
  }
}

TEST(LinkExplain, AgreesWithTheServer) {
  const auto keys = shop_keyring("scope = \"/dl/\"\nids = \"o-\"\nnot_after = 1800000000\n");
  std::vector<std::string> targets = {"", "/", "/dl/a?tg=", "/tg=/dl/a", "*"};
  const std::vector<std::string> tails = {"", ".a" + encode_base64url("192.0.2.7"),
                                          ".a" + encode_base64url("::1")};
  for (const std::string path : {"/dl/a", "/x/a", "/dl/a/", "/dl"}) {
    for (const std::string key : {"shop2", "other"}) {
      for (const std::string times :
           {".e1767225600", ".e1700000000", ".e1767225600.b1700000001", ".e1.b9999999999"}) {
        for (const std::string id : {"", ".io-1", ".ip-1.n3"}) {
          for (const auto& tail : tails) {
            const auto text = "1.k" + key + times + id + tail;
            targets.push_back(signed_target(path, text));
            targets.push_back(signed_target(path, text, "another secret"));
          }
        }
      }
    }
  }
  for (const auto& target : targets) {
    for (const auto now : {kNow, std::int64_t{1'800'000'000}}) {
      const Attempt attempt(target, keys, "192.0.2.7", now);
      const auto served =
          attempt.granted() ? check_times(*attempt.result, {}, {}, now) : attempt.result.error();
      EXPECT_EQ(explain(target, keys, client(), now).refusal, served) << target;
    }
  }
}

}  // namespace
}  // namespace tallygate::link
