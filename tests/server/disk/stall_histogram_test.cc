#include "server/disk/stall_histogram.h"

#include <gtest/gtest.h>

#include <thread>

namespace tallygate::disk {
namespace {

using namespace std::chrono_literals;

TEST(StallHistogram, HasBucketsThatDouble) {
  using Histogram = StallHistogram;
  EXPECT_EQ(Histogram::bucket_of(0ns), 0u);
  EXPECT_EQ(Histogram::bucket_of(-1ns), 0u);
  for (std::size_t i = 0; i + 1 < Histogram::kBuckets; ++i) {
    EXPECT_EQ(Histogram::bucket_of(Histogram::upper_bound(i)), i);
    EXPECT_EQ(Histogram::bucket_of(Histogram::upper_bound(i) + 1ns), i + 1);
  }
  EXPECT_EQ(Histogram::upper_bound(0), 250us);
  EXPECT_EQ(Histogram::upper_bound(Histogram::kBuckets - 2), 16'384ms);
  EXPECT_EQ(Histogram::bucket_of(24h), Histogram::kBuckets - 1);
}

TEST(StallHistogram, CountsAndKeepsTheLongest) {
  StallHistogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.max(), 0ns);
  for (const auto took : {100us, 3000us, 200us}) histogram.add(took);
  EXPECT_EQ(histogram.count(), 3u);
  EXPECT_EQ(histogram.in_bucket(0), 2u);
  EXPECT_EQ(histogram.in_bucket(4), 1u);
  EXPECT_EQ(histogram.sum(), 3300us);
  EXPECT_EQ(histogram.max(), 3ms);
}

TEST(StallHistogram, IsReadWhileItIsWritten) {
  StallHistogram histogram;
  std::thread worker([&] {
    for (int i = 0; i < 10'000; ++i) histogram.add(std::chrono::microseconds(i));
  });
  std::uint64_t last = 0;
  while (last < 10'000) {
    const std::uint64_t count = histogram.count();
    EXPECT_GE(count, last);
    last = count;
  }
  worker.join();
  EXPECT_EQ(histogram.max(), 9'999us);
}

TEST(Timed, CountsItsScope) {
  StallHistogram histogram;
  {
    const Timed timed(histogram);
    while (timed.elapsed() < 1ms) {
    }
  }
  EXPECT_EQ(histogram.count(), 1u);
  EXPECT_GE(histogram.max(), 1ms);
}

}  // namespace
}  // namespace tallygate::disk
