#include "server/shop/outbox.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/server/shop/fixture.h"

namespace tallygate::shop {
namespace {

class OutboxTest : public testing::Test {
 protected:
  OutboxTest() { reopen(); }
  void reopen(OutboxOptions options = {}) {
    outbox.reset();
    outbox = Outbox::open(file, clock, options).value();
  }
  Batch read(std::uint64_t seq) {
    auto batch = outbox->read(seq).value();
    EXPECT_TRUE(batch);
    return batch ? std::move(*batch) : Batch{};
  }
  void consume(std::vector<ledger::Event> events) { ASSERT_TRUE(outbox->consume(events)); }

  TempDir dir;
  std::filesystem::path file = dir / "outbox.db";
  ManualClock clock;
  std::unique_ptr<Outbox> outbox;
};

TEST_F(OutboxTest, KeepsItsEpochAndPositionAcrossARestart) {
  const auto epoch = outbox->epoch();
  EXPECT_NE(epoch, 0u);
  EXPECT_LT(epoch, std::uint64_t{1} << 63);
  consume({counted(5, "a", 1)});
  reopen();
  EXPECT_EQ(outbox->epoch(), epoch);
  EXPECT_EQ(outbox->consumed_seq(), 5u);
  EXPECT_TRUE(outbox->has_open_items());
  EXPECT_EQ(outbox->sealed_seq(), 0u);
  EXPECT_NE(Outbox::open(dir / "other.db", clock, {}).value()->epoch(), epoch);
}

TEST_F(OutboxTest, CopyIsWholeAndKnowsThatItIsOne) {
  consume({used(1, "a"), counted(2, "a", 3)});
  ASSERT_TRUE(outbox->seal());
  consume({counted(3, "a", 1)});
  EXPECT_EQ(Outbox::copy(file, dir / "copy.db").value(), 3u) << "beside the one that has it open";
  EXPECT_FALSE(std::filesystem::exists(dir / "copy.db-wal"));
  const auto copy = Outbox::open(dir / "copy.db", clock, {}).value();
  EXPECT_EQ(copy->lineage(), Lineage::backup);
  EXPECT_EQ(copy->epoch(), outbox->epoch());
  EXPECT_EQ(copy->consumed_seq(), 3u);
  EXPECT_TRUE(copy->has_open_items());
  EXPECT_EQ(copy->read(1).value()->counted, (std::vector<CountedCopies>{{"a", 0, 3}}));
  EXPECT_EQ(outbox->lineage(), Lineage::own);
  EXPECT_FALSE(Outbox::copy(file, dir / "copy.db")) << "nothing is written over";
  EXPECT_FALSE(Outbox::copy(dir / "absent.db", dir / "other.db"));
}

TEST_F(OutboxTest, ThatWasOvertakenRemembersIt) {
  ASSERT_TRUE(outbox->note_overtaken());
  EXPECT_EQ(outbox->lineage(), Lineage::overtaken);
  reopen();
  EXPECT_EQ(outbox->lineage(), Lineage::overtaken);
}

TEST_F(OutboxTest, BeginsAnewWithoutCountsAndWithWhatTheDatabaseLacksBesides) {
  for (const char* link : {"a", "b", "c"}) {
    const auto seq = outbox->consumed_seq();
    consume({used(seq + 1, link), counted(seq + 2, link, 1), ended(seq + 3, link, 0, 1'000'000, 1),
             blocked(seq + 4, link, ledger::Blocked::copies)});
    ASSERT_TRUE(outbox->seal());
  }
  ASSERT_TRUE(outbox->acknowledge(1));
  consume({counted(13, "d", 2)});
  EXPECT_EQ(outbox->unacknowledged().value(),
            (std::unordered_map<std::string, std::uint64_t>{{"b 0", 1}, {"c 0", 1}, {"d 0", 2}}));
  const auto epoch = outbox->epoch();
  const auto history = read(3).history;
  // The database was restored, and has less than it once had.
  for (const bool commit : {false, true}) {
    ASSERT_TRUE(outbox->begin_anew(0, 20));
    ASSERT_TRUE(outbox->restate({"a", std::nullopt, 2, 7, std::nullopt}));
    ASSERT_TRUE(outbox->restate({"e", "/e.flac", 0, 0, ledger::Blocked::traffic}));
    if (commit) {
      ASSERT_TRUE(outbox->commit_anew());
    }
    reopen();
    EXPECT_EQ(outbox->epoch() == epoch, !commit) << "all of it or nothing";
  }
  EXPECT_EQ(outbox->consumed_seq(), 20u);
  EXPECT_EQ(outbox->acknowledged_seq(), 0u);
  EXPECT_EQ(outbox->sealed_seq(), 4u);
  EXPECT_EQ(read(1).created.size(), 1u);
  EXPECT_EQ(read(2).blocked.size(), 1u);
  EXPECT_EQ(read(3).history.at(0).event_id, history.at(0).event_id);
  for (std::uint64_t seq = 1; seq <= 4; ++seq) EXPECT_TRUE(read(seq).counted.empty()) << seq;
  ASSERT_TRUE(outbox->seal());
  const auto restated = read(5);
  EXPECT_EQ(restated.counted, (std::vector<CountedCopies>{{"a", 2, 7}}));
  EXPECT_EQ(restated.created, (std::vector<CreatedRow>{{"e", "/e.flac"}}));
  EXPECT_EQ(restated.blocked, (std::vector<BlockedRow>{{"e", ledger::Blocked::traffic}}));
}

TEST_F(OutboxTest, BeginsAnewBehindADatabaseThatHasMore) {
  consume({used(1, "a"), counted(2, "a", 1)});
  ASSERT_TRUE(outbox->seal());
  ASSERT_TRUE(outbox->note_overtaken());
  ASSERT_TRUE(outbox->begin_anew(9, 2));
  ASSERT_TRUE(outbox->commit_anew());
  EXPECT_EQ(outbox->lineage(), Lineage::own);
  EXPECT_EQ(outbox->acknowledged_seq(), outbox->sealed_seq());
  EXPECT_FALSE(outbox->has_open_items());
  EXPECT_FALSE(outbox->read(1).value());
  consume({counted(3, "a", 1)});
  ASSERT_TRUE(outbox->seal());
  EXPECT_EQ(read(outbox->acknowledged_seq() + 1).counted,
            (std::vector<CountedCopies>{{"a", 0, 1}}));
}

TEST_F(OutboxTest, TakesEachEventOnceHoweverOftenItComes) {
  consume({counted(1, "a", 1), counted(2, "a", 2)});
  consume({counted(1, "a", 1), counted(2, "a", 2), counted(3, "a", 4)});
  reopen();
  consume({counted(2, "a", 2), counted(3, "a", 4)});
  ASSERT_TRUE(outbox->seal());
  EXPECT_EQ(read(1).counted, (std::vector<CountedCopies>{{"a", 0, 7}}));
}

TEST_F(OutboxTest, TakesAllEventsOfOneRecord) {
  consume({used(1, "a"), counted(1, "a", 1), ended(1, "a", 0, 1'000'000, 1),
           ended(1, "a", 0, 1'000'000, 1), blocked(1, "a", ledger::Blocked::copies)});
  ASSERT_TRUE(outbox->seal());
  const auto batch = read(1);
  EXPECT_EQ(batch.created, (std::vector<CreatedRow>{{"a", "/music/a.flac"}}));
  EXPECT_EQ(batch.counted, (std::vector<CountedCopies>{{"a", 0, 1}}));
  EXPECT_EQ(batch.blocked, (std::vector<BlockedRow>{{"a", ledger::Blocked::copies}}));
  EXPECT_EQ(batch.history.size(), 2u) << "events of one record have rows of their own";
}

TEST_F(OutboxTest, BatchIsSortedAndCoalesced) {
  consume({counted(1, "b", 1), counted(2, "a", 1, 1), counted(3, "a", 1, 0), counted(4, "b", 1),
           blocked(5, "b", ledger::Blocked::copies), blocked(6, "b", ledger::Blocked::none)});
  ASSERT_TRUE(outbox->seal());
  const auto batch = read(1);
  EXPECT_EQ(batch.counted, (std::vector<CountedCopies>{{"a", 0, 1}, {"a", 1, 1}, {"b", 0, 2}}));
  EXPECT_EQ(batch.blocked, (std::vector<BlockedRow>{{"b", ledger::Blocked::none}}));
}

TEST_F(OutboxTest, FolderLinkMakesTheRowOfTheFolderToo) {
  consume({used(1, "f:0123456789abcdef", "f"), used(2, "f:fedcba9876543210", "f")});
  ASSERT_TRUE(outbox->seal());
  std::vector<std::string> made;
  for (const auto& row : read(1).created) made.push_back(row.link_id);
  EXPECT_EQ(made, (std::vector<std::string>{"f", "f:0123456789abcdef", "f:fedcba9876543210"}));
}

TEST_F(OutboxTest, KnowsHowManyCopiesWait) {
  consume({counted(1, "a", 2), counted(2, "b", 3)});
  EXPECT_EQ(outbox->backlog().value().copies, 5u);
  ASSERT_TRUE(outbox->seal());
  consume({counted(3, "a", 7)});
  reopen();
  EXPECT_EQ(outbox->backlog().value().copies, 12u);
  ASSERT_TRUE(outbox->acknowledge(1));
  EXPECT_EQ(outbox->backlog().value().copies, 7u);
}

TEST_F(OutboxTest, WhenFullTakesCountsAndNoMoreHistory) {
  reopen({.bytes_max = 1});
  consume({counted(1, "a", 1), ended(2, "a", 0, 1'000'000, 1), counted(3, "a", 1)});
  ASSERT_TRUE(outbox->seal());
  EXPECT_EQ(read(1).counted, (std::vector<CountedCopies>{{"a", 0, 2}}));
  EXPECT_TRUE(read(1).history.empty());
  EXPECT_EQ(outbox->history_dropped(), 1u);
  EXPECT_EQ(outbox->consumed_seq(), 3u);
}

TEST_F(OutboxTest, WhenFullForgetsAcknowledgedBatchesBeforeItDropsHistory) {
  std::uint64_t seq = 0;
  for (; seq < 2000; ++seq) consume({ended(seq + 1, "link-" + std::to_string(seq), 0, 500'000)});
  ASSERT_TRUE(outbox->seal());
  ASSERT_TRUE(outbox->acknowledge(1));
  ASSERT_TRUE(outbox->acknowledge(2));
  reopen({.bytes_max = 100'000});
  consume({ended(seq + 1, "last", 0, 500'000)});
  EXPECT_FALSE(outbox->read(1).value()) << "not kept for its time";
  EXPECT_EQ(outbox->history_dropped(), 0u);
}

TEST_F(OutboxTest, SealedBatchNeverChanges) {
  consume({counted(1, "a", 1)});
  ASSERT_TRUE(outbox->seal());
  ASSERT_TRUE(outbox->seal());
  EXPECT_EQ(outbox->sealed_seq(), 1u) << "an empty batch is not sealed";
  consume({counted(2, "a", 2)});
  EXPECT_EQ(read(1).counted[0].copies, 1u);
  EXPECT_FALSE(outbox->read(2).value()) << "still open";
  ASSERT_TRUE(outbox->seal());
  EXPECT_EQ(read(2).counted[0].copies, 2u);
}

TEST_F(OutboxTest, BatchesOfALongOutageAreBounded) {
  std::vector<ledger::Event> events;
  for (std::uint64_t seq = 1; seq <= 2 * kBatchItemsMax + 1; ++seq) {
    events.push_back(counted(seq, "i" + std::to_string(seq), 1));
  }
  consume(events);
  EXPECT_EQ(outbox->sealed_seq(), 2u);
  EXPECT_EQ(outbox->backlog().value().batches, 3u);
  EXPECT_EQ(read(1).counted.size(), kBatchItemsMax);
  EXPECT_EQ(read(2).counted.size(), kBatchItemsMax);
}

TEST_F(OutboxTest, HistoryRowGrowsAcrossBatches) {
  consume({ended(1, "a", 0, 500'000)});
  ASSERT_TRUE(outbox->seal());
  consume({ended(2, "a", 500'000, 1'000'000, 1)});
  ASSERT_TRUE(outbox->seal());
  const auto before = read(1).history.at(0);
  const auto after = read(2).history.at(0);
  EXPECT_EQ(before.event_id, event_id(outbox->epoch(), 1, 0));
  EXPECT_EQ(after.event_id, before.event_id);
  EXPECT_EQ(before.outcome, ledger::Outcome::partial);
  EXPECT_EQ(after.outcome, ledger::Outcome::complete);
  EXPECT_EQ(after.bytes_sent, 1'000'000u);
  EXPECT_EQ(after.counted, 1u);
  EXPECT_EQ(after.client_ip, "192.0.2.1");
}

TEST_F(OutboxTest, RowThatWasOpenAtARestartIsNotJoined) {
  consume({ended(1, "a", 0, 500'000)});
  reopen();
  consume({ended(2, "a", 500'000, 1'000'000)});
  ASSERT_TRUE(outbox->seal());
  EXPECT_EQ(read(1).history.size(), 2u);
}

TEST_F(OutboxTest, EventsThatCouldNotBeStoredAreTakenWhenTheyComeAgain) {
  {
    Merchant other(file);
    other.execute("BEGIN IMMEDIATE");
    const auto failed = outbox->consume(std::vector{ended(1, "a", 0, 500'000)});
    ASSERT_FALSE(failed);
    EXPECT_TRUE(failed.error().retryable);
    other.execute("COMMIT");
  }
  EXPECT_EQ(outbox->consumed_seq(), 0u);
  EXPECT_FALSE(outbox->has_open_items());
  consume({ended(1, "a", 0, 500'000)});
  ASSERT_TRUE(outbox->seal());
  ASSERT_EQ(read(1).history.size(), 1u);
  EXPECT_EQ(read(1).history[0].bytes_sent, 500'000u) << "not joined with what was not stored";
}

TEST_F(OutboxTest, KeepsAcknowledgedBatchesForAWhile) {
  reopen({.keep_acknowledged = 100s});
  for (std::uint64_t seq = 1; seq <= 3; ++seq) {
    consume({used(seq, "a"), counted(seq, "a", 1), ended(seq, "a", 0, 10)});
    ASSERT_TRUE(outbox->seal());
  }
  ASSERT_TRUE(outbox->acknowledge(1));
  clock.advance(100s);
  ASSERT_TRUE(outbox->acknowledge(2));
  EXPECT_EQ(read(1).counted.size(), 1u) << "not yet older";
  clock.advance(1s);
  ASSERT_TRUE(outbox->acknowledge(3));
  EXPECT_FALSE(outbox->read(1).value());
  EXPECT_TRUE(outbox->read(2).value());
  EXPECT_EQ(outbox->acknowledged_seq(), 3u);
}

TEST_F(OutboxTest, BacklogSaysHowMuchWaitsAndSinceWhen) {
  EXPECT_EQ(outbox->backlog().value().batches, 0u);
  EXPECT_EQ(outbox->backlog().value().oldest_at, 0);
  const auto begun = clock.unix_now();
  consume({counted(1, "a", 1)});
  clock.advance(10s);
  ASSERT_TRUE(outbox->seal());
  consume({counted(2, "a", 1)});
  EXPECT_EQ(outbox->backlog().value().batches, 2u);
  EXPECT_EQ(outbox->backlog().value().oldest_at, begun);
  ASSERT_TRUE(outbox->acknowledge(1));
  const auto seen = Outbox::inspect(file).value();
  EXPECT_EQ(seen.batches, 1u);
  EXPECT_EQ(seen.oldest_at, begun + 10);
}

TEST_F(OutboxTest, RefusesAFileThatIsNotItsOwn) {
  const auto other = dir / "shop.db";
  ASSERT_TRUE(SqliteDatabase(other).create_schema());
  const auto opened = Outbox::open(other, clock, {});
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().text.find("not an outbox"), std::string::npos) << opened.error().text;

  outbox.reset();
  Merchant(file).execute("PRAGMA user_version = 2");
  EXPECT_NE(Outbox::open(file, clock, {}).error().text.find("format 2"), std::string::npos);

  std::ofstream(dir / "text.db") << std::string(5000, 'x');
  EXPECT_FALSE(Outbox::open(dir / "text.db", clock, {}));
  EXPECT_FALSE(Outbox::open(dir / "no/such/outbox.db", clock, {}));
  EXPECT_FALSE(Outbox::inspect(dir / "none.db"));
}

}  // namespace
}  // namespace tallygate::shop
