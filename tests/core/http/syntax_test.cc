#include "core/http/syntax.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

namespace tallygate::http {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string_view> members(std::string_view list) {
  std::vector<std::string_view> all;
  while (const auto member = next_list_member(list)) all.push_back(*member);
  return all;
}

TEST(HttpSyntax, ListMembersAreTrimmedAndEmptyOnesSkipped) {
  EXPECT_THAT(members("a"), ElementsAre("a"));
  EXPECT_THAT(members(" a ,\tb\t, ,,c,"), ElementsAre("a", "b", "c"));
  EXPECT_THAT(members(""), IsEmpty());
  EXPECT_THAT(members(" , ,"), IsEmpty());
}

TEST(HttpSyntax, ACommaInsideQuotesSeparatesNothing) {
  EXPECT_THAT(members(R"(a="x,y", b)"), ElementsAre(R"(a="x,y")", "b"));
  EXPECT_THAT(members(R"(a="x\",y", b)"), ElementsAre(R"(a="x\",y")", "b"));
  EXPECT_THAT(members(R"(a="never closed, b)"), ElementsAre(R"(a="never closed, b)"));
  EXPECT_THAT(members(R"("ends in a backslash\)"), ElementsAre(R"("ends in a backslash\)"));
}

TEST(HttpSyntax, NumbersSaturateBeyond64Bits) {
  EXPECT_EQ(parse_saturating("0"), 0u);
  EXPECT_EQ(parse_saturating("007"), 7u);
  EXPECT_EQ(parse_saturating("18446744073709551614"), 18446744073709551614u);
  EXPECT_EQ(parse_saturating("18446744073709551615"), 18446744073709551615u);
  EXPECT_EQ(parse_saturating("18446744073709551616"), 18446744073709551615u);
  EXPECT_EQ(parse_saturating("99999999999999999999999999"), 18446744073709551615u);
}

TEST(HttpSyntax, NumbersAreDigitsAndNothingElse) {
  for (const std::string_view text :
       {"", "+1", "-1", " 1", "1 ", "1,1", "0x1", "1.0", "\xd9\xa1"}) {
    EXPECT_FALSE(parse_saturating(text)) << text;
  }
}

TEST(HttpSyntax, CaseIsIgnoredForAsciiLettersOnly) {
  EXPECT_TRUE(equal_ignoring_case("Range", "rANGE"));
  EXPECT_FALSE(equal_ignoring_case("Range", "Ranges"));
  EXPECT_FALSE(equal_ignoring_case("@", "`"));
  EXPECT_FALSE(equal_ignoring_case("[", "{"));
}

TEST(HttpSyntax, TokensHaveNoSeparatorsControlsOrForeignBytes) {
  for (int c = 0; c < 256; ++c) {
    const auto byte = static_cast<char>(c);
    const bool separator =
        std::string_view("\"(),/:;<=>?@[\\]{} \t").find(byte) != std::string_view::npos;
    EXPECT_EQ(is_token_char(byte), c > 0x20 && c < 0x7f && !separator) << c;
  }
}

}  // namespace
}  // namespace tallygate::http
