#include "core/shop/history.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace tallygate::shop {
namespace {

using ledger::Outcome;
using ledger::TransferEnded;

constexpr std::uint64_t kMiB = 1024 * 1024;

TransferEnded range(std::uint64_t first, std::uint64_t last, std::int64_t from = 1000,
                    std::int64_t until = 1010) {
  return {.started_at = from,
          .ended_at = until,
          .first = first,
          .last = last,
          .bytes_sent = last - first,
          .bytes_acked = last - first,
          .file_size = 10 * kMiB,
          .version = 1,
          .outcome = Outcome::partial,
          .client_ip = "192.0.2.1",
          .user_agent = "curl/8"};
}

TransferEnded whole(Outcome outcome = Outcome::complete) {
  auto ended = range(0, 10 * kMiB);
  ended.whole = true;
  ended.outcome = outcome;
  return ended;
}

class HistoryJoinerTest : public testing::Test {
 protected:
  HistoryRow add(const TransferEnded& ended, std::string_view link = "i1") {
    return joiner.add(event_id(7, ++seq, 0), link, ended);
  }
  HistoryJoiner joiner;
  std::uint64_t seq = 0;
};

TEST(EventId, DiffersInEveryPart) {
  std::set<EventId> ids;
  for (const std::uint64_t epoch : {0u, 1u, 256u}) {
    for (const std::uint64_t seq : {0u, 1u, 256u}) {
      for (const std::uint32_t ordinal : {0u, 1u, 256u}) ids.insert(event_id(epoch, seq, ordinal));
    }
  }
  EXPECT_EQ(ids.size(), 27u);
  EXPECT_EQ(event_id(1, 2, 3), event_id(1, 2, 3));
}

TEST(EventId, AscendsWithinAStream) {
  EventId last{};
  for (const std::uint64_t seq : {1u, 2u, 255u, 256u, 1u << 31}) {
    for (const std::uint32_t ordinal : {0u, 1u, 255u, 256u, (1u << 24) - 1}) {
      const auto next = event_id(~std::uint64_t{0}, seq, ordinal);
      EXPECT_GT(next, last) << seq << " " << ordinal;
      last = next;
    }
  }
}

TEST_F(HistoryJoinerTest, WholeFileIsOneCompleteRow) {
  auto ended = whole();
  ended.copies = 1;
  const auto row = add(ended);
  EXPECT_EQ(row.outcome, Outcome::complete);
  EXPECT_EQ(row.counted, 1u);
  EXPECT_EQ(row.event_id, event_id(7, 1, 0));
  EXPECT_EQ(row.link_id, "i1");
  EXPECT_EQ(row.client_ip, "192.0.2.1");
  EXPECT_EQ(joiner.open_rows(), 0u);
  EXPECT_NE(add(ended).event_id, row.event_id) << "a second download is a row of its own";
}

TEST_F(HistoryJoinerTest, WholeFileWhoseEndWasNeverAcknowledgedIsPartial) {
  EXPECT_EQ(add(whole(Outcome::partial)).outcome, Outcome::partial);
}

TEST_F(HistoryJoinerTest, EmptyFileIsComplete) {
  auto ended = whole();
  ended.last = ended.bytes_sent = ended.bytes_acked = ended.file_size = 0;
  EXPECT_EQ(add(ended).outcome, Outcome::complete);
}

TEST_F(HistoryJoinerTest, SixteenSegmentsInAnyOrderAreOneRow) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::vector<TransferEnded> segments;
  for (std::uint64_t i = 0; i < 16; ++i) {
    segments.push_back(range(i * 640 * 1024, (i + 1) * 640 * 1024));
  }
  std::ranges::shuffle(segments, std::mt19937(seed));
  segments.back().copies = 1;
  HistoryRow row;
  for (const auto& segment : segments) {
    EXPECT_NE(row.outcome, Outcome::complete);
    row = add(segment);
    EXPECT_EQ(row.event_id, event_id(7, 1, 0));
  }
  EXPECT_EQ(row.outcome, Outcome::complete);
  EXPECT_EQ(row.bytes_sent, 10 * kMiB);
  EXPECT_EQ(row.counted, 1u);
  EXPECT_EQ(joiner.open_rows(), 0u);
}

