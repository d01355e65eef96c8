#include "core/link/token.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "core/link/base64url.h"

namespace tallygate::link {
namespace {

using namespace std::string_literals;
using Kind = TokenFault::Kind;

const std::string kMac = ".s" + std::string(62, '0') + "af";

struct Parsed {
  FileNameBuffer name;
  Result<Token, TokenFault> token;
  explicit Parsed(std::string_view text) : token(parse_token(text, name)) {}
};

// Of a text that must be malformed.
TokenFault fault_of(const std::string& text) {
  const Parsed parsed(text);
  EXPECT_FALSE(parsed.token.has_value()) << text;
  return parsed.token ? TokenFault{Kind::version} : parsed.token.error();
}

bool is_well_formed(const std::string& text) {
  return Parsed(text).token.has_value();
}

TEST(LinkToken, ReadsEveryField) {
  const std::string text =
      "1.kshop2.e1767225600.b1700000000.io-881_2.n3.p2.aMTkyLjAuMi4wLzI0.fR3LDtsOfZS5mbGFj.r500."
      "dcampaign-7";
  const std::string whole = text + kMac;
  const Parsed parsed(whole);
  ASSERT_TRUE(parsed.token.has_value());
  const auto& token = *parsed.token;
  EXPECT_EQ(token.signed_text, text);
  EXPECT_EQ(token.key_id, "shop2");
  EXPECT_EQ(token.expires_at, 1767225600);
  EXPECT_EQ(token.not_before, 1700000000);
  EXPECT_EQ(token.link_id, "o-881_2");
  EXPECT_EQ(token.limit, 3U);
  EXPECT_EQ(token.folder_segments, 2U);
  ASSERT_TRUE(token.client.has_value());
  EXPECT_EQ(token.client->to_string(), "192.0.2.0/24");
  EXPECT_EQ(token.file_name, "Größe.flac");
  EXPECT_EQ(token.rate_kbytes, 500U);
  EXPECT_EQ(token.data, "campaign-7");
  EXPECT_EQ(token.mac[31], 0xaf);
}

TEST(LinkToken, NeedsOnlyAKeyAndAMac) {
  const auto text = "1.kk" + kMac;
  const Parsed parsed(text);
  ASSERT_TRUE(parsed.token.has_value());
  EXPECT_EQ(parsed.token->signed_text, "1.kk");
  EXPECT_EQ(parsed.token->expires_at, std::nullopt);
  EXPECT_EQ(parsed.token->limit, 0U);
}

TEST(LinkToken, IsRefusedWithTheWrongShape) {  // L1, L10
  const std::vector<std::pair<std::string, TokenFault>> kCases = {
      {"", {Kind::version}},
      {"1", {Kind::version}},
      {"2.kk" + kMac, {Kind::version}},
      {"01.kk" + kMac, {Kind::version}},
      {"11.kk" + kMac, {Kind::version}},
      {".kk" + kMac, {Kind::version}},
      {" 1.kk" + kMac, {Kind::version}},
      {"1.", {Kind::empty_field}},
      {"1.." + kMac, {Kind::empty_field}},
      {"1.kk.", {Kind::empty_field}},
      {"1.kk." + kMac, {Kind::empty_field}},
      {"1.kk" + kMac + ".", {Kind::empty_field}},
      {"1.k" + kMac, {Kind::empty_field, 'k'}},
      {"1.kk.e" + kMac, {Kind::empty_field, 'e'}},
      {"1.kk.d" + kMac, {Kind::empty_field, 'd'}},
      {"1.kk.s", {Kind::empty_field, 's'}},
      {"1.kk", {Kind::missing_field, 's'}},
      {"1.kk.e5", {Kind::missing_field, 's'}},
      {"1.e5" + kMac, {Kind::missing_field, 'k'}},
      {"1" + kMac, {Kind::missing_field, 'k'}},
      {"1.kk.x5" + kMac, {Kind::unknown_field, 'x'}},
      {"1.kk.E5" + kMac, {Kind::unknown_field, 'E'}},
      {"1.kk.55" + kMac, {Kind::unknown_field, '5'}},
      {"1.kk.%655" + kMac, {Kind::unknown_field, '%'}},
      {"1.kk.kk" + kMac, {Kind::out_of_order, 'k'}},
      {"1.kk.e5.e5" + kMac, {Kind::out_of_order, 'e'}},
      {"1.kk.b5.e5" + kMac, {Kind::out_of_order, 'e'}},
      {"1.kk.n3.ix" + kMac, {Kind::out_of_order, 'i'}},
      {"1.kk" + kMac + kMac, {Kind::out_of_order, 's'}},
      {"1.kk" + kMac + ".dx", {Kind::out_of_order, 'd'}},
      {"1.kk.n3" + kMac, {Kind::limit_without_id, 'n'}},
  };
  for (const auto& [text, fault] : kCases) {
    EXPECT_EQ(fault_of(text), fault) << text;
    EXPECT_FALSE(describe(fault).empty());
  }
}

struct ValueCase {
  std::string before;  // what the field needs in front of it
  char field;
  std::vector<std::string> good;
  std::vector<std::string> bad;
};

const std::vector<ValueCase> kValueCases = {
    {"1",
     'k',
     {"a", "Z9_-", std::string(16, 'k')},
     {std::string(17, 'k'), "a b", "a+b", "a=", "a%41", "ä", "a~", "a/b",
      std::string(10'000, 'k')}},
    {"1.kk",
     'e',  // L6
     {"0", "1", "1767225600", "9223372036854775807"},
     {"-1", "+1", "00", "01767225600", " 1", "1 ", "1e9", "0x10", "9223372036854775808",
      "18446744073709551616", "1" + std::string(40, '0'), "x"}},
    {"1.kk", 'b', {"0", "1767225600"}, {"-1", "01", "9223372036854775808"}},
    {"1.kk",
     'i',
     {"a", "1001-7", "A_z-0", std::string(64, 'i')},
     {std::string(65, 'i'), "a:b", "a b", "a%20", "é", "a+", "a@b", "h~1"}},
    {"1.kk.ix",
     'n',
     {"0", "1", "2147483647"},
     {"2147483648", "4294967297", "-1", "03", "3x", "+3"}},
    {"1.kk", 'p', {"1", "2", "2147483647"}, {"0", "2147483648", "-1", "01", "1.0"}},
    {"1.kk",
     'a',
     {encode_base64url("192.0.2.1"), encode_base64url("192.0.2.0/24"),
      encode_base64url("2001:db8::/64"),
      encode_base64url("0000:0000:0000:0000:0000:ffff:192.0.2.255/128")},
     {"192", encode_base64url("192.0.2.0/33"), encode_base64url("localhost"),
      "MTkyLjAuMi4wLzI0==", encode_base64url("192.0.2.1\n"), encode_base64url(std::string(60, '1')),
      encode_base64url("::1\0"s)}},
    {"1.kk",
     'f',
     {encode_base64url("a"), encode_base64url("Größe XL (v1).flac"), encode_base64url("..."),
      encode_base64url(std::string(1024, 'n'))},
     {encode_base64url("a/b"), encode_base64url("a\\b"), encode_base64url("a\nb"),
      encode_base64url("a\0"s), encode_base64url("."), encode_base64url(".."),
      encode_base64url("\xff"), encode_base64url("\xc0\xaf"), encode_base64url("a\x7f"),
      encode_base64url(std::string(1025, 'n')), "YQ==", "YR", "Y", "YQ+"}},
    {"1.kk", 'r', {"0", "1", "2147483647"}, {"2147483648", "-1", "05"}},
    {"1.kk", 'd', {"a", std::string(500, 'd')}, {"a b", "a=b", "ü", "a%41"}},
    {"1.kk",
     's',
     {std::string(64, '0'), std::string(64, 'f')},
     {std::string(63, '0'), std::string(65, '0'), std::string(64, 'F'), std::string(64, 'g'),
      std::string(63, '0') + " ", "0x" + std::string(62, '0')}},
};

TEST(LinkToken, TakesOnlyTheOneSpellingOfAValue) {  // L1, L3, L6, L7
  for (const auto& [before, field, good, bad] : kValueCases) {
    const auto with = [&, f = field, b = before](const std::string& value) {
      return b + "." + f + value + (f == 's' ? "" : f == 'k' ? kMac : kMac);
    };
    for (const auto& value : good) EXPECT_TRUE(is_well_formed(with(value))) << with(value);
    for (const auto& value : bad) {
      EXPECT_FALSE(is_well_formed(with(value))) << with(value);
      if (value.find('.') == std::string::npos) {
        EXPECT_EQ(fault_of(with(value)), (TokenFault{Kind::bad_value, field})) << value;
      }
    }
    EXPECT_FALSE(describe({Kind::bad_value, field}).empty());
  }
}

TEST(LinkToken, WithALimitOfZeroNeedsNoId) {
  EXPECT_TRUE(is_well_formed("1.kk.n0" + kMac));
  EXPECT_FALSE(is_well_formed("1.kk.n1" + kMac));
  EXPECT_TRUE(is_well_formed("1.kk.ix.n1" + kMac));
}

TEST(LinkTokenCarrier, IsAQueryParameterOrTheFirstSegment) {
  struct Case {
    std::string target, path, token;
    bool in_path;
  };
  for (const auto& [target, path, token, in_path] : std::vector<Case>{
           {"/a/b?tg=1.x", "/a/b", "1.x", false},
           {"/a?utm_source=x&tg=1.x&fbclid=y", "/a", "1.x", false},
           {"/a?&&tg=1.x&", "/a", "1.x", false},
           {"/a?xtg=2&tg=1.x&tgx=3&TG=4&t=5", "/a", "1.x", false},
           {"/a?tg=1=2", "/a", "1=2", false},
           {"/a?tg=1?tg=2", "/a", "1?tg=2", false},
           {"/a?tg=", "/a", "", false},
           {"/a?tg", "/a", "", false},
           {"/tg=1.x/a/b", "/a/b", "1.x", true},
           {"/tg=1.x/a/b?utm_source=x", "/a/b", "1.x", true},
           {"/tg=1.x", "", "1.x", true},
           {"/tg=/a", "/a", "", true},
           {"/a/tg=2/b?tg=1.x", "/a/tg=2/b", "1.x", false},
           {"/tg%3D2/b?tg=1.x", "/tg%3D2/b", "1.x", false},
           {"/tg=1.x/tg=2/b", "/tg=2/b", "1.x", true},
       }) {
    const auto found = find_token(target);
    ASSERT_TRUE(found.has_value()) << target;
    EXPECT_EQ(found->path, path) << target;
    EXPECT_EQ(found->token, token) << target;
    EXPECT_EQ(found->in_path, in_path) << target;
  }
}

TEST(LinkTokenCarrier, MayNotBeMissingOrRepeated) {  // L1
  for (const auto* target : {"", "/", "/a", "/a?", "/a?x=1", "/a?TG=1.x", "/a?%74g=1.x",
                             "/a/tg=1.x/b", "/a#?x", "/a?x=tg=1"}) {
    const auto found = find_token(target);
    ASSERT_FALSE(found.has_value()) << target;
    EXPECT_EQ(found.error(), CarrierFault::absent) << target;
  }
  for (const auto* target : {"/a?tg=1.x&tg=1.x", "/a?tg=1.x&tg", "/a?tg&tg=1.x", "/tg=1.x/a?tg=1.x",
                             "/tg=1.x/a?x=1&tg"}) {
    const auto found = find_token(target);
    ASSERT_FALSE(found.has_value()) << target;
    EXPECT_EQ(found.error(), CarrierFault::repeated) << target;
  }
  EXPECT_NE(describe(CarrierFault::absent), describe(CarrierFault::repeated));
}

}  // namespace
}  // namespace tallygate::link
