#include "core/config/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "core/config/describe.h"
#include "core/config/document.h"
#include "tests/core/config/file_with.h"

namespace tallygate::config {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr const char* kMinimal =
    "[content]\nroot = \"/srv/downloads\"\n[links]\nkeyring = \"/etc/tallygate/keyring.toml\"\n";

std::vector<std::string> mistakes(std::string_view toml) {
  std::vector<std::string> out;
  for (const auto& mistake : parse_settings(toml, "t.toml").mistakes) out.push_back(mistake.text());
  return out;
}

TEST(ParseSettings, TakesDefaultsForWhatIsNotThere) {
  const auto parsed = parse_settings(kMinimal, "t.toml");
  EXPECT_THAT(parsed.mistakes, IsEmpty());
  EXPECT_EQ(parsed.settings.content.root, "/srv/downloads");
  EXPECT_EQ(parsed.settings.links.keyring, "/etc/tallygate/keyring.toml");
  EXPECT_THAT(parsed.settings.server.listen, ElementsAre(ListenAddress{"0.0.0.0", 8080}));
  EXPECT_EQ(parsed.settings.server.header_timeout, 10s);
  EXPECT_EQ(parsed.settings.metering.waste_permille, 2'000U);
  EXPECT_EQ(parsed.settings.ledger.dir, "/var/lib/tallygate/ledger");
  EXPECT_EQ(parsed.settings.shop.url, "");
}

TEST(ParseSettings, ReadsEveryKindOfValue) {
  const auto parsed = parse_settings(R"(
    server.listen = ["127.0.0.1:0", "[::1]:9000"]
    server.threads = 0x10
    server.idle_timeout = "1500ms"
    content = { root = '/srv/x', disposition = "inline", cors_origins = ["https://shop.example"] }
    metering.waste = 0.125
    [links]
    keyring = "/k"
    authority = "shop"
    [shop]
    url = "sqlite:/var/lib/shop.db"
    on_revoke = "finish"
    [log]
    access = "off"
    client_ip = "none"
  )",
                                     "t.toml");
  ASSERT_THAT(parsed.mistakes, IsEmpty()) << parsed.mistakes[0].text();
  const auto& s = parsed.settings;
  EXPECT_THAT(s.server.listen,
              ElementsAre(ListenAddress{"127.0.0.1", 0}, ListenAddress{"::1", 9000}));
  EXPECT_EQ(s.server.threads, 16U);
  EXPECT_EQ(s.server.idle_timeout, 1500ms);
  EXPECT_EQ(s.content.disposition, Disposition::display_inline);
  EXPECT_THAT(s.content.cors_origins, ElementsAre("https://shop.example"));
  EXPECT_EQ(s.metering.waste_permille, 125U);
  EXPECT_EQ(s.links.authority, Authority::shop);
  EXPECT_EQ(s.shop.url, "sqlite:/var/lib/shop.db");
  EXPECT_EQ(s.shop.on_revoke, OnRevoke::finish);
  EXPECT_EQ(s.log.access, "off");
  EXPECT_EQ(s.log.client_ip, ClientIp::none);
}

TEST(ParseSettings, FindsEveryMistakeInTheOrderOfLines) {  // P5
  EXPECT_THAT(mistakes("[server]\n"                        // 1
                       "threds = 4\n"                      // 2
                       "header_timeout = 10\n"             // 3
                       "listen = [\n"                      // 4
                       "  \"0.0.0.0:80\",\n"               // 5
                       "  \"0.0.0.0\",\n"                  // 6
                       "  \"localhost:80\",\n"             // 7
                       "]\n"                               // 8
                       "[contents]\n"                      // 9
                       "rot = \"srv\"\n"                   // 10
                       "[links]\n"                         // 11
                       "authority = \"shop\"\n"            // 12
                       "[log]\n"                           // 13
                       "format = \"common\"\n"),           // 14
              ElementsAre(StartsWith("t.toml:2: server.threds: no such setting; did you mean "
                                     "\"threads\"?"),
                          StartsWith("t.toml:3: server.header_timeout: 10 has no unit"),
                          StartsWith("t.toml:6: server.listen: \"0.0.0.0\" has no port"),
                          StartsWith("t.toml:7: server.listen: \"localhost:80\" has no valid IP"),
                          StartsWith("t.toml:9: [contents]: no such table; did you mean [content]"),
                          StartsWith("t.toml:10: content.rot: no such setting; did you mean"),
                          StartsWith("t.toml:10: content.root: \"srv\" is not an absolute path"),
                          StartsWith("t.toml:11: links.keyring: is missing; for instance, below "
                                     "[links]: keyring = \"/etc/tallygate/keyring.toml\""),
                          StartsWith("t.toml:12: links.authority: is \"shop\", but there is no"),
                          StartsWith("t.toml:14: log.format: \"common\" is not \"json\" or")));
}

TEST(ParseSettings, NamesWhatIsMissingInAnEmptyFile) {  // P5
  for (const char* empty : {"", "\n", "# nothing\n", "\xEF\xBB\xBF", "\r\n\r\n"}) {
    EXPECT_THAT(mistakes(empty), ElementsAre(StartsWith("t.toml:1: content.root: is missing"),
                                             StartsWith("t.toml:1: links.keyring: is missing")));
  }
}

TEST(ParseSettings, TakesAnEmptyRequiredTextForMissing) {
  EXPECT_THAT(mistakes("[content]\nroot = \"\"\n[links]\nkeyring = \"/k\"\n"),
              ElementsAre(StartsWith("t.toml:2: content.root: is missing")));
}

TEST(ParseSettings, WantsAUrlOfAShop) {
  EXPECT_THAT(mistakes(std::string(kMinimal) + "[shop]\n"),
              ElementsAre(StartsWith("t.toml:5: shop.url: is missing")));
  EXPECT_THAT(mistakes(std::string(kMinimal) + "[shop]\nurl = \"\"\n"),
              ElementsAre(StartsWith("t.toml:6: shop.url: is missing")));
  EXPECT_THAT(mistakes(std::string(kMinimal) + "authority = \"shop\"\n[shop]\nurl = 7\n"),
              ElementsAre(StartsWith("t.toml:5: links.authority: is \"shop\""),
                          StartsWith("t.toml:7: shop.url: must be a text")));
}

TEST(ParseSettings, ReadsTheSitesOfTls) {
  const auto parsed = parse_settings(std::string(kMinimal) + R"([tls]
certificate = "/etc/fullchain.pem"
key = "/etc/key.pem"
[[tls.site]]
certificate = "/etc/a.pem"
key = "/etc/a.key"
[[tls.site]]
key = "/etc/b.key"
certificate = "/etc/b.pem"
)",
                                     "t.toml");
  ASSERT_THAT(parsed.mistakes, IsEmpty()) << parsed.mistakes[0].text();
  EXPECT_TRUE(parsed.settings.tls.is_on());
  EXPECT_THAT(parsed.settings.tls.sites, ElementsAre(TlsSite{"/etc/a.pem", "/etc/a.key"},
                                                     TlsSite{"/etc/b.pem", "/etc/b.key"}));
  EXPECT_FALSE(parse_settings(kMinimal, "t.toml").settings.tls.is_on());
}

