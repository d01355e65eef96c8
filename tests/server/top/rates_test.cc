#include "server/top/rates.h"

#include <gtest/gtest.h>

namespace tallygate::top {
namespace {

Live some() {
  Live live;
  live.now_ms = 10'000;
  live.started_at = 1;
  live.bytes_sent = 1000;
  live.requests = 10;
  live.refusals = {{"link-expired", 5}, {"file-missing", 1}};
  live.syncs = 10;
  live.syncs_up_to = {{0.001, 4}, {0.010, 10}, {0.100, 10}};
  return live;
}

TEST(TopRates, AreOfTheTimeBetweenTheAnswers) {
  const Live before = some();
  Live now = before;
  now.now_ms += 2000;
  now.bytes_sent += 5000;
  now.requests += 4;
  now.refusals[0].second += 3;
  const auto rates = rates_between(before, now);
  ASSERT_TRUE(rates);
  EXPECT_DOUBLE_EQ(rates->bytes, 2500);
  EXPECT_DOUBLE_EQ(rates->requests, 2);
  EXPECT_DOUBLE_EQ(rates->refused, 1.5);
  EXPECT_EQ(rates->refusals[0].first, "link-expired");
  EXPECT_DOUBLE_EQ(rates->refusals[0].second, 1.5);
  EXPECT_DOUBLE_EQ(rates->refusals[1].second, 0);
  EXPECT_FALSE(rates->sync_half) << "there was no sync";
}

TEST(TopRates, AreNotMadeAcrossARestartOrOfOneMoment) {
  const Live before = some();
  Live now = before;
  EXPECT_FALSE(rates_between(before, now));
  now.now_ms += 1000;
  EXPECT_TRUE(rates_between(before, now));
  now.started_at += 5;
  EXPECT_FALSE(rates_between(before, now));
}

TEST(TopRates, ARefusalThatIsNewCountsFromZero) {
  Live before = some();
  before.refusals.pop_back();
  Live now = some();
  now.now_ms += 1000;
  EXPECT_DOUBLE_EQ(rates_between(before, now)->refusals[1].second, 1);
}

TEST(TopRates, QuantilesAreOfTheGrowthOfTheBuckets) {
  const Live before = some();
  Live now = before;
  now.syncs += 100;
  now.syncs_up_to = {{0.001, 4 + 50}, {0.010, 10 + 98}, {0.100, 10 + 100}};
  EXPECT_DOUBLE_EQ(*sync_quantile(0.25, before, now), 0.0005);
  EXPECT_DOUBLE_EQ(*sync_quantile(0.5, before, now), 0.001);
  EXPECT_DOUBLE_EQ(*sync_quantile(0.98, before, now), 0.010);
  EXPECT_DOUBLE_EQ(*sync_quantile(0.99, before, now), 0.055);
}

TEST(TopRates, WhatIsBeyondTheLastBoundTookAtLeastThat) {
  const Live before = some();
  Live now = before;
  now.syncs += 1;
  EXPECT_DOUBLE_EQ(*sync_quantile(0.99, before, now), 0.100);
}

TEST(TopRates, BucketsOfAnotherVersionAreNotCompared) {
  const Live before = some();
  Live now = before;
  now.syncs += 1;
  now.syncs_up_to.pop_back();
  EXPECT_FALSE(sync_quantile(0.5, before, now));
}

TEST(TopHistory, KeepsTheLastLooksAndTheHoles) {
  History history;
  Live live = some();
  live.transfers = 3;
  history.add(live, std::nullopt);
  history.add_hole();
  EXPECT_EQ(history.of(Course::transfers), (History::Values{3.0, std::nullopt}));
  EXPECT_EQ(history.of(Course::bytes), (History::Values{std::nullopt, std::nullopt}));
  EXPECT_EQ(history.of(Course::lag), (History::Values{std::nullopt, std::nullopt})) << "no shop";
  for (std::size_t i = 0; i < History::kLooks + 5; ++i) history.add(live, Rates{.bytes = 1});
  EXPECT_EQ(history.of(Course::bytes).size(), History::kLooks);
  EXPECT_EQ(history.of(Course::bytes).front(), 1.0);
}

}  // namespace
}  // namespace tallygate::top