TEST_F(HistoryJoinerTest, JoinsUpToSixtySecondsAfterTheLastEnd) {
  const auto first = add(range(0, kMiB, 1000, 1010));
  const auto second = add(range(kMiB, 2 * kMiB, 1070, 1100));
  EXPECT_EQ(second.event_id, first.event_id);
  EXPECT_EQ(second.started_at, 1000);
  EXPECT_EQ(second.ended_at, 1100);
  EXPECT_EQ(second.bytes_sent, 2 * kMiB);
  EXPECT_NE(add(range(2 * kMiB, 3 * kMiB, 1161, 1162)).event_id, first.event_id);
}

TEST_F(HistoryJoinerTest, EndThatArrivesLaterThanAnotherOfItsRowDoesNotShortenTheRow) {
  add(range(0, kMiB, 1000, 5000));
  const auto row = add(range(kMiB, 2 * kMiB, 900, 1010));
  EXPECT_EQ(row.started_at, 900);
  EXPECT_EQ(row.ended_at, 5000);
}

TEST_F(HistoryJoinerTest, RepeatedRequestBeginsANewRow) {
  const auto first = add(range(0, 2 * kMiB));
  EXPECT_NE(add(range(0, 2 * kMiB)).event_id, first.event_id) << "repeated";
  const auto second = add(range(2 * kMiB, 3 * kMiB));
  EXPECT_EQ(second.event_id, event_id(7, 2, 0)) << "joins the newest row of its client";
}

TEST_F(HistoryJoinerTest, ResumeMayRepeatAtMostHalfOfItsBytes) {
  const auto first = add(range(0, 4 * kMiB));
  EXPECT_EQ(add(range(3 * kMiB, 5 * kMiB)).event_id, first.event_id) << "half of it";
  EXPECT_EQ(add(range(4 * kMiB - 1, 5 * kMiB)).event_id, event_id(7, 3, 0)) << "one byte more";
}

TEST_F(HistoryJoinerTest, ResumeMayRepeatAtMostAReceiveBuffer) {
  constexpr std::uint64_t kSize = 100 * kMiB;
  auto broken = range(0, 50 * kMiB);
  auto resumed = range(50 * kMiB - kRepeatedBytesMax, kSize);
  auto repeated = range(50 * kMiB - kRepeatedBytesMax - 1, kSize);
  for (auto* ended : {&broken, &resumed, &repeated}) ended->file_size = kSize;
  const auto first = add(broken);
  EXPECT_NE(add(repeated).event_id, first.event_id);
  const auto again = add(broken);
  const auto row = add(resumed);
  EXPECT_EQ(row.event_id, again.event_id);
  EXPECT_EQ(row.outcome, Outcome::complete);
}

TEST_F(HistoryJoinerTest, BytesThatNeverArrivedMayComeInTheSameRow) {
  auto broken = whole(Outcome::partial);
  broken.bytes_sent = 5 * kMiB;
  broken.bytes_acked = 4 * kMiB;
  const auto first = add(broken);
  EXPECT_EQ(first.outcome, Outcome::partial);
  const auto row = add(range(4 * kMiB, 10 * kMiB));
  EXPECT_EQ(row.event_id, first.event_id);
  EXPECT_EQ(row.outcome, Outcome::complete);
}

TEST_F(HistoryJoinerTest, OtherLinkVersionAddressOrAgentIsAnotherRow) {
  const auto first = add(range(0, kMiB));
  auto version = range(kMiB, 2 * kMiB);
  version.version = 2;
  auto address = range(kMiB, 2 * kMiB);
  address.client_ip = "192.0.2.2";
  auto agent = range(kMiB, 2 * kMiB);
  agent.user_agent = "Wget";
  for (const auto& other : {version, address, agent}) {
    EXPECT_NE(add(other).event_id, first.event_id);
  }
  EXPECT_NE(add(range(kMiB, 2 * kMiB), "i2").event_id, first.event_id);
  EXPECT_EQ(add(range(kMiB, 2 * kMiB)).event_id, first.event_id);
}