TEST(ParseSettings, NamesTheLineOfAMistakeInASite) {
  EXPECT_THAT(mistakes(std::string(kMinimal) + "[tls]\n"                 // 5
                                               "key = \"/k\"\n"          // 6
                                               "[[tls.site]]\n"          // 7
                                               "certificate = \"c\"\n"   // 8
                                               "key = \"/k\"\n"          // 9
                                               "[[tls.site]]\n"          // 10
                                               "certificate = \"/c\"\n"  // 11
                                               "[[tls.site]]\n"          // 12
                                               "certificat = \"/c\"\n"   // 13
                                               "key = \"/k\"\n"),        // 14
              ElementsAre(StartsWith("t.toml:5: tls.certificate: is missing"),
                          StartsWith("t.toml:8: tls.site: certificate \"c\" is not an absolute"),
                          StartsWith("t.toml:10: tls.site: key is missing"),
                          StartsWith("t.toml:13: tls.site: no such setting: \"certificat\"")));
}

TEST(ParseSettings, ReadsBothKindsOfLineEndsAndAByteOrderMark) {  // P5
  EXPECT_THAT(mistakes("[content]\r\nroot = \"/s\"\r\n[links]\r\nkeyring = \"/k\"\r\n"), IsEmpty());
  EXPECT_THAT(mistakes(std::string("\xEF\xBB\xBF") + kMinimal), IsEmpty());
  EXPECT_THAT(mistakes("[content]\r\nroot = \"/s\"\r\n\r\n[links]\r\nkeyrng = \"/k\"\r\n"),
              ElementsAre(StartsWith("t.toml:5: links.keyrng: no such setting")));
}

