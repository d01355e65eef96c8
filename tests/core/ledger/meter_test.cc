// Boundaries of single rules; what they come to together is in meter_scenarios_test.cc, and that
// nothing is missing in meter_history_test.cc.
#include "core/ledger/meter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/ledger/test_link.h"

namespace tallygate::ledger {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kGiB = 1 << 30;

// -- Meter --------------------------------------------------------------------------------------

TEST(Meter, AllowsHalfASmallFileOrEightMebibytesOrASixteenth) {
  const struct {
    std::uint64_t size, allowance;
  } kCases[] = {
      {0, 0},
      {1, 0},
      {2, 1},
      {3, 1},
      {16 * kMiB - 2, 8 * kMiB - 1},
      {16 * kMiB, 8 * kMiB},
      {16 * kMiB + 2, 8 * kMiB},
      {128 * kMiB + 15, 8 * kMiB},
      {128 * kMiB + 16, 8 * kMiB + 1},
      {1024 * kGiB, 64 * kGiB},
  };
  for (const auto& c : kCases) EXPECT_EQ(Meter(version(1), c.size).allowance(), c.allowance);
}

TEST(Meter, FollowsAtLeast1024FragmentsAndOneForEachMebibyte) {
  const struct {
    std::uint64_t size;
    std::size_t fragments;
  } kCases[] = {
      {0, 1024}, {1, 1024}, {kGiB + kMiB - 1, 1024}, {kGiB + kMiB, 1025}, {50 * kGiB, 51200},
  };
  for (const auto& c : kCases) EXPECT_EQ(Meter(version(1), c.size).fragments_max(), c.fragments);
}

TEST(Meter, RoundsSharesOfAFileUp) {
  constexpr std::uint64_t kMost = 0xffff'ffff'ffff'ffff;
  const struct {
    std::uint64_t size, bytes;
    Uint128 share;
  } kCases[] = {
      {0, 0, 0},
      {0, 5, 0},
      {1, 0, 0},
      {1, 1, 1'000'000},
      {3, 1, 333'334},
      {3, 2, 666'667},
      {3, 3, 1'000'000},
      {2'000'000, 1, 1},
      {2'000'000, 2, 1},
      {2'000'000, 3, 2},
      {kMost, kMost, 1'000'000},
      {kMost, 1, 1},
      {1, kMost, Uint128{kMost} * 1'000'000},
  };
  for (const auto& c : kCases) EXPECT_TRUE(Meter(version(1), c.size).share(c.bytes) == c.share);
}

TEST(Meter, CompletesACopyWhenTheLastByteArrives) {
  Meter meter(version(1), 10);
  EXPECT_EQ(meter.cover({5, 10}), 0);
  EXPECT_EQ(meter.cover({0, 4}), 0);
  EXPECT_EQ(meter.cover({0, 10}), 1);
  EXPECT_EQ(meter.copies, 1);
  ASSERT_EQ(meter.layers.size(), 1);
  EXPECT_EQ(meter.cover({4, 5}), 1);
  EXPECT_EQ(meter.copies, 2);
  EXPECT_TRUE(meter.layers.empty());
}

// A meter of 10,000 bytes in which every third byte was delivered, until no fragment is free.
Meter scattered() {
  Meter meter(version(1), 10'000);
  for (std::uint64_t i = 0; i < 1024; ++i) meter.cover({3 * i, 3 * i + 1});
  return meter;
}

TEST(Meter, IgnoresWhatWouldBeOneFragmentTooMany) {
  Meter meter = scattered();
  ASSERT_EQ(meter.layers.size(), 1);
  EXPECT_EQ(meter.layers[0].fragments(), 1024);
  const Meter before = meter;
  EXPECT_EQ(meter.cover({9000, 9001}), 0);
  EXPECT_EQ(meter, before);
}

TEST(Meter, CountsFragmentsOfAllLayersTogether) {
  Meter meter = scattered();
  const Meter before = meter;
  EXPECT_EQ(meter.cover({3, 4}), 0);
  EXPECT_EQ(meter, before) << "the byte delivered twice is a fragment of the second layer";
  meter.cover({1, 3});  // joins two
  EXPECT_EQ(meter.layers[0].fragments(), 1023);
  meter.cover({3, 4});
  ASSERT_EQ(meter.layers.size(), 2);
  EXPECT_EQ(meter.layers[1].fragments(), 1);
}

TEST(Meter, StillTakesWhatMakesNoNewFragmentWhenItIsFull) {
  Meter meter = scattered();
  meter.cover({3070, 10'000});  // grows the last one
  meter.cover({2, 3});          // grows the second one, to the front
  EXPECT_EQ(meter.layers[0].fragments(), 1024);
  EXPECT_EQ(meter.layers[0].bytes(), 1024 + 6930 + 1);
  meter.cover({1, 2});
  for (std::uint64_t i = 1; i < 1023; ++i) {
    EXPECT_EQ(meter.cover({3 * i + 1, 3 * i + 3}), i == 1022 ? 1 : 0);
  }
  EXPECT_EQ(meter.copies, 1);
}

TEST(Meter, IgnoresEvenAWholeFileThatWouldBeOneFragmentTooMany) {
  Meter meter = scattered();
  const Meter before = meter;
  EXPECT_EQ(meter.cover({0, 10'000}), 0);
  EXPECT_EQ(meter, before) << "1024 fragments would be left over from the copy, and the copy";
  meter.cover({1, 3});  // joins two
  EXPECT_EQ(meter.cover({0, 10'000}), 1);
  ASSERT_EQ(meter.layers.size(), 1);
  EXPECT_EQ(meter.layers[0].fragments(), 1023);
}

TEST(Meter, CountsTrafficOfWhatIsTooScatteredToFollow) {
  TestLink link(std::nullopt);
  for (std::uint64_t i = 0; i < 2000; ++i) {
    link.get(10'000, {.first = 2 * i, .last = 2 * i + 1});
  }
  EXPECT_EQ(link.meters.traffic(), 2000);
  EXPECT_EQ(link.meters.meters().front()->layers[0].fragments(), 1024);
}

// -- admission ----------------------------------------------------------------------------------

TEST(Meters, NumbersTheFlightsOfOneRequestInARow) {
  TestLink link(1);
  const std::vector<Span> ranges{{0, 10}, {20, 30}, {40, 50}};
  EXPECT_EQ(*link.meters.admit(version(1), 100, ranges), 1);
  EXPECT_EQ(*link.admit(100, {60, 70}), 4);
  EXPECT_EQ(link.meters.find(3)->last, 50);
  EXPECT_EQ(link.meters.find(5), nullptr);
  EXPECT_EQ(link.meters.find(0), nullptr);
}

TEST(Meters, AdmitsAllRangesOfARequestOrNone) {
  TestLink link(1);
  ASSERT_TRUE(link.admit(100, {10, 100}));
  const std::vector<Span> both{{0, 10}, {50, 60}};
  EXPECT_TRUE(link.meters.admit(version(1), 100, both)) << "one copy could be put together";
  EXPECT_EQ(link.meters.admit(version(1), 100, std::vector<Span>{{0, 100}}).error(), Refusal::busy);
  EXPECT_EQ(link.meters.flights(), 3);
}

TEST(Meters, RunsAtMost256TransfersOfALimitedLink) {  // O5
  TestLink link(1);
  for (std::uint64_t i = 0; i < 255; ++i) ASSERT_TRUE(link.admit(1000, {i, i + 1}));
  const std::vector<Span> two{{300, 301}, {302, 303}};
  EXPECT_EQ(link.meters.admit(version(1), 1000, two).error(), Refusal::busy);
  EXPECT_TRUE(link.admit(1000, {300, 301}));
  EXPECT_EQ(link.admit(1000, {302, 303}).error(), Refusal::busy);
  EXPECT_EQ(link.meters.flights(), kFlightsMax);

  link.meters.close(1, 0, false);
  EXPECT_TRUE(link.admit(1000, {302, 303}));
}

TEST(Meters, CountsTransfersOfAllVersionsButNoneFromBeforeAReset) {
  TestLink link(2);
  for (std::uint64_t i = 0; i < 128; ++i) {
    ASSERT_TRUE(link.admit(1000, {i, i + 1}, 1));
    ASSERT_TRUE(link.admit(1000, {i, i + 1}, 2));
  }
  EXPECT_EQ(link.admit(1000, {999, 1000}, 1).error(), Refusal::busy);
  link.meters.reset();
  EXPECT_TRUE(link.admit(1000, {999, 1000}, 1));
}

TEST(Meters, RunsAnyNumberOfTransfersOfAnUnlimitedLink) {
  TestLink link(std::nullopt);
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(link.admit(1000, {0, 1000}));
  EXPECT_EQ(link.meters.flights(), 1000);
}

TEST(Meters, OfAnEmptyFileAdmitsAsManyAtOnceAsCopiesAreLeft) {
  TestLink link(2);
  const auto first = link.admit(0, {0, 0});
  const auto second = link.admit(0, {0, 0});
  ASSERT_TRUE(first && second);
  EXPECT_EQ(link.admit(0, {0, 0}).error(), Refusal::busy);
  EXPECT_EQ(link.meters.close(*first, 0, false), 0) << "the head never left";
  EXPECT_TRUE(link.admit(0, {0, 0}));
  EXPECT_EQ(link.meters.close(*second, 0, true), 1);
  EXPECT_EQ(link.used(), 1);
}

TEST(Meters, CountsTwoVersionsTogetherAndMixesNoBytesOfThem) {
  TestLink link(1);
  EXPECT_EQ(link.get(100, {.last = 50, .version_number = 1}), Answer::ok);
  EXPECT_EQ(link.get(100, {.first = 50, .version_number = 2}), Answer::ok);
  EXPECT_EQ(link.used(), 0);
  const auto flight = link.admit(100, {50, 100}, 1);
  ASSERT_TRUE(flight);
  EXPECT_EQ(link.admit(100, {0, 50}, 2).error(), Refusal::busy);
  EXPECT_EQ(link.finish(*flight), Answer::ok);
  EXPECT_EQ(link.used(), 1);
}

// -- the last copy and after --------------------------------------------------------------------

TEST(Meters, AfterTheLastCopyGivesTheAllowanceOnceMoreAndNotAByteBeyond) {
  TestLink link(1);
  link.get(1000);
  EXPECT_EQ(link.get(1000, {.last = 501}), Answer::exhausted);
  EXPECT_EQ(link.get(1000, {.last = 499}), Answer::ok);
  EXPECT_EQ(link.get(1000, {.last = 2}), Answer::exhausted);
  EXPECT_EQ(link.get(1000, {.last = 1}), Answer::ok);
  EXPECT_EQ(link.get(1000, {.last = 1}), Answer::exhausted);
  EXPECT_EQ(link.meters.traffic(), 1500);
  EXPECT_EQ(link.meters.copies(), 1);
}

TEST(Meters, AfterTheLastCopyAnEmptyRequestIsRefusedToo) {
  TestLink link(1);
  link.get(1000);
  EXPECT_EQ(link.get(1000, {.last = 0}), Answer::exhausted);
}

TEST(Meters, LateTransfersShareTheAllowanceByTheirLeases) {
  TestLink link(1);
  link.get(1000);
  const auto one = link.admit(1000, {0, 400});
  const auto two = link.admit(1000, {0, 400});
  ASSERT_TRUE(one && two) << "neither has a lease yet";
  EXPECT_TRUE(link.meters.lease(*one, 300));
  EXPECT_TRUE(link.meters.lease(*two, 200));
  EXPECT_FALSE(link.meters.lease(*one, 301));
  link.meters.close(*one, 0, false);  // nothing of it left
  EXPECT_TRUE(link.meters.lease(*two, 400));
}

TEST(Meters, ALateTransferCompletesNoCopyEvenIfTheLimitRises) {
  TestLink link(1);
  link.get(1000);
  link.get(1000, {.last = 500});
  EXPECT_TRUE(link.meters.meters().front()->layers.empty());
  link.meters.set_limit(2);
  EXPECT_EQ(link.get(1000, {.first = 500}), Answer::ok);
  EXPECT_EQ(link.used(), 1);
}

TEST(Meters, ARisenLimitGivesTheAllowanceOfTheNextLastCopy) {
  TestLink link(1);
  link.get(1000);
  EXPECT_EQ(link.get(1000, {.last = 500}), Answer::ok);
  link.meters.set_limit(2);
  EXPECT_EQ(link.get(1000), Answer::ok);
  EXPECT_EQ(link.get(1000, {.last = 500}), Answer::ok);
  EXPECT_EQ(link.get(1000, {.last = 1}), Answer::exhausted);
}

TEST(Meters, TransfersAdmittedBeforeTheLimitFellGoOn) {
  TestLink link(2);
  const auto one = link.admit(1000, {0, 1000});
  const auto two = link.admit(1000, {0, 1000});
  ASSERT_TRUE(one && two);
  link.meters.set_limit(1);
  EXPECT_EQ(link.finish(*one), Answer::ok);
  EXPECT_EQ(link.finish(*two), Answer::ok);
  EXPECT_EQ(link.meters.copies(), 2) << "stored counts are never clamped";
  EXPECT_EQ(link.used(), 1);
}

// -- traffic ------------------------------------------------------------------------------------

TEST(Meters, LeasesToTheLastByteThatTheLimitPaysFor) {
  TestLink link(1, 0);  // no waste: 1000 bytes and an allowance of 500
  EXPECT_EQ(link.get(1000, {.last = 999}), Answer::ok);
  EXPECT_EQ(link.get(1000, {.last = 502}), Answer::traffic);
  const auto one = link.admit(1000, {0, 501});
  const auto two = link.admit(1000, {0, 501});
  ASSERT_TRUE(one && two);
  EXPECT_TRUE(link.meters.lease(*one, 400));
  EXPECT_FALSE(link.meters.lease(*two, 102));
  EXPECT_TRUE(link.meters.lease(*two, 101));
  EXPECT_FALSE(link.meters.lease(*one, 401));
}

TEST(Meters, WasteIsASettingUpToFourCopiesAndGrowsWithTheLimitBeyond) {
  const struct {
    std::uint32_t limit, waste_permille;
    std::uint64_t files;  // of which the last byte is never taken
  } kCases[] = {
      {1, 0, 1},    {1, 1000, 2}, {1, 2000, 3},  {4, 2000, 6},
      {5, 2000, 7}, {6, 2000, 9}, {8, 2000, 12},
  };
  for (const auto& c : kCases) {
    TestLink link(c.limit, c.waste_permille);
    std::uint64_t files = 0;
    while (link.get(100'000'000, {.last = 99'999'999}) == Answer::ok) ++files;
    EXPECT_EQ(files, c.files) << c.limit << ' ' << c.waste_permille;
  }
}

TEST(Meters, TellWhenTheTrafficLeftCannotFinishACopy) {
  TestLink link(1, 500);  // 1000 bytes, 500 of waste and an allowance of 500
  EXPECT_FALSE(link.meters.out_of_traffic());
  link.get(1000, {.unacknowledged = 1000});
  EXPECT_FALSE(link.meters.out_of_traffic()) << "1000 bytes are missing, 1000 may leave";
  link.get(1000, {.last = 1, .unacknowledged = 1});
  EXPECT_TRUE(link.meters.out_of_traffic());
  link.meters.set_limit(2);
  EXPECT_FALSE(link.meters.out_of_traffic());
}

TEST(Meters, AreNotOutOfTrafficWhenTheCopiesAreUsedUp) {
  TestLink link(1);
  link.get(1000);
  EXPECT_FALSE(link.meters.out_of_traffic());
}

TEST(Meters, DoNotOverflowAtTheLargestLimitAndWaste) {  // J12
  constexpr std::uint64_t kHuge = std::uint64_t{1} << 50;
  TestLink link(0x7fff'ffff, 0xffff'ffff);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(link.get(kHuge), Answer::ok);
  EXPECT_EQ(link.used(), 1000);
  EXPECT_EQ(link.meters.traffic(), 1000 * kHuge);
}

// -- reset --------------------------------------------------------------------------------------

TEST(Meters, AResetIsAsNewAndTransfersFromBeforeItCountNoMore) {
  TestLink link(1);
  const auto old = link.admit(1000, {0, 1000});
  ASSERT_TRUE(old);
  link.meters.reset();
  EXPECT_EQ(link.finish(*old), Answer::ok);
  EXPECT_EQ(link.meters.copies(), 0);
  EXPECT_EQ(link.meters.traffic(), 0);
  EXPECT_TRUE(link.meters.meters().empty()) << "kept only as long as a transfer uses it";
  EXPECT_EQ(link.get(1000), Answer::ok);
  EXPECT_EQ(link.used(), 1);
}

TEST(Meters, AMeterFromBeforeAResetIsKeptUntilItsLastTransferEnds) {
  TestLink link(2);
  const auto one = link.admit(1000, {0, 1000});
  const auto two = link.admit(1000, {0, 1000});
  ASSERT_TRUE(one && two);
  link.meters.reset();
  ASSERT_TRUE(link.admit(1000, {0, 10}));
  EXPECT_EQ(link.meters.meters().size(), 2);
  link.finish(*one);
  EXPECT_EQ(link.meters.meters().size(), 2);
  link.finish(*two);
  EXPECT_EQ(link.meters.meters().size(), 1);
}

// -- crash --------------------------------------------------------------------------------------

TEST(Meters, ACrashCountsTheLeaseAsDeliveredAndLeavesItInDoubt) {
  TestLink link(2);
  const auto flight = link.admit(1000, {0, 1000});
  ASSERT_TRUE(flight);
  ASSERT_TRUE(link.meters.lease(*flight, 700));
  link.meters.settle(*flight, 300);
  link.meters.crash();
  const Meter& meter = *link.meters.meters().front();
  EXPECT_THAT(meter.layers.at(0).spans(), ::testing::ElementsAre(Span{0, 700}));
  EXPECT_EQ(meter.traffic, 700);
  EXPECT_EQ(meter.doubt, 400);
  EXPECT_EQ(link.meters.flights(), 0);
}

TEST(Meters, OneTransferMayBeLostAndTheOthersGoOn) {
  TestLink link(2);
  const auto lost = link.admit(1000, {0, 1000});
  const auto other = link.admit(1000, {0, 1000});
  ASSERT_TRUE(lost && other);
  ASSERT_TRUE(link.meters.lease(*lost, 700) && link.meters.lease(*other, 400));
  link.meters.settle(*lost, 300);
  EXPECT_EQ(link.meters.lose(*lost), 0u);
  const Meter& meter = *link.meters.meters().front();
  EXPECT_EQ(meter.doubt, 400);
  EXPECT_EQ(meter.traffic, 700);
  EXPECT_EQ(link.meters.flights(), 1);
  EXPECT_EQ(link.meters.find(*lost), nullptr);
  link.meters.settle(*other, 400);
  EXPECT_EQ(meter.traffic, 1100);
}

TEST(Meters, ALostTransferOfAnEmptyFileIsACopy) {
  TestLink link(2);
  const auto lost = link.admit(0, {0, 0});
  ASSERT_TRUE(lost);
  EXPECT_EQ(link.meters.lose(*lost), 1u);
  EXPECT_EQ(link.meters.copies(), 1);
  EXPECT_FALSE(link.meters.has_doubt());
}

TEST(Meters, WhatIsResolvedMayNotBeFetchedOnceMore) {
  for (const bool is_resolved : {false, true}) {
    TestLink link(1);
    const auto flight = link.admit(1000, {0, 1000});
    ASSERT_TRUE(flight);
    ASSERT_TRUE(link.meters.lease(*flight, 1000));
    link.meters.crash();
    EXPECT_EQ(link.meters.copies(), 1);
    EXPECT_TRUE(link.meters.has_doubt());
    if (is_resolved) link.meters.resolve_doubt();
    EXPECT_EQ(link.meters.has_doubt(), !is_resolved);
    EXPECT_EQ(link.meters.copies(), 1);
    EXPECT_EQ(link.meters.counted(), 1);
    EXPECT_EQ(link.admit(1000, {0, 1000}).has_value(), !is_resolved);
  }
}

TEST(Meters, ACrashBeforeAnyLeaseLeavesNoDoubt) {
  TestLink link(1);
  ASSERT_TRUE(link.admit(1000, {0, 1000}));
  link.meters.crash();
  EXPECT_EQ(link.meters.traffic(), 0);
  EXPECT_EQ(link.meters.meters().front()->doubt, 0);
}

TEST(Meters, DoubtIsAtMostOneFileForEachTransferThatBrokeAndNeverMoreThanTheLimit) {
  const struct {
    Limit limit;
    std::uint64_t doubt;
  } kCases[] = {{1, 1000}, {2, 2000}, {3, 3000}, {9, 3000}, {std::nullopt, 3000}, {0, 3000}};
  for (const auto& c : kCases) {
    TestLink link(std::nullopt);
    for (int i = 0; i < 3; ++i) {
      const auto flight = link.admit(1000, {0, 1000});
      ASSERT_TRUE(flight);
      ASSERT_TRUE(link.meters.lease(*flight, 1000));
    }
    link.meters.set_limit(c.limit);
    link.meters.crash();
    EXPECT_EQ(link.meters.meters().front()->doubt, c.doubt);
    EXPECT_EQ(link.meters.copies(), 3);
  }
}

TEST(Meters, ACrashDropsTransfersFromBeforeAReset) {
  TestLink link(1);
  const auto flight = link.admit(1000, {0, 1000});
  ASSERT_TRUE(flight);
  ASSERT_TRUE(link.meters.lease(*flight, 1000));
  link.meters.reset();
  link.meters.crash();
  EXPECT_EQ(link.meters.flights(), 0);
  EXPECT_TRUE(link.meters.meters().empty());
}

// -- recovery -----------------------------------------------------------------------------------

TEST(Meters, GoOnNumberingAfterTheFlightsThatTheJournalNames) {
  TestLink link(3);
  link.meters.open(version(1), 100, {.id = 9, .last = 100});
  link.meters.open(version(1), 100, {.id = 4, .last = 100});
  EXPECT_EQ(link.meters.all_flights().front().id, 4);
  EXPECT_EQ(*link.admit(100, {0, 100}), 10);
}

TEST(Meters, AGrantNeverTakesBytesBackAndIgnoresAnEndedTransfer) {
  TestLink link(1);
  link.meters.open(version(1), 100, {.id = 1, .upto = 50, .last = 100});
  link.meters.grant(1, 40);
  EXPECT_EQ(link.meters.find(1)->upto, 50);
  link.meters.grant(1, 60);
  EXPECT_EQ(link.meters.find(1)->upto, 60);
  link.meters.grant(2, 60);
  EXPECT_EQ(link.meters.flights(), 1);
}

}  // namespace
}  // namespace tallygate::ledger
