// What customers, cheats and broken lines do, and what it costs the link.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/core/ledger/test_link.h"

namespace tallygate::ledger {
namespace {

using ::testing::ElementsAre;

constexpr std::uint64_t kSize = 640'000'000;
constexpr std::uint64_t k60Percent = kSize / 10 * 6;
constexpr std::uint64_t k90Percent = kSize / 10 * 9;

std::size_t count(const std::vector<Answer>& answers, Answer wanted) {
  return static_cast<std::size_t>(std::count(answers.begin(), answers.end(), wanted));
}

TEST(MeterScenario, AFullGetIsOneCopy) {
  TestLink link(1);
  EXPECT_EQ(link.get(kSize), Answer::ok);
  EXPECT_EQ(link.used(), 1);
  EXPECT_EQ(link.meters.traffic(), kSize);
}

TEST(MeterScenario, ASecondFullGetIsRefusedWhenOneCopyWasSold) {
  TestLink link(1);
  link.get(kSize);
  EXPECT_EQ(link.get(kSize), Answer::exhausted);
  EXPECT_EQ(link.used(), 1);
  EXPECT_EQ(link.meters.traffic(), kSize);
}

TEST(MeterScenario, SixteenSegmentsAreOneCopy) {
  TestLink link(1);
  for (std::uint64_t i = 0; i < 16; ++i) {
    EXPECT_EQ(link.get(kSize, {.first = kSize * i / 16, .last = kSize * (i + 1) / 16}), Answer::ok);
    EXPECT_EQ(link.used(), i == 15 ? 1 : 0);
  }
  EXPECT_EQ(link.meters.traffic(), kSize);
}

TEST(MeterScenario, TheSlicesOfACdnAreOneCopy) {
  constexpr std::uint64_t kSlice = 1'000'000;
  TestLink link(1);
  for (std::uint64_t at = 0; at < kSize; at += kSlice) {
    EXPECT_EQ(link.get(kSize, {.first = at, .last = at + kSlice}), Answer::ok);
  }
  EXPECT_EQ(link.used(), 1);
  EXPECT_EQ(link.meters.traffic(), kSize);
}

TEST(MeterScenario, ABreakAndAResumeAreOneCopy) {
  TestLink link(1);
  EXPECT_EQ(link.get(kSize, {.break_at = k90Percent}), Answer::ok);
  EXPECT_EQ(link.used(), 0);
  EXPECT_EQ(link.get(kSize, {.first = k90Percent}), Answer::ok);
  EXPECT_EQ(link.used(), 1);
  EXPECT_EQ(link.meters.traffic(), kSize);
}

TEST(MeterScenario, ABreakAndARestartAreOneCopy) {
  TestLink link(1);
  EXPECT_EQ(link.get(kSize, {.break_at = k90Percent}), Answer::ok);
  EXPECT_EQ(link.get(kSize), Answer::ok);
  EXPECT_EQ(link.used(), 1);
  EXPECT_EQ(link.meters.traffic(), kSize + k90Percent);
}

TEST(MeterScenario, TwoBreaksAndARestartAreOneCopy) {
  TestLink link(1);
  EXPECT_EQ(link.get(kSize, {.break_at = k60Percent}), Answer::ok);
  EXPECT_EQ(link.get(kSize, {.break_at = k60Percent}), Answer::ok);
  EXPECT_EQ(link.get(kSize), Answer::ok);
  EXPECT_EQ(link.used(), 1);
  EXPECT_EQ(link.meters.traffic(), kSize + 2 * k60Percent);
}

TEST(MeterScenario, AScannerThatPeeksCostsNoCopy) {
  TestLink link(1);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(link.get(kSize, {.break_at = 65536}), Answer::ok);
  EXPECT_EQ(link.used(), 0);
  EXPECT_EQ(link.get(kSize), Answer::ok);
  EXPECT_EQ(link.used(), 1);
  EXPECT_EQ(link.meters.traffic(), 640'327'680);
}

TEST(MeterScenario, ACheatWhoNeverTakesTheLastByteIsStoppedByTraffic) {
  TestLink link(1);
  std::vector<Answer> answers;
  for (int i = 0; i < 10; ++i) answers.push_back(link.get(kSize, {.last = kSize - 1}));
  EXPECT_EQ(count(answers, Answer::ok), 3);
  EXPECT_EQ(count(answers, Answer::traffic), 7);
  EXPECT_EQ(link.meters.copies(), 0);
  EXPECT_EQ(link.used(), 1);
  EXPECT_EQ(link.meters.traffic(), 3 * (kSize - 1));
}

TEST(MeterScenario, ACheatWhoNeverTakesTheFirstByteIsStoppedByTraffic) {
  TestLink link(3);
  std::vector<Answer> answers;
  for (int i = 0; i < 10; ++i) answers.push_back(link.get(kSize, {.first = 1}));
  EXPECT_EQ(count(answers, Answer::ok), 5);
  EXPECT_EQ(count(answers, Answer::traffic), 5);
  EXPECT_EQ(link.used(), 3);
  EXPECT_EQ(link.meters.traffic(), 5 * (kSize - 1));
}

TEST(MeterScenario, ACheatWhoNeverAcknowledgesIsStoppedByTraffic) {
  TestLink link(1);
  std::vector<Answer> answers;
  for (int i = 0; i < 100; ++i) answers.push_back(link.get(3000, {.unacknowledged = 3000}));
  EXPECT_EQ(count(answers, Answer::ok), 3);
  EXPECT_EQ(count(answers, Answer::traffic), 97);
  EXPECT_EQ(link.used(), 1);
  EXPECT_EQ(link.meters.traffic(), 9000);
}

TEST(MeterScenario, TheEndOfTheLastCopyMayBeReadAgain) {
  TestLink link(1);
  link.get(kSize);
  EXPECT_EQ(link.get(kSize, {.first = kSize - 30'000'000}), Answer::ok);
  EXPECT_EQ(link.used(), 1);
  EXPECT_EQ(link.meters.traffic(), 670'000'000);
}

TEST(MeterScenario, OfAHundredDownloadsSideBySideOnSevenCopiesSevenRun) {
  TestLink link(7);
  std::vector<std::uint32_t> flights;
  for (int i = 0; i < 100; ++i) {
    const auto flight = link.admit(kSize, {0, kSize});
    if (flight) {
      flights.push_back(*flight);
    } else {
      EXPECT_EQ(flight.error(), Refusal::busy);
    }
  }
  EXPECT_EQ(flights.size(), 7);
  for (std::uint64_t step = 1; step <= 10; ++step) {
    for (const std::uint32_t flight : flights) {
      ASSERT_TRUE(link.meters.lease(flight, kSize * step / 10));
      link.meters.settle(flight, kSize / 10);
    }
  }
  for (const std::uint32_t flight : flights) link.meters.close(flight, 0, true);
  EXPECT_EQ(link.used(), 7);
  EXPECT_EQ(link.meters.traffic(), 7 * kSize);
}

TEST(MeterScenario, SixteenOpenEndedSegmentsRunAtOnce) {
  TestLink link(1);
  for (std::uint64_t i = 0; i < 16; ++i) {
    EXPECT_TRUE(link.admit(kSize, {kSize * i / 16, kSize}));
  }
  EXPECT_EQ(link.used(), 0);
  EXPECT_EQ(link.meters.traffic(), 0);
}

TEST(MeterScenario, ReplacingTheFileGivesNoCopyBack) {
  TestLink link(1);
  link.get(kSize);
  EXPECT_EQ(link.get(kSize + 5, {.version_number = 2}), Answer::exhausted);
  EXPECT_EQ(link.used(), 1);
  EXPECT_EQ(link.meters.traffic(), kSize);
}

TEST(MeterScenario, AfterACrashTheCustomerFinishesFromWhereTheLineBroke) {
  TestLink link(1);
  const auto flight = link.admit(kSize, {0, kSize});
  ASSERT_TRUE(flight);
  ASSERT_TRUE(link.meters.lease(*flight, kSize / 2));
  link.meters.settle(*flight, kSize / 100 * 45);
  link.meters.crash();
  EXPECT_EQ(link.get(kSize, {.first = kSize / 100 * 45}), Answer::ok);
  EXPECT_EQ(link.used(), 1);
  EXPECT_EQ(link.meters.traffic(), kSize + 32'000'000);
}

TEST(MeterScenario, CrashAfterCrashGivesASmallFileTwiceAtMost) {
  TestLink link(1);
  std::vector<Answer> answers;
  for (int i = 0; i < 20; ++i) {
    const auto flight = link.admit(3000, {0, 3000});
    answers.push_back(flight ? Answer::ok : to_answer(flight.error()));
    if (flight) {
      EXPECT_TRUE(link.meters.lease(*flight, 3000));
    }
    link.meters.crash();
  }
  EXPECT_EQ(count(answers, Answer::ok), 2);
  EXPECT_EQ(count(answers, Answer::exhausted), 18);
  EXPECT_EQ(link.used(), 1);
  EXPECT_EQ(link.meters.traffic(), 6000);
}

TEST(MeterScenario, ThreeSmallDownloadsThatACrashBrokeAllBeginAgain) {
  TestLink link(3);
  for (int i = 0; i < 3; ++i) {
    const auto flight = link.admit(500'000, {0, 500'000});
    ASSERT_TRUE(flight);
    ASSERT_TRUE(link.meters.lease(*flight, 500'000));
  }
  link.meters.crash();
  EXPECT_EQ(link.used(), 3);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(link.get(500'000), Answer::ok);
  EXPECT_EQ(link.used(), 3);
  EXPECT_EQ(link.meters.traffic(), 3'000'000);
}

TEST(MeterScenario, TenVersionsOfTheFileShareOneBoundOfTraffic) {
  TestLink link(1);
  std::vector<Answer> answers;
  for (std::uint64_t v = 0; v < 10; ++v) {
    for (int i = 0; i < 3; ++i) {
      answers.push_back(link.get(kSize + v, {.last = kSize + v - 1, .version_number = v}));
    }
  }
  EXPECT_EQ(count(answers, Answer::traffic), 27);
  EXPECT_EQ(link.used(), 1);
  EXPECT_EQ(link.meters.traffic(), 3 * (kSize - 1));
}

TEST(MeterScenario, WasteGrowsWithTheLimit) {
  TestLink link(20);
  std::vector<Answer> answers;
  for (int i = 0; i < 20; ++i) {
    answers.push_back(link.get(kSize));
    answers.push_back(link.get(kSize, {.break_at = k60Percent}));
  }
  EXPECT_EQ(count(answers, Answer::traffic), 3);
  EXPECT_EQ(link.used(), 19);
  EXPECT_EQ(link.meters.traffic(), 19'072'000'000);
}

TEST(MeterScenario, AnAbandonedDownloadIsFinishedOnThreeConnectionsTheLastPartFirst) {
  TestLink link(1);
  link.get(kSize, {.break_at = k60Percent});
  std::vector<std::uint32_t> flights;
  for (std::uint64_t i = 0; i < 3; ++i) {
    const auto flight = link.admit(kSize, {kSize * i / 3, kSize * (i + 1) / 3});
    ASSERT_TRUE(flight);
    flights.push_back(*flight);
  }
  EXPECT_EQ(link.finish(flights[2]), Answer::ok);
  EXPECT_EQ(link.finish(flights[1]), Answer::ok);
  EXPECT_EQ(link.finish(flights[0]), Answer::ok);
  EXPECT_EQ(link.used(), 1);
  EXPECT_EQ(link.meters.traffic(), 1'024'000'000);
}

TEST(MeterScenario, ALimitThatFallsBelowTheCountRefusesAndOneThatRisesAdmitsAgain) {
  TestLink link(3);
  std::vector<Answer> answers{link.get(kSize)};
  link.meters.set_limit(1);
  answers.push_back(link.get(kSize));
  link.meters.set_limit(2);
  answers.push_back(link.get(kSize));
  answers.push_back(link.get(kSize));
  EXPECT_THAT(answers, ElementsAre(Answer::ok, Answer::exhausted, Answer::ok, Answer::exhausted));
  EXPECT_EQ(link.used(), 2);
  EXPECT_EQ(link.meters.traffic(), 2 * kSize);
}

TEST(MeterScenario, EachCompleteAnswerOfAnEmptyFileIsACopy) {
  TestLink link(2);
  std::vector<Answer> answers;
  for (int i = 0; i < 5; ++i) answers.push_back(link.get(0));
  EXPECT_EQ(count(answers, Answer::ok), 2);
  EXPECT_EQ(count(answers, Answer::exhausted), 3);
  EXPECT_EQ(link.used(), 2);
  EXPECT_EQ(link.meters.traffic(), 0);
}

}  // namespace
}  // namespace tallygate::ledger