TEST(ParseSettings, HasOneMistakeForATextThatIsNotToml) {        // P5
  const std::string prefix = std::string(kMinimal) + "[log]\n";  // the fault is in line 6
  const std::vector<std::string> faults{
      "access = \"stdout",                   // no end
      "access = stdout",                     // no quotation marks
      "access",                              // no value
      "access = \"off\" \"stdout\"",         // two
      "access = \"\xC3\"",                   // half a character
      "access = \"\xFF\xFE\"",               // never UTF-8
      "access = \"\xED\xA0\x80\"",           // a surrogate
      "access = \"off\"\naccess = \"off\"",  // doubled: line 7
      "[links]",                             // a table doubled
      "access = 01",
      "[log",
      "[",
      "[=",
      "[[=]]",
      "[#log]",
      "a.=1",
  };
  for (const auto& fault : faults) {
    const auto found = parse_settings(prefix + fault + "\n", "t.toml").mistakes;
    ASSERT_THAT(found, SizeIs(1)) << fault;
    EXPECT_THAT(found[0].message, StartsWith("not valid TOML: ")) << fault;
    EXPECT_EQ(found[0].line, fault.find('\n') == std::string::npos ? 6U : 7U) << found[0].text();
  }
  EXPECT_THAT(mistakes("[log]\n\xFF\n"),
              ElementsAre("t.toml:2: not valid TOML: text that is not UTF-8"));
  for (const auto& binary : {std::string("\xFF\xFE[\0l\0", 6), std::string("\0", 1),
                             std::string("\x7F"
                                         "ELF\x02")}) {
    EXPECT_THAT(mistakes(binary), ElementsAre(StartsWith("t.toml:1: not valid TOML: ")));
  }
}

TEST(ParseSettings, ShowsTheFaultOfATextThatIsNotTomlOnOneLine) {  // P5
  for (const char c : {'\0', '\x1b', '\x7f', '\r'}) {
    const auto found = mistakes(std::string("[log]\naccess =t") + c + "\"\n");
    ASSERT_THAT(found, SizeIs(1));
    EXPECT_EQ(found[0].find(c), std::string::npos) << found[0];
  }
}

// toml++ 3.3 promises the compiler that there are no such characters.
TEST(ParseSettings, RefusesLettersBeyondAsciiOutsideOfTexts) {  // P5
  for (const std::string letter :
       {"\u00a1", "\u00e4", "\u0407", "\u0499", "\u2da0", "\u3001", "\ufefe", "\U0001f3b5"}) {
    for (const auto& text :
         {letter + " = 1", "[" + letter + "]", "a " + letter + "= 1", "a =" + letter + " 1",
          "a = [1 " + letter + ", 2]", "a = 1 " + letter}) {
      EXPECT_THAT(mistakes(text), ElementsAre(StartsWith("t.toml:1: not valid TOML: "))) << text;
    }
  }
}

TEST(ParseSettings, RefusesWhatIsTooLargeForASettingsFile) {  // P5
  const std::string whole = std::string(kMinimal) + "#";
  const auto fill = [&](std::size_t size) { return whole + std::string(size - whole.size(), '#'); };
  EXPECT_THAT(mistakes(fill(kDocumentBytesMax)), IsEmpty());
  EXPECT_THAT(mistakes(fill(kDocumentBytesMax + 1)),
              ElementsAre(StartsWith("t.toml:1: is larger than 16384 bytes")));
}

TEST(ParseSettings, StandsTheDeepestTablesThatFit) {  // P5
  std::string deep = "a";
  while (deep.size() + 8 < kDocumentBytesMax) deep += ".a";
  EXPECT_THAT(mistakes(deep + " = 1\n"), SizeIs(3));
}

