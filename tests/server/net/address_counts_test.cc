#include "server/net/address_counts.h"

#include <gtest/gtest.h>

#include <map>
#include <thread>
#include <vector>

#include "tests/support/seed.h"

namespace tallygate::net {
namespace {

using Place = AddressCounts::Place;

TEST(AddressCounts, RefuseWhoHasAsManyAsAnAddressMayHave) {
  AddressCounts counts;
  std::vector<Place> places;
  for (int i = 0; i < 3; ++i) {
    auto place = counts.take(7, 3);
    ASSERT_TRUE(place);
    places.push_back(std::move(*place));
  }
  EXPECT_FALSE(counts.take(7, 3));
  EXPECT_TRUE(counts.take(8, 3));  // others have their own
  EXPECT_EQ(counts.count(8), 0u);  // and it is gone again
  places.pop_back();
  EXPECT_EQ(counts.count(7), 2u);
  EXPECT_TRUE(counts.take(7, 3));
}

TEST(AddressCounts, HaveNoBoundOfZero) {
  AddressCounts counts;
  std::vector<Place> places;
  for (int i = 0; i < 1000; ++i) places.push_back(*counts.take(0, 0));
  EXPECT_EQ(counts.count(0), 1000u);
  EXPECT_FALSE(counts.take(0, 1000));  // one that is set later holds for those there are
  places.clear();
  EXPECT_EQ(counts.count(0), 0u);
}

TEST(AddressCounts, GiveBackAPlaceOnceHoweverItMoves) {
  AddressCounts counts;
  {
    Place first = *counts.take(1, 0);
    Place second(std::move(first));
    Place third;
    third = std::move(second);
    EXPECT_EQ(counts.count(1), 1u);
    third = *counts.take(2, 0);
    EXPECT_EQ(counts.count(1), 0u);
    EXPECT_EQ(counts.count(2), 1u);
  }
  EXPECT_EQ(counts.count(2), 0u);
}

TEST(AddressCounts, AreThoseOfASimpleTableWhateverComesAndGoes) {
  const auto seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 chance(seed);
  AddressCounts counts;
  std::map<std::uint64_t, std::uint32_t> expected;
  std::vector<std::pair<std::uint64_t, Place>> open;
  const auto one_of = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(chance);
  };
  for (int step = 0; step < 50'000; ++step) {
    // Waves of 4,000, so that the table grows, fills and empties.
    const bool grows = (step / 5'000) % 2 == 0;
    if (open.empty() || one_of(4) < (grows ? 3u : 1u)) {
      const std::uint64_t key = one_of(3'000) * 0x1'0000'0001;
      auto place = counts.take(key, 3);
      ASSERT_EQ(place.has_value(), expected[key] < 3);
      if (!place) continue;
      ++expected[key];
      open.emplace_back(key, std::move(*place));
    } else {
      const std::size_t at = one_of(open.size());
      --expected[open[at].first];
      std::swap(open[at], open.back());
      open.pop_back();
    }
  }
  for (const auto& [key, count] : expected) ASSERT_EQ(counts.count(key), count);
  open.clear();
  for (const auto& [key, count] : expected) ASSERT_EQ(counts.count(key), 0u);
}

TEST(AddressCounts, HoldWhenAllWorkersTakeAtOnce) {
  AddressCounts counts;
  constexpr std::uint32_t kMost = 100;
  std::vector<std::thread> workers;
  std::vector<std::vector<Place>> taken(4);
  for (auto& own : taken) {
    workers.emplace_back([&counts, &own] {
      for (int i = 0; i < 1'000; ++i) {
        if (auto place = counts.take(42, kMost)) own.push_back(std::move(*place));
        if (i % 3 == 0 && !own.empty()) own.pop_back();
        static_cast<void>(counts.take(static_cast<std::uint64_t>(i), 1));
      }
    });
  }
  for (auto& worker : workers) worker.join();
  std::size_t open = 0;
  for (const auto& own : taken) open += own.size();
  EXPECT_LE(open, kMost);
  EXPECT_EQ(counts.count(42), open);
}

}  // namespace
}  // namespace tallygate::net
