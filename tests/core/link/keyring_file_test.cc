#include "core/link/keyring_file.h"

#include <gmock/gmock.h>

#include <array>
#include <string>
#include <vector>

namespace tallygate::link {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const std::string kSecretLine = "secret = \"raw:0123456789abcdef\"\n";

std::vector<std::string> mistakes_in(const std::string& toml) {
  const auto keys = parse_keyring(toml);
  std::vector<std::string> lines;
  if (keys) return lines;
  for (const auto& [line, message] : keys.error()) {
    lines.push_back(std::to_string(line) + ": " + message);
  }
  return lines;
}

Mac mac_of(const std::string& secret) {
  const auto keys = parse_keyring("[[key]]\nid = \"k\"\nsecret = \"" + secret + "\"\n");
  EXPECT_TRUE(keys.has_value()) << secret;
  return keys ? keys->keys().front().hmac.sign({"message"}) : Mac{};
}

std::optional<std::int64_t> not_after(const std::string& value) {
  const auto keys =
      parse_keyring("[[key]]\nid = \"k\"\n" + kSecretLine + "not_after = " + value + "\n");
  EXPECT_TRUE(keys.has_value()) << value;
  return keys ? keys->keys().front().not_after : std::nullopt;
}

TEST(KeyringFile, ReadsEverySetting) {
  const auto keys = parse_keyring(R"(
# our keys
[[key]]
id = "k1"
secret = "hex:6a6b6c6d6e6f707172737475767778797a"
scope = "/music/"
not_after = 2027-01-01T00:00:00Z
ids = "p1-"

[[key]]
id = "old"
secret = "raw:0123456789abcdef"
use = "verify"
)");
  ASSERT_TRUE(keys.has_value());
  ASSERT_EQ(keys->keys().size(), 2U);
  const auto* const k1 = keys->find("k1");
  ASSERT_NE(k1, nullptr);
  EXPECT_EQ(k1->use, Key::Use::sign);
  EXPECT_EQ(k1->scope, "/music/");
  EXPECT_EQ(k1->not_after, 1'798'761'600);
  EXPECT_EQ(k1->ids, "p1-");
  const auto* const old = keys->find("old");
  ASSERT_NE(old, nullptr);
  EXPECT_EQ(old->use, Key::Use::verify);
  EXPECT_EQ(old->scope, "/");
  EXPECT_EQ(old->not_after, std::nullopt);
  EXPECT_EQ(keys->find("K1"), nullptr);
  EXPECT_EQ(keys->find(""), nullptr);
}

TEST(KeyringFile, SignsWithTheFirstKeyForSigningThatIsNotRetired) {
  const auto keys =
      parse_keyring("[[key]]\nid = \"v\"\nuse = \"verify\"\n" + kSecretLine +
                    "[[key]]\nid = \"s1\"\nnot_after = 1000\n" + kSecretLine +
                    "[[key]]\nid = \"s2\"\nuse = \"sign\"\nnot_after = 2000\n" + kSecretLine);
  ASSERT_TRUE(keys.has_value());
  EXPECT_EQ(keys->signing_key(999), keys->find("s1"));
  EXPECT_EQ(keys->signing_key(1000), keys->find("s2"));
  EXPECT_EQ(keys->signing_key(2000), nullptr);
}

TEST(KeyringFile, TakesASecretInThreeForms) {
  const auto mac = mac_of("raw:0123456789abcde\xc3\xbf");
  EXPECT_EQ(mac_of("hex:30313233343536373839616263646563bf").size(), mac.size());
  EXPECT_EQ(mac_of("hex:303132333435363738396162636465c3bf"), mac);
  EXPECT_EQ(mac_of("hex:303132333435363738396162636465C3BF"), mac);
  EXPECT_EQ(mac_of("base64:MDEyMzQ1Njc4OWFiY2Rlw78="), mac);
  EXPECT_EQ(mac_of("base64:MDEyMzQ1Njc4OWFiY2Rlw78"), mac);
  EXPECT_EQ(mac_of("base64:+/+/+/+/+/+/+/+/+/+/+w=="), mac_of("base64:-_-_-_-_-_-_-_-_-_-_-w"));
  EXPECT_NE(mac_of("raw:hex:0123456789abcdef"), mac);
}

TEST(KeyringFile, TakesADateTimeOrUnixSeconds) {
  EXPECT_EQ(not_after("2027-01-01T00:00:00Z"), 1'798'761'600);
  EXPECT_EQ(not_after("2027-01-01T01:30:00+01:30"), 1'798'761'600);
  EXPECT_EQ(not_after("2026-12-31T19:00:00-05:00"), 1'798'761'600);
  EXPECT_EQ(not_after("2027-01-01 00:00:00"), 1'798'761'600);
  EXPECT_EQ(not_after("2027-01-01T00:00:00.999"), 1'798'761'600);
  EXPECT_EQ(not_after("2027-01-01"), 1'798'761'600);
  EXPECT_EQ(not_after("1798761600"), 1'798'761'600);
  EXPECT_EQ(not_after("1970-01-01T00:00:00Z"), 0);
}

TEST(KeyringFile, NamesEachMistakeAndItsLine) {  // L9
  const auto entry = [](const std::string& lines) { return "[[key]]\nid = \"k\"\n" + lines; };
  EXPECT_THAT(mistakes_in(""), ElementsAre(HasSubstr("0: the keyring has no key")));
  EXPECT_THAT(mistakes_in("key = []"), ElementsAre(HasSubstr("0: the keyring has no key")));
  EXPECT_THAT(mistakes_in("[[key]]\n" + kSecretLine), ElementsAre("1: the key has no id"));
  EXPECT_THAT(mistakes_in(entry("")), ElementsAre("1: the key has no secret"));
  EXPECT_THAT(mistakes_in(entry("secret = \"raw:0123456789abcde\"")),
              ElementsAre("3: secret has 15 bytes; at least 16 are needed"));
  EXPECT_THAT(mistakes_in(entry("secret = \"raw:\"")),
              ElementsAre("3: secret has 0 bytes; at least 16 are needed"));
  EXPECT_THAT(mistakes_in(entry("secret = \"\"")),
              ElementsAre("3: secret must begin with hex:, base64: or raw:"));
  EXPECT_THAT(mistakes_in(entry("secret = \"0123456789abcdef\"")),
              ElementsAre("3: secret must begin with hex:, base64: or raw:"));
  EXPECT_THAT(mistakes_in(entry("secret = \"HEX:0123456789abcdef\"")),
              ElementsAre("3: secret must begin with hex:, base64: or raw:"));
  EXPECT_THAT(mistakes_in(entry("secret = \"hex:00112233445566778899aabbccddeef\"")),
              ElementsAre("3: secret is not valid hex"));
  EXPECT_THAT(mistakes_in(entry("secret = \"hex:00112233445566778899aabbccddeegg\"")),
              ElementsAre("3: secret is not valid hex"));
  EXPECT_THAT(mistakes_in(entry("secret = \"base64:MDEyMzQ1Njc4OWFiY2Rl!78=\"")),
              ElementsAre("3: secret is not valid base64"));
  EXPECT_THAT(mistakes_in(entry("secret = \"base64:MDEyMzQ1Njc4OWFiY2Rlw78===\"")),
              ElementsAre("3: secret is not valid base64"));
  EXPECT_THAT(mistakes_in(entry("secret = 16")), ElementsAre("3: secret must be a string"));
  EXPECT_THAT(mistakes_in(entry(kSecretLine + "use = \"both\"")),
              ElementsAre("4: use must be \"sign\" or \"verify\""));
  EXPECT_THAT(mistakes_in(entry(kSecretLine + "use = true")),
              ElementsAre("4: use must be a string"));
  EXPECT_THAT(mistakes_in(entry(kSecretLine + "not_after = \"tomorrow\"")),
              ElementsAre(HasSubstr("4: not_after must be a date-time")));
  EXPECT_THAT(mistakes_in(entry(kSecretLine + "not_after = 12:00:00")),
              ElementsAre(HasSubstr("4: not_after must be a date-time")));
  EXPECT_THAT(mistakes_in(entry(kSecretLine + "ids = \"\"")),
              ElementsAre(HasSubstr("4: ids must be 1 to 64")));
  EXPECT_THAT(mistakes_in(entry(kSecretLine + "ids = \"p:\"")),
              ElementsAre(HasSubstr("4: ids must be 1 to 64")));
  for (const std::string scope : {"", "music", "music/", "/music"}) {
    EXPECT_THAT(mistakes_in(entry(kSecretLine + "scope = \"" + scope + "\"")),
                ElementsAre("4: scope must begin and end with '/'"));
  }
  EXPECT_THAT(mistakes_in(entry(kSecretLine + "scope = \"//\"")),
              ElementsAre(HasSubstr("empty segment")));
  EXPECT_THAT(mistakes_in(entry(kSecretLine + "scope = \"/a/../\"")),
              ElementsAre(HasSubstr("'..'")));
  for (const std::string id : {"", "a b", "k.1", "12345678901234567", "ä"}) {
    EXPECT_THAT(mistakes_in("[[key]]\nid = \"" + id + "\"\n" + kSecretLine),
                ElementsAre("2: id must be 1 to 16 of A-Z a-z 0-9 _ -"));
  }
}

TEST(KeyringFile, NamesTheNearestKnownKey) {
  const auto with = [](const std::string& line) {
    return mistakes_in("[[key]]\nid = \"k\"\n" + kSecretLine + line);
  };
  EXPECT_THAT(with("notafter = 5"),
              ElementsAre("4: unknown key 'notafter': did you mean 'not_after'?"));
  EXPECT_THAT(with("Use = \"sign\""), ElementsAre("4: unknown key 'Use': did you mean 'use'?"));
  EXPECT_THAT(with("scopes = \"/\""),
              ElementsAre("4: unknown key 'scopes': did you mean 'scope'?"));
  EXPECT_THAT(mistakes_in("keys = 1\n[[key]]\nid = \"k\"\n" + kSecretLine),
              ElementsAre(HasSubstr("1: unknown key 'keys'")));
  EXPECT_THAT(mistakes_in("[key]\nid = \"k\"\n" + kSecretLine),
              ElementsAre(HasSubstr("[[key]], with two brackets")));
  EXPECT_THAT(mistakes_in("key = [1]"), ElementsAre(HasSubstr("1: a key is written [[key]]")));
}

TEST(KeyringFile, ReportsAllMistakesAtOnceInTheOrderOfLines) {
  EXPECT_THAT(
      mistakes_in("[[key]]\n"                            // 1
                  "use = \"both\"\n"                     // 2
                  "id = \"k1\"\n"                        // 3
                  "[[key]]\n"                            // 4
                  "secrte = \"raw:0123456789abcdef\"\n"  // 5
                  "id = \"k1\"\n"                        // 6
                  "color = 1\n"),                        // 7
      ElementsAre("1: the key has no secret", "2: use must be \"sign\" or \"verify\"",
                  "4: the key has no secret", "5: unknown key 'secrte': did you mean 'secret'?",
                  "6: id 'k1' is already that of the key in line 3",
                  HasSubstr("7: unknown key 'color'")));
}

TEST(KeyringFile, NeverPrintsASecret) {  // L9
  for (const auto* line :
       {"secret = \"raw:SECRET\"", "secret = \"SECRET0123456789abcdef\"", "secret = \"hex:SECRET\"",
        "secret = \"base64:SECRET!\"", "secret = hex:SECRET", "secret = SECRET",
        "secret = \"hex:SECRET", "secret = 'raw:SECRET\" ", "id = \"hex:SECRET\"",
        "use = \"SECRET\"", "ids = \"hex:SECRET\"", "scope = \"hex:SECRET\"",
        "secret = \"raw:SECRET\" \"x\"", "secret = 0xSECRET", "secret = \"\\SECRET\"",
        "secret: SECRET", "secret = tSECRET", "secret SECRET", "hex:SECRET"}) {
    const auto mistakes = mistakes_in("[[key]]\n" + std::string(line) + "\n");
    EXPECT_FALSE(mistakes.empty()) << line;
    for (const auto& mistake : mistakes) EXPECT_THAT(mistake, Not(HasSubstr("SECRET"))) << line;
  }
}

TEST(KeyringFile, DoesNotRepeatASecretThatIsANumber) {  // L9
  EXPECT_THAT(
      mistakes_in("[[key]]\nid = \"k\"\nsecret = 1234567890123456789012345678901234567890\n"),
      ElementsAre("3: this is not valid TOML; a secret stands in quotes, on one line"));
}

TEST(KeyringFile, DoesNotRepeatASecretThatStandsWhereANameShould) {  // L9
  for (const std::string secret : {"raw:0123456789abcdef", "00112233445566778899aabbccddeeff"}) {
    for (const auto& text :
         {"[[key]]\nid = \"k\"\n\"" + secret + "\" = 1\n", "[\"" + secret + "\"]\n"}) {
      for (const auto& mistake : mistakes_in(text)) {
        EXPECT_EQ(mistake.find("0123"), std::string::npos) << mistake;
        EXPECT_EQ(mistake.find("0011"), std::string::npos) << mistake;
      }
    }
  }
}

TEST(KeyringFile, SaysInWhichLineTheTextIsNotToml) {  // L9
  EXPECT_THAT(mistakes_in("[[key]]\nid = \"k\"\nuse = sign\n"),
              ElementsAre(HasSubstr("3: Error while")));
  EXPECT_THAT(mistakes_in("[[key]]\nid = \"k\"\nsecret = \n"),
              ElementsAre(HasSubstr("3: this is not")));
  EXPECT_FALSE(mistakes_in("[[key]]\nid = \"k\"\nid = \"l\"\n").empty());
  EXPECT_FALSE(mistakes_in(std::string("\xff\xfe\0", 3)).empty());
  EXPECT_FALSE(mistakes_in(std::string(100'000, '[')).empty());
}

TEST(KeyringFile, SaysOnOneLineWhyTheTextIsNotToml) {  // L9
  for (const char c : {'\0', '\x1b', '\x7f'}) {
    const auto found = mistakes_in(std::string("[[key]]\nid =t") + c + "\"\n");
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].find(c), std::string::npos) << found[0];
  }
}

TEST(KeyringFile, RefusesLettersBeyondAsciiOutsideOfTexts) {  // L9
  EXPECT_THAT(mistakes_in("[[key]]\nse\u0407 = 1\n"), ElementsAre(HasSubstr("2: Error while")));
}

TEST(KeyringFile, MayNotBeReadByOthersNorWrittenByItsGroup) {  // L9
  for (const auto mode : {0400U, 0600U, 0640U, 0440U, 0700U, 0100600U, 0100400U, 0601U}) {
    EXPECT_EQ(find_keyring_mode_error(mode), std::nullopt) << mode;
  }
  EXPECT_EQ(find_keyring_mode_error(0100644), "others can read it (mode 0644): chmod o-rwx");
  EXPECT_EQ(find_keyring_mode_error(0602), "others can write it (mode 0602): chmod o-rwx");
  EXPECT_EQ(find_keyring_mode_error(0660), "its group can write it (mode 0660): chmod g-w");
  EXPECT_EQ(find_keyring_mode_error(0620), "its group can write it (mode 0620): chmod g-w");
  EXPECT_NE(find_keyring_mode_error(0666), std::nullopt);
}

TEST(KeyringFile, IsMadeOfNewEntriesOneAfterTheOther) {
  std::array<std::uint8_t, 32> secret{};
  for (std::size_t i = 0; i < secret.size(); ++i) secret[i] = static_cast<std::uint8_t>(i * 8);
  const auto first = format_keyring_entry("k1", secret);
  EXPECT_EQ(first,
            "[[key]]\nid = \"k1\"\nsecret = "
            "\"hex:0008101820283038404850586068707880889098a0a8b0b8c0c8d0d8e0e8f0f8\"\n"
            "use = \"sign\"\n\n");
  secret[0] = 0xff;
  const auto keys = parse_keyring(first + format_keyring_entry("k2", secret));
  ASSERT_TRUE(keys.has_value());
  ASSERT_EQ(keys->keys().size(), 2U);
  EXPECT_EQ(keys->find("k2")->hmac.sign({"x"}), HmacSha256(secret).sign({"x"}));
  EXPECT_NE(keys->find("k1")->hmac.sign({"x"}), keys->find("k2")->hmac.sign({"x"}));
}

}  // namespace
}  // namespace tallygate::link
