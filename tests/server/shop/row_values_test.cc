#include "server/shop/row_values.h"

#include <gtest/gtest.h>

#include <limits>

namespace tallygate::shop {
namespace {

using Limits = std::numeric_limits<std::int64_t>;

TEST(ShopRowValues, AreTheWordOfTheirRow) {
  const auto row = to_row({.link_id = "1001",
                           .max_copies = 5,
                           .used = 7,
                           .not_before = 100,
                           .expires_at = 200,
                           .state = 2,
                           .reset_gen = 3,
                           .own = 4});
  EXPECT_EQ(row.link_id, "1001");
  EXPECT_EQ(row.used, 7u);
  EXPECT_EQ(row.word, (Word{5, 100, 200, State::refunded, 3, 3}));
}

TEST(ShopRowValues, ThatAreNullAreAsSigned) {
  EXPECT_EQ(to_row({.link_id = "7"}).word, Word{});
}

TEST(ShopRowValues, OutOfBoundsAreTheNearestThatAreNot) {  // S11, J12
  const auto low = to_row({.link_id = "7",
                           .max_copies = Limits::min(),
                           .used = Limits::min(),
                           .reset_gen = Limits::min(),
                           .own = Limits::max()});
  EXPECT_EQ(low.word.max_copies, kUnlimited);
  EXPECT_EQ(low.used, 0u);
  EXPECT_EQ(low.word.reset_gen, 0u);
  EXPECT_EQ(low.word.used_elsewhere, 0u);
  const auto high = to_row({.link_id = "7",
                            .max_copies = Limits::max(),
                            .used = Limits::max(),
                            .reset_gen = Limits::max(),
                            .own = Limits::min()});
  EXPECT_EQ(high.word.max_copies, std::numeric_limits<std::int32_t>::max());
  EXPECT_EQ(high.used, static_cast<std::uint64_t>(Limits::max()));
  EXPECT_EQ(high.word.reset_gen, std::numeric_limits<std::uint32_t>::max());
  EXPECT_EQ(high.word.used_elsewhere, high.used);
}

TEST(ShopRowValues, OfAnUnknownStateAreRevoked) {  // S11
  for (const std::int64_t state :
       {Limits::min(), std::int64_t{-1}, std::int64_t{4}, Limits::max()}) {
    EXPECT_EQ(to_row({.link_id = "7", .state = state}).word.state, State::revoked) << state;
  }
}

TEST(ShopRowValues, OfACounterStayWithinItsBounds) {
  const auto low = to_count("7", Limits::min(), Limits::min());
  EXPECT_EQ(low.link_id, "7");
  EXPECT_EQ(low.reset_gen, 0u);
  EXPECT_EQ(low.charged, 0u);
  const auto high = to_count("7", std::int64_t{1} << 32, Limits::max());
  EXPECT_EQ(high.reset_gen, std::numeric_limits<std::uint32_t>::max());
  EXPECT_EQ(high.charged, static_cast<std::uint64_t>(Limits::max()));
}

}  // namespace
}  // namespace tallygate::shop