TEST(ParseSettings, NamesTheTableOfWhatStandsInNone) {
  EXPECT_THAT(mistakes(std::string("threads = 4\n") + kMinimal),
              ElementsAre("t.toml:1: threads: stands in no table; it belongs below [server]"));
  EXPECT_THAT(mistakes(std::string("root = \"/s\"\n[links]\nkeyring = \"/k\"")),
              ElementsAre("t.toml:1: root: stands in no table; it belongs below [content]"));
}

TEST(ParseSettings, NamesTheTablesThatThereAre) {
  EXPECT_THAT(mistakes(std::string(kMinimal) + "[database]\nurl = 1\n"),
              ElementsAre(AllOf(StartsWith("t.toml:5: [database]: no such table; there are "),
                                HasSubstr("[server], [admin], [tls]"))));
}

TEST(ParseSettings, WantsTablesToBeTables) {
  EXPECT_THAT(
      mistakes(std::string("server = 4\n") + kMinimal),
      ElementsAre("t.toml:1: server: must be a table: write [server] on a line of its own"));
  EXPECT_THAT(mistakes("[[content]]\nroot = \"/s\"\n[links]\nkeyring = \"/k\"\n"),
              ElementsAre(StartsWith("t.toml:1: content: must be a table")));
}

TEST(ParseSettings, NamesTheSettingsOfATableForAStranger) {
  EXPECT_THAT(mistakes(std::string(kMinimal) + "[metering]\nzzzzzzzzz = 1\n"),
              ElementsAre("t.toml:6: metering.zzzzzzzzz: no such setting; [metering] has waste, "
                          "keep_expired"));
  EXPECT_THAT(mistakes(std::string(kMinimal) + "[metering]\nthreds = 1\n"),
              ElementsAre("t.toml:6: metering.threds: no such setting; did you mean \"threads\" "
                          "below [server]?"));
  EXPECT_THAT(mistakes(std::string(kMinimal) + "[ledger.dir]\n"),
              ElementsAre(StartsWith("t.toml:5: ledger.dir: must be a text in quotation marks, not "
                                     "a table")));
}

TEST(ParseSettings, ShowsStrangeKeysOnOneLine) {
  EXPECT_THAT(mistakes(std::string(kMinimal) + "[log]\n\"a\\nb\" = 1\n[\"\"]\n"),
              ElementsAre(StartsWith("t.toml:6: log.\"a\\x0ab\": no such setting"),
                          StartsWith("t.toml:7: [\"\"]: no such table")));
}

TEST(ParseSettings, FindsSomethingToSayOfEveryMutilatedFile) {  // P5
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const auto below = [&](std::size_t end) {
    return std::uniform_int_distribution<std::size_t>(0, end - 1)(random);
  };
  const auto whole = example_toml();
  for (int round = 0; round < 500; ++round) {
    auto text = whole;
    for (auto changes = below(4) + 1; changes > 0; --changes) {
      const auto at = below(text.size());
      switch (below(4)) {
        case 0:
          text.erase(at, below(40));
          break;
        case 1:
          text[at] = static_cast<char>(below(256));
          break;
        case 2:
          text.insert(at, 1, "\"[]{}#=.\n\\'"[below(11)]);
          break;
        default:
          text.insert(at, text.substr(below(text.size()), below(80)));
          break;
      }
    }
    const auto lines = static_cast<std::uint32_t>(std::count(text.begin(), text.end(), '\n')) + 1;
    // Root and keyring are missing at the least.
    const auto parsed = parse_settings(text, "t.toml");
    ASSERT_THAT(parsed.mistakes, testing::Not(IsEmpty())) << text;
    for (const auto& mistake : parsed.mistakes) {
      EXPECT_GE(mistake.line, 1U) << mistake.text();
      EXPECT_LE(mistake.line, lines) << mistake.text();
      EXPECT_TRUE(std::none_of(mistake.message.begin(), mistake.message.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20;
      })) << mistake.text();
    }
  }
}

TEST(ParseSettings, KeepsAPasswordOutOfItsMessages) {
  const auto found = mistakes(file_with("shop", "url = \"pg://u:secret@db/shop\"", "url"));
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].find("secret"), std::string::npos) << found[0];
}

}  // namespace
}  // namespace tallygate::config
