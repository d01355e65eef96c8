#include "core/shop/word.h"

#include <gtest/gtest.h>

#include <limits>

namespace tallygate::shop {
namespace {

constexpr auto kNone = std::nullopt;
using Limit = std::optional<std::uint32_t>;

TEST(ShopWord, RowsLimitOverridesTheSignedOneBothWays) {
  struct Case {
    std::optional<std::int32_t> max_copies;
    Limit signed_limit;
    Limit expected;
  };
  const Case cases[] = {
      {kNone, kNone, kNone},
      {kNone, 3, 3},
      {kNone, 0, 0},
      {5, 3, 5},
      {1, 3, 1},
      {0, 3, 0},
      {0, kNone, 0},
      {5, kNone, 5},
      {kUnlimited, 3, kNone},
      {kUnlimited, kNone, kNone},
      {2147483647, 3, 2147483647},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(effective_limit({.max_copies = c.max_copies}, c.signed_limit), c.expected);
  }
}

TEST(ShopWord, CopiesOfOtherEdgesAreTakenOffTheLimitDownToNone) {
  struct Case {
    std::uint64_t elsewhere;
    Limit expected;
  };
  const Case cases[] = {{0, 3}, {1, 2}, {2, 1},
                        {3, 0}, {4, 0}, {std::numeric_limits<std::uint64_t>::max(), 0}};
  for (const auto& c : cases) {
    EXPECT_EQ(effective_limit({.used_elsewhere = c.elsewhere}, 3), c.expected) << c.elsewhere;
    EXPECT_EQ(effective_limit({.max_copies = 3, .used_elsewhere = c.elsewhere}, 9), c.expected);
  }
}

TEST(ShopWord, UnlimitedStaysUnlimitedWhateverOtherEdgesDelivered) {
  EXPECT_EQ(effective_limit({.used_elsewhere = 7}, kNone), kNone);
  EXPECT_EQ(effective_limit({.max_copies = kUnlimited, .used_elsewhere = 7}, 3), kNone);
}

TEST(ShopWord, RowsTimesOverrideTheSignedOnesBothWays) {
  EXPECT_EQ(effective_expiry({}, 100), 100);
  EXPECT_EQ(effective_expiry({.expires_at = 200}, 100), 200);
  EXPECT_EQ(effective_expiry({.expires_at = 50}, 100), 50);
  EXPECT_EQ(effective_expiry({.expires_at = 50}, kNone), 50);
  EXPECT_EQ(effective_expiry({}, kNone), kNone);
  EXPECT_EQ(effective_start({}, 100), 100);
  EXPECT_EQ(effective_start({.not_before = 0}, 100), 0);
  EXPECT_EQ(effective_start({.not_before = 200}, kNone), 200);
}

TEST(ShopWord, FileOfAFolderFollowsItsOwnRowFirstThenTheFolders) {
  const Word parent{.max_copies = 3, .not_before = 10, .expires_at = 100, .state = State::active};
  EXPECT_EQ(combine({}, parent), parent);

  const Word own{.max_copies = 0, .not_before = 20, .expires_at = 200};
  const auto word = combine(own, parent);
  EXPECT_EQ(word.max_copies, 0);
  EXPECT_EQ(word.not_before, 20);
  EXPECT_EQ(word.expires_at, 200);
}

TEST(ShopWord, FileOfAFolderTakesTheMoreSevereState) {
  for (const auto own : {State::active, State::held, State::refunded, State::revoked}) {
    for (const auto parent : {State::active, State::held, State::refunded, State::revoked}) {
      const auto word = combine({.state = own}, {.state = parent});
      EXPECT_GE(word.state, own);
      EXPECT_GE(word.state, parent);
      EXPECT_TRUE(word.state == own || word.state == parent);
      EXPECT_EQ(is_active(word), own == State::active && parent == State::active);
    }
  }
}

TEST(ShopWord, CountsAndResetsOfAFileAreItsOwn) {
  const auto word = combine({.reset_gen = 2, .used_elsewhere = 1},
                            {.max_copies = 5, .reset_gen = 9, .used_elsewhere = 4});
  EXPECT_EQ(word.reset_gen, 2u);
  EXPECT_EQ(word.used_elsewhere, 1u);
  EXPECT_EQ(effective_limit(word, kNone), 4u);
}

}  // namespace
}  // namespace tallygate::shop
