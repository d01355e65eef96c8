#include "server/metrics/counter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace tallygate::metrics {
namespace {

constexpr std::array<std::uint64_t, 3> kBounds{10, 100, 1000};

TEST(Counter, AddsUp) {
  Counter counter;
  EXPECT_EQ(counter.value(), 0u);
  counter.add();
  counter.add(41);
  EXPECT_EQ(counter.value(), 42u);
}

TEST(Counter, NeverFallsForAReaderBesideItsWriter) {
  constexpr std::uint64_t kTimes = 100'000;
  Counter counter;
  std::thread writer([&] {
    for (std::uint64_t i = 0; i < kTimes; ++i) counter.add();
  });
  std::uint64_t last = 0;
  while (last < kTimes) {
    const std::uint64_t now = counter.value();
    ASSERT_GE(now, last);
    last = now;
  }
  writer.join();
  EXPECT_EQ(counter.value(), kTimes);
}

TEST(Level, IsWhatItWasSetToLast) {
  Level level;
  EXPECT_EQ(level.value(), 0u);
  level.set(7);
  level.set(3);
  EXPECT_EQ(level.value(), 3u);
}

TEST(Histogram, PutsAValueIntoTheFirstBucketWhoseBoundIsNotBelowIt) {
  Histogram<kBounds.size()> histogram;
  for (const std::uint64_t value : {0u, 10u, 11u, 100u, 101u, 1000u, 1001u, 5'000'000u}) {
    histogram.add(value, kBounds);
  }
  EXPECT_EQ(histogram.in_bucket(0), 2u);
  EXPECT_EQ(histogram.in_bucket(1), 2u);
  EXPECT_EQ(histogram.in_bucket(2), 2u);
  EXPECT_EQ(histogram.in_bucket(3), 2u) << "beyond the last bound";
  EXPECT_EQ(histogram.sum(), 10u + 11 + 100 + 101 + 1000 + 1001 + 5'000'000);
}

}  // namespace
}  // namespace tallygate::metrics
