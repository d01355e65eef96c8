#include "core/config/nearest.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace tallygate::config {
namespace {

constexpr std::array<std::string_view, 5> kKnown{"listen", "threads", "keyring", "dir", "url"};

TEST(EditDistance, CountsInsertionsDeletionsReplacementsAndSwapsOfNeighbours) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
  EXPECT_EQ(edit_distance("root", "root"), 0U);
  EXPECT_EQ(edit_distance("root", "rot"), 1U);
  EXPECT_EQ(edit_distance("root", "rooot"), 1U);
  EXPECT_EQ(edit_distance("root", "loot"), 1U);
  EXPECT_EQ(edit_distance("root", "orot"), 1U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("ca", "abc"), 3U);  // the optimal string alignment, not 2
}

TEST(Nearest, FindsTheNameWithASlip) {
  EXPECT_EQ(nearest("listne", kKnown), "listen");
  EXPECT_EQ(nearest("Listen", kKnown), "listen");
  EXPECT_EQ(nearest("thread", kKnown), "threads");
  EXPECT_EQ(nearest("ulr", kKnown), "url");
}

TEST(Nearest, TakesABeginningForTheWholeAndTheOtherWayRound) {
  EXPECT_EQ(nearest("key", kKnown), "keyring");
  EXPECT_EQ(nearest("directory", kKnown), "dir");
  EXPECT_EQ(nearest("ke", kKnown), std::nullopt);  // two letters tell nothing
}

TEST(Nearest, TakesTheLongerOfTwoBeginnings) {
  constexpr std::array<std::string_view, 2> kBoth{"max_connections", "max_connections_per_address"};
  EXPECT_EQ(nearest("max_connections_per_addressx", kBoth), "max_connections_per_address");
  EXPECT_EQ(nearest("max_connectionsx", kBoth), "max_connections");
}

TEST(Nearest, FindsNothingForAStranger) {
  EXPECT_EQ(nearest("certificate", kKnown), std::nullopt);
  EXPECT_EQ(nearest("", kKnown), std::nullopt);
  EXPECT_EQ(nearest(std::string(100'000, 'l'), kKnown), std::nullopt);
}

TEST(Nearest, AllowsAThirdOfTheLettersToDifferAndNoMore) {
  constexpr std::array<std::string_view, 1> kNine{"abcdefghi"};
  EXPECT_EQ(nearest("xyzdefghi", kNine), "abcdefghi");
  EXPECT_EQ(nearest("xyzwefghi", kNine), std::nullopt);
}

}  // namespace
}  // namespace tallygate::config
