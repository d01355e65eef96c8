#include "server/shop/column.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace tallygate::shop {
namespace {

using Limits = std::numeric_limits<std::int64_t>;

TEST(ShopColumn, IsTheNumberThatItBeginsWith) {
  EXPECT_EQ(column_integer("0"), 0);
  EXPECT_EQ(column_integer("-1"), -1);
  EXPECT_EQ(column_integer("007"), 7);
  EXPECT_EQ(column_integer("3.99"), 3);
  EXPECT_EQ(column_integer("2026-01-01 00:00:00"), 2026);
  EXPECT_EQ(column_integer("9223372036854775807"), Limits::max());
  EXPECT_EQ(column_integer("-9223372036854775808"), Limits::min());
}

TEST(ShopColumn, IsNoneWithoutANumber) {  // S11
  for (const char* text : {"", "NULL", "null", "-", "+1", " 1", "three", "'; DROP TABLE tg_link"}) {
    EXPECT_EQ(column_integer(text), 0) << text;
  }
}

TEST(ShopColumn, IsTheNearestBeyond64Bits) {  // S11
  EXPECT_EQ(column_integer("9223372036854775808"), Limits::max());
  EXPECT_EQ(column_integer("-9223372036854775809"), Limits::min());
  EXPECT_EQ(column_integer(std::string(100'000, '9')), Limits::max());
}

TEST(ShopColumn, StatesAreDigitsAlone) {  // S11
  for (int state = 0; state < 10; ++state) EXPECT_EQ(column_state(std::to_string(state)), state);
  for (const char* text :
       {"", "NULL", "active", "0.0", "00", " 0", "-0", "0 or 1=1", "18446744073709551616"}) {
    EXPECT_EQ(column_state(text), -1) << text;
  }
}

}  // namespace
}  // namespace tallygate::shop
