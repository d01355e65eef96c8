#include "core/http/etag.h"

#include <gtest/gtest.h>

namespace tallygate::http {
namespace {

constexpr auto kStrong = Comparison::strong;
constexpr auto kWeak = Comparison::weak;

TEST(EntityTag, IsTakenOffTheFrontOfAText) {
  std::string_view text = R"("a,b", W/"c")";
  const auto first = take_entity_tag(text);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->opaque, R"("a,b")");
  EXPECT_FALSE(first->weak);
  EXPECT_EQ(text, R"(, W/"c")");
  text = R"(W/"c")";
  const auto second = take_entity_tag(text);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->opaque, R"("c")");
  EXPECT_TRUE(second->weak);
  EXPECT_EQ(text, "");
}

TEST(EntityTag, MayHaveAnyVisibleByteButTheQuote) {
  for (int c = 0; c < 256; ++c) {
    const std::string text = std::string("\"") + static_cast<char>(c) + "\"";
    std::string_view rest = text;
    const auto tag = take_entity_tag(rest);
    const bool is_whole = tag && rest.empty();
    EXPECT_EQ(is_whole, c > 0x20 && c != '"' && c != 0x7f) << c;
  }
}

TEST(EntityTag, IsNoneWithoutItsQuotes) {
  for (const auto* text :
       {"", "a", "\"", "\"a", "a\"", "w/\"a\"", "W/a", "W/", "'a'", " \"a\"", "*"}) {
    std::string_view rest = text;
    EXPECT_FALSE(take_entity_tag(rest)) << text;
    EXPECT_EQ(rest, text);
  }
}

TEST(EntityTag, ComparesAsTheTableOfRfc9110Says) {
  // §8.8.3.2
  const EntityTag weak1{"\"1\"", true};
  const EntityTag weak2{"\"2\"", true};
  const EntityTag strong1{"\"1\"", false};
  EXPECT_FALSE(matches(weak1, weak1, kStrong));
  EXPECT_TRUE(matches(weak1, weak1, kWeak));
  EXPECT_FALSE(matches(weak1, weak2, kStrong));
  EXPECT_FALSE(matches(weak1, weak2, kWeak));
  EXPECT_FALSE(matches(weak1, strong1, kStrong));
  EXPECT_TRUE(matches(weak1, strong1, kWeak));
  EXPECT_TRUE(matches(strong1, strong1, kStrong));
  EXPECT_TRUE(matches(strong1, strong1, kWeak));
}

TEST(EntityTagList, FindsTheCurrentTag) {
  const EntityTag current{"\"b\"", false};
  for (const auto* list :
       {R"("b")", R"("a", "b")", R"("b","c")", R"( , "a",,"b" , )", R"("a","b",W/"b")"}) {
    EXPECT_EQ(match_tag_list(list, current, kStrong), TagListMatch::some) << list;
    EXPECT_EQ(match_tag_list(list, current, kWeak), TagListMatch::some) << list;
  }
  EXPECT_EQ(match_tag_list(R"("a", W/"b")", current, kStrong), TagListMatch::none);
  EXPECT_EQ(match_tag_list(R"("a", W/"b")", current, kWeak), TagListMatch::some);
  EXPECT_EQ(match_tag_list(R"("a", "B")", current, kWeak), TagListMatch::none);
}

TEST(EntityTagList, ACommaInsideATagDividesNothing) {
  EXPECT_EQ(match_tag_list(R"("a,"b",c")", {"\"b\"", false}, kWeak), TagListMatch::malformed);
  EXPECT_EQ(match_tag_list(R"("a,b")", {"\"a,b\"", false}, kStrong), TagListMatch::some);
}

TEST(EntityTagList, AStarAloneIsAny) {
  const EntityTag current{"\"b\"", false};
  EXPECT_EQ(match_tag_list("*", current, kStrong), TagListMatch::any);
  EXPECT_EQ(match_tag_list(" * ", current, kStrong), TagListMatch::any);
  EXPECT_EQ(match_tag_list("*, \"b\"", current, kStrong), TagListMatch::malformed);
  EXPECT_EQ(match_tag_list("\"b\", *", current, kStrong), TagListMatch::malformed);
}

TEST(EntityTagList, OneFaultSpoilsTheWholeList) {
  for (const auto* list :
       {"", ",", "b", R"("b" "c")", R"("b", c)", R"("b";"c")", R"("b", "c)", R"("b"x)"}) {
    EXPECT_EQ(match_tag_list(list, {"\"b\"", false}, kWeak), TagListMatch::malformed) << list;
  }
}

}  // namespace
}  // namespace tallygate::http