TEST_F(HistoryJoinerTest, SmallTransferIsAProbeUnlessMoreFollows) {
  EXPECT_EQ(add(range(0, kProbeBytesMax)).outcome, Outcome::probe);
  EXPECT_EQ(add(range(kProbeBytesMax, kProbeBytesMax + 1)).outcome, Outcome::partial) << "joined";
  EXPECT_EQ(add(range(0, kProbeBytesMax + 1)).outcome, Outcome::partial) << "one byte too many";
  auto small = whole();
  small.last = small.bytes_sent = small.bytes_acked = small.file_size = 1000;
  EXPECT_EQ(add(small).outcome, Outcome::complete) << "all of a small file";
}

TEST_F(HistoryJoinerTest, TransfersWithoutBytesJoinAndCoverNothing) {
  auto nothing = range(0, kMiB);
  nothing.bytes_sent = nothing.bytes_acked = 0;
  const auto first = add(nothing);
  EXPECT_EQ(first.outcome, Outcome::probe);
  EXPECT_EQ(add(nothing).outcome, Outcome::partial);
  EXPECT_EQ(add(range(0, 10 * kMiB)).outcome, Outcome::complete);
}

TEST_F(HistoryJoinerTest, RefusalStandsAlone) {
  const auto first = add(range(0, kMiB));
  auto refused = range(kMiB, 2 * kMiB);
  refused.outcome = Outcome::refused;
  refused.bytes_sent = refused.bytes_acked = 0;
  const auto row = add(refused);
  EXPECT_EQ(row.outcome, Outcome::refused);
  EXPECT_NE(row.event_id, first.event_id);
  EXPECT_EQ(add(range(kMiB, 2 * kMiB)).event_id, first.event_id);
}

TEST_F(HistoryJoinerTest, UserAgentIsMadePrintable) {
  auto ended = whole();
  ended.user_agent = std::string("a\0b\x1b[31m\xff ~", 11);
  EXPECT_EQ(add(ended).user_agent, "a?b?[31m? ~");
}

TEST_F(HistoryJoinerTest, KeepsABoundedNumberOfOpenRows) {
  const auto oldest = add(range(0, kMiB), "oldest");
  const auto second = add(range(0, kMiB), "second");
  add(range(kMiB, 2 * kMiB), "oldest");  // grew again: "second" goes first
  for (std::size_t i = 0; i + 1 < kOpenRowsMax; ++i) {
    add(range(0, kMiB), "i" + std::to_string(i));
  }
  EXPECT_EQ(joiner.open_rows(), kOpenRowsMax);
  EXPECT_EQ(add(range(2 * kMiB, 3 * kMiB), "oldest").event_id, oldest.event_id);
  EXPECT_NE(add(range(2 * kMiB, 3 * kMiB), "second").event_id, second.event_id);
}

TEST_F(HistoryJoinerTest, KeepsABoundedNumberOfSpans) {
  EventId last_row{};
  std::size_t rows = 0;
  for (std::uint64_t i = 0; i < 2 * kSpansMax; ++i) {
    const auto row = add(range(2 * i * 1000, (2 * i + 1) * 1000));
    if (row.event_id != last_row) ++rows;
    last_row = row.event_id;
  }
  EXPECT_EQ(rows, 2u);
}

TEST_F(HistoryJoinerTest, ClearedJoinerBeginsNewRows) {
  const auto first = add(range(0, kMiB));
  joiner.clear();
  EXPECT_NE(add(range(kMiB, 2 * kMiB)).event_id, first.event_id);
}

}  // namespace
}  // namespace tallygate::shop
