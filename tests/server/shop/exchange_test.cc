#include "server/shop/exchange.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "tests/server/shop/faulty_database.h"
#include "tests/server/shop/fixture.h"

namespace tallygate::shop {
namespace {

// One edge: its directory outlives its process.
struct EdgeProcess {
  EdgeProcess(const std::filesystem::path& outbox_file, const std::filesystem::path& shop_file,
              const Clock& clock, FakeLedger& ledger, std::string edge_id, bool makes_rows = true,
              std::chrono::seconds keep_history = 0s)
      : outbox(Outbox::open(outbox_file, clock, {}).value()),
        real(shop_file, makes_rows),
        database(real),
        exchange(*outbox, database, ledger, clock,
                 {.edge_id = std::move(edge_id), .keep_history = keep_history}) {}

  std::unique_ptr<Outbox> outbox;
  SqliteDatabase real;
  FaultyDatabase database;
  Exchange exchange;
};

class ExchangeTest : public testing::Test {
 protected:
  void start(const std::string& edge_id = "edge-1") {
    edge.reset();
    edge = std::make_unique<EdgeProcess>(dir / "outbox.db", file, clock, ledger, edge_id, true,
                                         keep_history);
  }
  void crash() { start(); }
  void consume(std::vector<ledger::Event> events) { ASSERT_TRUE(edge->outbox->consume(events)); }
  void seal() { ASSERT_TRUE(edge->outbox->seal()); }
  // Lets a second pass and does all that is due then.
  void turn() {
    clock.advance(1s);
    for (int i = 0; i < 100 && edge->exchange.turn(); ++i) {
    }
  }
  Merchant& merchant() {
    if (!merchant_) merchant_.emplace(file);
    return *merchant_;
  }
  std::string used(const std::string& link_id = "a") {
    return merchant().one("SELECT used FROM tg_link WHERE link_id = '" + link_id + "'");
  }
  Status status() { return edge->exchange.status(); }

  TempDir dir;
  std::filesystem::path file = dir / "shop.db";
  std::chrono::seconds keep_history{0};
  ManualClock clock;
  FakeLedger ledger;
  std::unique_ptr<EdgeProcess> edge;
  std::optional<Merchant> merchant_;
};

ledger::Event use(std::uint64_t seq, std::string link, std::string parent = {}) {
  return shop::used(seq, std::move(link), std::move(parent));
}

TEST_F(ExchangeTest, FirstUseMakesTheRowAndCountsAndHistoryFollow) {
  start();
  consume({use(1, "a"), counted(2, "a", 1), ended(2, "a", 0, 1'000'000, 1)});
  turn();
  EXPECT_EQ(merchant().rows("SELECT link_id, file_id, max_copies, used, state FROM tg_link"),
            std::vector<std::string>{"a|/music/a.flac|NULL|1|0"});
  EXPECT_EQ(merchant().rows("SELECT link_id, edge_id, bytes_sent, outcome, counted, client_ip"
                            " FROM tg_download"),
            std::vector<std::string>{"a|edge-1|1000000|0|1|192.0.2.1"});
  EXPECT_TRUE(ledger.acknowledged.contains("a"));
  EXPECT_TRUE(status().reachable);
  EXPECT_EQ(status().batches_waiting, 0u);
  EXPECT_EQ(status().last_push_at, clock.unix_now());
  EXPECT_EQ(status().last_error, "");
}

TEST_F(ExchangeTest, RowThatTheShopMadeBeforeIsHeard) {
  ASSERT_TRUE(SqliteDatabase(file).create_schema());
  merchant().execute("INSERT INTO tg_link(link_id, max_copies, state) VALUES('a', 5, 3)");
  ledger.knows_all = false;
  start();
  turn();
  EXPECT_TRUE(ledger.words.empty()) << "nobody used it yet";
  ledger.known = {"a"};
  consume({use(1, "a")});
  turn();
  EXPECT_EQ(ledger.word("a").state, State::revoked);
  EXPECT_EQ(ledger.word("a").max_copies, 5);
}

TEST_F(ExchangeTest, CrashAtAnyStepLosesNothingAndCountsNothingTwice) {  // S3
  const std::vector events = {use(1, "a"), counted(2, "a", 1), ended(3, "a", 0, 1'000'000, 1)};
  // What was done before the process died.
  const std::function<void()> steps[] = {
      [&] {},
      [&] { consume(events); },
      [&] { consume(events), seal(); },
      [&] { consume(events), edge->database.refuse_pushes = 1, turn(); },
      [&] { consume(events), edge->database.lose_answers = 1, turn(); },
      [&] { consume(events), ledger.durable = false, turn(); },
      [&] { consume(events), edge->database.duplicate_pushes = 1, turn(); },
      [&] { consume(events), turn(); },
  };
  for (std::size_t i = 0; i < std::size(steps); ++i) {
    SCOPED_TRACE(i);
    merchant_.reset();
    for (const char* name : {"shop.db", "outbox.db"}) {
      for (const char* suffix : {"", "-wal", "-shm"}) {
        std::filesystem::remove(dir / (std::string(name) + suffix));
      }
    }
    ledger.acknowledged.clear();
    start();
    turn();
    steps[i]();
    ledger.durable = true;
    crash();
    consume(events);  // the ledger replays its journal
    turn();
    EXPECT_EQ(used(), "1");
    EXPECT_EQ(merchant().one("SELECT count(*), sum(counted) FROM tg_download"), "1|1");
    EXPECT_EQ(merchant().one("SELECT last_seq FROM tg_edge"), "1");
    EXPECT_TRUE(ledger.acknowledged.contains("a"));
    EXPECT_EQ(status().batches_waiting, 0u);
  }
}

TEST_F(ExchangeTest, EveryBatchSentTwiceCountsOnce) {
  start();
  edge->database.duplicate_pushes = 1000;
  for (std::uint64_t seq = 1; seq <= 20; ++seq) {
    consume({use(seq, "a"), counted(seq, "a", 1)});
    turn();
  }
  EXPECT_EQ(used(), "20");
}

TEST_F(ExchangeTest, LostAnswerIsNoticedAfterReconnecting) {  // S2
  start();
  turn();
  consume({use(1, "a"), counted(2, "a", 1)});
  edge->database.lose_answers = 1;
  turn();
  EXPECT_EQ(used(), "1");
  EXPECT_FALSE(status().reachable);
  EXPECT_EQ(status().batches_waiting, 1u);
  turn();
  EXPECT_TRUE(status().reachable);
  EXPECT_EQ(status().batches_waiting, 0u);
  EXPECT_EQ(used(), "1");
}

TEST_F(ExchangeTest, MerchantsEditReachesTheLedgerAtTheNextPoll) {
  start();
  consume({use(1, "a"), counted(2, "a", 3)});
  turn();
  merchant().execute("UPDATE tg_link SET max_copies = 5, expires_at = 99, state = 2");
  turn();
  EXPECT_EQ(ledger.word("a"), (Word{.max_copies = 5, .expires_at = 99, .state = State::refunded}));
  EXPECT_EQ(merchant().one("SELECT count(*) FROM tg_dirty"), "0");

  merchant().execute("UPDATE tg_link SET used = 0, reset_gen = reset_gen + 1, state = 0");
  turn();
  EXPECT_EQ(ledger.word("a").reset_gen, 1u);
  EXPECT_EQ(ledger.word("a").state, State::active);
}

TEST_F(ExchangeTest, MarksStayUntilTheLedgerHasWrittenThemDown) {
  start();
  consume({use(1, "a")});
  turn();
  ledger.durable = false;
  merchant().execute("UPDATE tg_link SET state = 3");
  turn();
  EXPECT_EQ(merchant().one("SELECT count(*) FROM tg_dirty"), "1");
  EXPECT_NE(status().last_error, "");
  ledger.durable = true;
  turn();
  turn();
  EXPECT_EQ(merchant().one("SELECT count(*) FROM tg_dirty"), "0");
}

TEST_F(ExchangeTest, MoreChangesThanAPageAllArrive) {
  start();
  turn();
  merchant().execute(
      "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 2500)"
      " INSERT INTO tg_link(link_id, max_copies) SELECT 'i' || i, i FROM n");
  turn();
  EXPECT_EQ(ledger.words.size(), 2500u);
  EXPECT_EQ(merchant().one("SELECT count(*) FROM tg_dirty"), "0");
}

TEST_F(ExchangeTest, ResetIsNotEatenByCountsMeasuredBeforeIt) {
  start();
  consume({use(1, "a"), counted(2, "a", 3)});
  turn();
  edge->database.away = true;
  consume({counted(3, "a", 2)});
  turn();
  merchant().execute("UPDATE tg_link SET used = 0, reset_gen = reset_gen + 1");
  edge->database.away = false;
  turn();
  EXPECT_EQ(used(), "0");
  EXPECT_EQ(merchant().one("SELECT total FROM tg_edge_count"), "5");
  consume({counted(4, "a", 1, 1)});
  turn();
  EXPECT_EQ(used(), "1");
  EXPECT_EQ(ledger.word("a").used_elsewhere, 0u);
}

TEST_F(ExchangeTest, RowThatIsDeletedIsGoneAndStaysGone) {
  start();
  consume({use(1, "a")});
  turn();
  ASSERT_TRUE(ledger.acknowledged.contains("a"));
  merchant().execute("DELETE FROM tg_link");
  turn();
  EXPECT_TRUE(ledger.gone.contains("a"));
  consume({counted(2, "a", 1)});
  turn();
  EXPECT_EQ(used(), "no row");
  EXPECT_EQ(merchant().one("SELECT total FROM tg_edge_count"), "1");
  EXPECT_EQ(status().batches_waiting, 0u);
}

TEST_F(ExchangeTest, RowDeletedBeforeItsCreationWasAcknowledgedIsHeardOfInOrder) {
  start();
  turn();
  consume({use(1, "a")});
  edge->database.lose_answers = 1;
  turn();
  EXPECT_FALSE(ledger.acknowledged.contains("a"));
  merchant().execute("DELETE FROM tg_link");
  turn();
  EXPECT_TRUE(ledger.acknowledged.contains("a"));
  EXPECT_TRUE(ledger.gone.contains("a"));
  EXPECT_FALSE(ledger.words.contains("a"));
  EXPECT_EQ(used(), "no row") << "the batch is not applied again";
}

TEST_F(ExchangeTest, EditsWhileTheEdgeWasDownAreHeardAtItsStart) {
  start();
  consume({use(1, "a"), use(1, "b"), use(1, "c")});
  turn();
  edge.reset();
  merchant().execute(
      "UPDATE tg_link SET state = 3 WHERE link_id = 'a';"
      "DELETE FROM tg_link WHERE link_id = 'b';"
      "DROP TRIGGER tg_link_updated;"
      "UPDATE tg_link SET state = 2 WHERE link_id = 'c'");
  start();
  turn();
  EXPECT_EQ(ledger.word("a").state, State::revoked);
  EXPECT_TRUE(ledger.gone.contains("b"));
  EXPECT_EQ(ledger.word("c").state, State::refunded) << "found by the scan, without a mark";
}

TEST_F(ExchangeTest, FileThatWasThereOnceIsNotMadeAnew) {
  start();
  turn();
  EXPECT_TRUE(status().reachable);
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(file.string() + suffix);
  turn();
  crash();
  turn();
  EXPECT_FALSE(status().reachable) << "nothing was pushed, and all the same";
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST_F(ExchangeTest, RowsDeletedBehindTheTriggersAreFoundByTheScan) {
  start();
  consume({use(1, "a"), use(1, "b")});
  turn();
  EXPECT_NE(status().last_scan_at, 0);
  merchant().execute("DROP TRIGGER tg_link_deleted; DELETE FROM tg_link WHERE link_id = 'b'");
  turn();
  EXPECT_TRUE(ledger.gone.empty());
  clock.advance(2h);
  turn();
  EXPECT_EQ(ledger.gone, std::set<std::string>{"b"});
}

TEST_F(ExchangeTest, RowsChangedBehindTheTriggersAreFoundByTheRollingScan) {
  start();
  consume({use(1, "a")});
  turn();
  merchant().execute("DROP TRIGGER tg_link_updated; UPDATE tg_link SET state = 3");
  turn();
  EXPECT_EQ(ledger.word("a").state, State::active);
  clock.advance(1h);
  turn();
  EXPECT_EQ(ledger.word("a").state, State::revoked);
}

TEST_F(ExchangeTest, YesterdaysDatabaseIsSentWhatItMisses) {  // S6
  const auto put_back = [&](bool in_place) {
    if (in_place) {
      merchant().restore_from(dir / "yesterday.db");
      return;
    }
    merchant_.reset();
    for (const char* suffix : {"", "-wal", "-shm"}) {
      std::filesystem::remove(file.string() + suffix);
    }
    std::filesystem::copy(dir / "yesterday.db", file);
  };
  start();
  consume({use(1, "a"), counted(2, "a", 3), ended(2, "a", 0, 500'000)});
  turn();
  merchant().backup_to(dir / "yesterday.db");
  consume(
      {use(3, "b"), counted(4, "a", 2), counted(5, "b", 1), ended(6, "a", 500'000, 1'000'000, 1)});
  turn();
  for (const bool in_place : {true, false}) {
    SCOPED_TRACE(in_place);
    put_back(in_place);
    for (int i = 0; i < 3; ++i) turn();
    EXPECT_EQ(used("a"), "5");
    EXPECT_EQ(used("b"), "1");
    EXPECT_EQ(merchant().rows("SELECT bytes_sent, outcome, counted FROM tg_download"),
              std::vector<std::string>{"1000000|0|1"});
    EXPECT_EQ(merchant().one("SELECT sum(total) FROM tg_edge_count"), "6");
    EXPECT_EQ(ledger.word("a").used_elsewhere, 0u);
    EXPECT_TRUE(status().reachable);
    EXPECT_EQ(status().alarm, "");
  }
}

TEST_F(ExchangeTest, BatchThatIsNotKeptAnyMoreRaisesTheAlarmUntilAnOperatorActs) {
  start();
  consume({use(1, "a"), counted(2, "a", 3)});
  turn();
  clock.advance(8 * 24h);
  consume({counted(3, "a", 1)});
  turn();
  consume({counted(4, "a", 1)});
  turn();
  ASSERT_FALSE(edge->outbox->read(1).value());
  merchant().execute("UPDATE tg_edge SET last_seq = 0");
  consume({counted(5, "a", 1)});
  turn();
  turn();
  EXPECT_NE(status().alarm.find("lacks batch 1 of edge edge-1"), std::string::npos);
  EXPECT_EQ(status().batches_waiting, 1u);
  EXPECT_EQ(used(), "5");
  merchant().execute("UPDATE tg_link SET state = 3");
  turn();
  EXPECT_EQ(ledger.word("a").state, State::revoked) << "the shop is still heard";

  merchant().execute("UPDATE tg_edge SET last_seq = 3");
  turn();
  EXPECT_EQ(status().alarm, "");
  EXPECT_EQ(used(), "6");
}

TEST_F(ExchangeTest, DatabaseThatIsAheadOfTheOutboxRaisesTheAlarm) {
  start();
  consume({use(1, "a"), counted(2, "a", 3)});
  turn();
  merchant().execute("UPDATE tg_edge SET last_seq = 7");
  crash();
  consume({counted(3, "a", 1)});
  turn();
  EXPECT_NE(status().alarm.find("has batch 7"), std::string::npos) << status().alarm;
  EXPECT_EQ(used(), "3");
  EXPECT_TRUE(status().reachable);
  EXPECT_TRUE(status().overtaken);
  // This edge goes on counting: its batches must not take the places of those that it lacks.
  std::vector<ledger::Event> more;
  for (std::uint64_t seq = 4; seq < 10'004; ++seq) more.push_back(ended(seq, "b", 0, 1));
  ASSERT_TRUE(edge->outbox->consume(more));
  ASSERT_GT(edge->outbox->sealed_seq(), 7u);
  turn();
  EXPECT_TRUE(status().overtaken);
  crash();
  turn();
  EXPECT_TRUE(status().overtaken);
  EXPECT_EQ(edge->outbox->lineage(), Lineage::overtaken);
  EXPECT_EQ(used(), "3");
}

TEST_F(ExchangeTest, BatchThatAnotherServerSentInOurNameIsNotTakenForOurs) {  // S9
  start();
  consume({use(1, "a"), counted(2, "a", 3)});
  turn();
  EXPECT_EQ(used(), "3");
  consume({counted(3, "a", 1)});
  ASSERT_TRUE(edge->outbox->seal());
  merchant().execute("UPDATE tg_edge SET last_seq = last_seq + 1");
  turn();
  EXPECT_TRUE(status().overtaken);
  EXPECT_EQ(edge->outbox->acknowledged_seq(), 1u) << "its counts are still to be told";
  turn();
  EXPECT_TRUE(status().overtaken);
  EXPECT_EQ(edge->outbox->lineage(), Lineage::overtaken);
}

TEST_F(ExchangeTest, MissingDatabaseIsMadeAtTheFirstStartAndNeverLater) {
  const auto away = dir / "away.db";
  start();
  consume({use(1, "a"), counted(2, "a", 1)});
  turn();
  merchant_.reset();
  edge->real.close();
  std::filesystem::rename(file, away);
  consume({counted(3, "a", 1)});
  turn();
  turn();
  EXPECT_FALSE(status().reachable);
  EXPECT_NE(status().last_error.find("no such file"), std::string::npos) << status().last_error;
  EXPECT_FALSE(std::filesystem::exists(file));
  EXPECT_EQ(status().batches_waiting, 1u);
  EXPECT_EQ(edge->exchange.look_up(std::vector<std::string>{"a"})[0].kind,
            LookUp::Kind::unavailable);
  crash();
  turn();
  EXPECT_FALSE(std::filesystem::exists(file));
  std::filesystem::rename(away, file);
  turn();
  EXPECT_TRUE(status().reachable);
  EXPECT_EQ(used(), "2");
}

TEST_F(ExchangeTest, RetriesAtLeastEveryTwoSecondsWhileTheDatabaseIsAway) {
  file = dir / "later/shop.db";
  start();
  for (int i = 0; i < 20; ++i) {
    turn();
    EXPECT_FALSE(status().reachable);
    EXPECT_LE(edge->exchange.next_turn(), clock.steady_now() + 2s);
    EXPECT_GT(edge->exchange.next_turn(), clock.steady_now());
  }
  std::filesystem::create_directory(dir / "later");
  turn();
  turn();
  EXPECT_TRUE(status().reachable);
}

TEST_F(ExchangeTest, AnotherWritersLockDelaysPushesButNotAnswers) {
  start();
  consume({use(1, "a")});
  turn();
  consume({counted(2, "a", 1)});
  merchant().execute("BEGIN IMMEDIATE");
  turn();
  EXPECT_TRUE(status().reachable);
  EXPECT_NE(status().last_error.find("locked"), std::string::npos) << status().last_error;
  EXPECT_EQ(edge->exchange.look_up(std::vector<std::string>{"a"})[0].kind, LookUp::Kind::found);
  merchant().execute("COMMIT");
  turn();
  EXPECT_EQ(status().last_error, "");
  EXPECT_EQ(used(), "1");
}

TEST_F(ExchangeTest, LookUpTellsFoundFromNoRow) {
  start();
  turn();
  merchant().execute(
      "INSERT INTO tg_link(link_id, max_copies, used) VALUES('a', 3, 1), ('c', 4, 0)");
  const auto found = edge->exchange.look_up(std::vector<std::string>{"c", "b", "a"});
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].kind, LookUp::Kind::found);
  EXPECT_EQ(found[0].word.max_copies, 4);
  EXPECT_EQ(found[1].kind, LookUp::Kind::no_row);
  EXPECT_EQ(found[2].word.max_copies, 3);
  EXPECT_EQ(found[2].word.used_elsewhere, 1u);
}

TEST_F(ExchangeTest, ChangeBetweenALookUpAndTheLedgersKnowingIsNotMissed) {
  ledger.knows_all = false;
  start();
  turn();
  merchant().execute("INSERT INTO tg_link(link_id) VALUES('a'), ('unused')");
  turn();
  EXPECT_EQ(edge->exchange.look_up(std::vector<std::string>{"a"})[0].word.state, State::active);
  merchant().execute("UPDATE tg_link SET state = 3");
  turn();
  ledger.known = {"a"};  // only now did the worker tell the ledger what the look-up said
  turn();
  EXPECT_EQ(ledger.word("a").state, State::revoked);
  EXPECT_EQ(merchant().one("SELECT count(*) FROM tg_dirty"), "0");
}

TEST_F(ExchangeTest, MarkOfALinkThatWasLookedUpAndNeverUsedIsDroppedInTheEnd) {
  ledger.knows_all = false;
  start();
  turn();
  merchant().execute("INSERT INTO tg_link(link_id) VALUES('a')");
  EXPECT_EQ(edge->exchange.look_up(std::vector<std::string>{"a"}).size(), 1u);
  for (int i = 0; i < 7; ++i) turn();
  EXPECT_EQ(merchant().one("SELECT count(*) FROM tg_dirty"), "0");
}

TEST_F(ExchangeTest, OperatorsEditIsKnownToTheLedgerWhenItReturns) {
  start();
  consume({use(1, "a")});
  turn();
  EXPECT_TRUE(edge->exchange.edit("a", {.max_copies = 9, .state = State::revoked}).value());
  EXPECT_EQ(ledger.word("a"), (Word{.max_copies = 9, .state = State::revoked}));
  EXPECT_FALSE(edge->exchange.edit("b", {.reset = true}).value());
  EXPECT_TRUE(edge->exchange.edit("b", {.reset = true, .create = true}).value());
  EXPECT_EQ(ledger.word("b").reset_gen, 1u);
  edge->database.away = true;
  EXPECT_FALSE(edge->exchange.edit("a", {.reset = true}));
}

TEST_F(ExchangeTest, TwoEdgesOnOneDatabaseSeeEachOthersCopies) {
  FakeLedger second_ledger;
  start();
  EdgeProcess second(dir / "outbox-2.db", file, clock, second_ledger, "edge-2");
  consume({use(1, "a"), counted(2, "a", 2)});
  turn();
  ASSERT_TRUE(second.outbox->consume(std::vector{use(1, "a"), counted(2, "a", 1)}));
  while (second.exchange.turn()) {
  }
  turn();
  EXPECT_EQ(used(), "3");
  EXPECT_EQ(ledger.word("a").used_elsewhere, 1u);
  EXPECT_EQ(second_ledger.word("a").used_elsewhere, 2u);
  EXPECT_EQ(effective_limit(ledger.word("a"), 7), 6u);
}

TEST_F(ExchangeTest, FolderLinkHasTwoRowsThatCombine) {
  start();
  consume({use(1, "f:0123456789abcdef", "f"), counted(2, "f:0123456789abcdef", 1)});
  turn();
  EXPECT_EQ(merchant().rows("SELECT link_id, used FROM tg_link ORDER BY link_id"),
            (std::vector<std::string>{"f|0", "f:0123456789abcdef|1"}));
  merchant().execute("UPDATE tg_link SET state = 1, max_copies = 4 WHERE link_id = 'f'");
  turn();
  const auto word = combine(ledger.word("f:0123456789abcdef"), ledger.word("f"));
  EXPECT_EQ(word.state, State::held);
  EXPECT_EQ(word.max_copies, 4);
}

TEST_F(ExchangeTest, RefusedItemIsReportedAndTheRestIsPushed) {  // S7
  start();
  turn();
  merchant().execute(
      "CREATE TRIGGER mine BEFORE INSERT ON tg_link WHEN NEW.link_id = 'no'"
      " BEGIN SELECT RAISE(ABORT, 'not here'); END");
  consume({use(1, "no"), use(1, "yes"), counted(2, "no", 1), counted(2, "yes", 1)});
  turn();
  EXPECT_EQ(used("yes"), "1");
  EXPECT_EQ(status().parked, 1u);
  EXPECT_EQ(status().last_parked, "no: not here");
}

// A whole life of an edge and a shop by chance: downloads, resets, lost answers, crashes, outages
// and restored backups. In the end the shop's sums are those of the events.
// -- the history's age

class ExchangePrunes : public ExchangeTest {
 protected:
  // Whole downloads that ended so long ago, a row each.
  void download(unsigned count, std::chrono::seconds ago) {
    for (unsigned i = 0; i < count; ++i) {
      ledger::Event event = ended(++seq, "a", 0, 1'000'000, 1);
      auto& what = std::get<ledger::TransferEnded>(event.what);
      what.started_at = what.ended_at = clock.unix_now() - ago.count();
      consume({use(seq, "a"), counted(seq, "a", 1), event});
    }
  }
  std::string rows() { return merchant().one("SELECT count(*) FROM tg_download"); }

  std::uint64_t seq = 0;
};

TEST_F(ExchangePrunes, NothingUnlessItIsTold) {
  start();
  download(3, 24h * 4000);
  for (int i = 0; i < 5; ++i) turn();
  EXPECT_EQ(rows(), "3");
  EXPECT_EQ(edge->database.prune_calls, 0);
}

TEST_F(ExchangePrunes, WhatIsTooOldInSmallPiecesAndNoCount) {
  start();
  download(1200, 48h);
  download(300, 1h);
  for (int i = 0; i < 5; ++i) turn();
  ASSERT_EQ(rows(), "1500");
  keep_history = 24h;
  start();
  for (const char* left : {"1000", "500", "300", "300"}) {
    turn();
    EXPECT_EQ(rows(), left);
  }
  EXPECT_EQ(used(), "1500");
  EXPECT_EQ(merchant().one("SELECT sum(total) FROM tg_edge_count"), "1500");
  clock.advance(24h);
  turn();
  EXPECT_EQ(rows(), "0");
  EXPECT_EQ(used(), "1500");
}

TEST_F(ExchangePrunes, ReadsLittleOfWhatItKeeps) {
  keep_history = 24h;
  start();
  turn();
  const auto insert = [&](char stream, int first, int rows, std::chrono::seconds ago) {
    merchant().execute(fmt::format(
        "WITH RECURSIVE n(i) AS (VALUES({}) UNION ALL SELECT i + 1 FROM n WHERE i < {})"
        " INSERT INTO tg_download SELECT CAST(printf('{}%015d', i) AS BLOB), 'a', 'e', 0, {}, NULL,"
        " NULL, 0, 0, 0, 0 FROM n",
        first, first + rows - 1, stream, clock.unix_now() - ago.count()));
  };
  insert('A', 1, 20, 48h);
  insert('A', 21, 9000, 1h);
  insert('B', 1, 9000, 1h);
  insert('C', 1, 5, 48h);
  clock.advance(10min);
  edge->database.prune_calls = 0;
  for (int i = 0; i < 10; ++i) turn();
  EXPECT_EQ(rows(), "18000");
  EXPECT_LE(edge->database.prune_calls, 5);
}

TEST_F(ExchangePrunes, NothingWhileThereIsSomethingToPush) {
  start();
  download(10, 48h);
  turn();
  keep_history = 24h;
  start();
  edge->database.refuse_pushes = 3;
  download(1, 48h);
  turn();
  EXPECT_EQ(edge->database.prune_calls, 0);
  EXPECT_EQ(rows(), "10");
  for (int i = 0; i < 10; ++i) turn();
  EXPECT_EQ(rows(), "0");
  EXPECT_EQ(used(), "11");
}

TEST_F(ExchangePrunes, SaysWhyItCannotAndPushesOn) {
  keep_history = 24h;
  start();
  turn();
  edge->database.refuses_prunes = true;
  download(1, 48h);
  clock.advance(10min);
  turn();
  EXPECT_EQ(status().warning,
            "the history is not pruned (shop.keep_history): DELETE command denied");
  EXPECT_TRUE(status().reachable);
  const auto asked = edge->database.prune_calls;
  download(1, 48h);
  turn();
  EXPECT_EQ(used(), "2");
  EXPECT_EQ(edge->database.prune_calls, asked) << "not at every turn";
  edge->database.refuses_prunes = false;
  clock.advance(10min);
  turn();
  EXPECT_EQ(status().warning, "");
  EXPECT_EQ(rows(), "0");
}

TEST_F(ExchangePrunes, WarnsOfMissingTriggersToo) {
  keep_history = 24h;
  start();
  edge->database.refuses_prunes = true;
  edge->database.lost_triggers = {"trigger tg_link_updated"};
  turn();
  EXPECT_NE(status().warning.find("trigger tg_link_updated"), std::string::npos);
  EXPECT_NE(status().warning.find("; the history is not pruned"), std::string::npos);
}

class ExchangeByChance : public ExchangeTest, public testing::WithParamInterface<int> {};

TEST_P(ExchangeByChance, SumsInTheShopAreThoseOfTheEvents) {
  const auto seed = std::random_device{}() + static_cast<unsigned>(GetParam());
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto chance = [&](int percent) { return static_cast<int>(random() % 100) < percent; };

  constexpr std::uint64_t kLinks = 5;
  std::vector<ledger::Event> journal;  // all events ever, as the ledger keeps them
  std::size_t handed_over = 0;
  std::map<std::string, std::uint32_t> generation;
  std::map<std::string, std::uint32_t> last_generation;
  std::uint32_t resets = 0;
  std::set<std::string> seen;
  std::uint64_t seq = 0;

  const bool prunes = chance(30);
  if (prunes) keep_history = 24h;  // all of it is older
  start();
  turn();
  merchant().backup_to(dir / "backup-0.db");
  unsigned backups = 1;
  for (int step = 0; step < 120; ++step) {
    if (chance(60)) {  // a download
      const auto link = "i" + std::to_string(random() % kLinks);
      ++seq;
      if (seen.insert(link).second) journal.push_back(use(seq, link));
      const auto gen = generation[link];
      const std::uint32_t measured = chance(20) ? last_generation[link] : gen;
      const auto copies = static_cast<std::uint32_t>(random() % 3);
      if (copies > 0) journal.push_back(counted(seq, link, copies, measured));
      const auto first = random() % 10;
      const auto last = first + 1 + random() % (10 - first);
      journal.push_back(ended(seq, link, first * 100'000, last * 100'000, copies));
    }
    if (chance(50)) {
      const std::vector events(journal.begin() + static_cast<std::ptrdiff_t>(handed_over),
                               journal.end());
      consume(events);
      handed_over = journal.size();
    }
    if (chance(10)) {
      const auto link = "i" + std::to_string(random() % kLinks);
      // A number of its own even after a restored backup took an earlier reset back.
      merchant().execute("UPDATE tg_link SET used = 0, reset_gen = " + std::to_string(++resets) +
                         " WHERE link_id = '" + link + "'");
      if (used(link) != "no row") {
        last_generation[link] = std::exchange(generation[link], resets);
      }
    }
    if (chance(10)) edge->database.lose_answers = 1;
    if (chance(10)) edge->database.refuse_pushes = 1;
    if (chance(20)) edge->database.duplicate_pushes = 1;
    if (chance(10)) edge->database.away = !edge->database.away;
    if (chance(5)) merchant().backup_to(dir / ("backup-" + std::to_string(backups++) + ".db"));
    if (chance(4)) {
      merchant().restore_from(dir / ("backup-" + std::to_string(random() % backups) + ".db"));
    }
    if (chance(10)) {
      crash();
      handed_over = 0;  // the ledger replays more than is needed
    }
    if (chance(70)) turn();
    for (const auto& [link, word] : ledger.words) EXPECT_EQ(word.used_elsewhere, 0u) << link;
  }
  consume(journal);
  edge->database.away = false;
  for (int i = 0; i < 5; ++i) turn();

  ASSERT_EQ(status().alarm, "");
  ASSERT_EQ(status().batches_waiting, 0u);
  std::uint64_t copies = 0;
  std::uint64_t bytes = 0;
  std::map<std::string, std::map<std::uint32_t, std::uint64_t>> charged;
  for (const auto& event : journal) {
    if (const auto* count = std::get_if<ledger::CopiesCounted>(&event.what)) {
      copies += count->copies;
      charged[event.link_id][count->reset_gen] += count->copies;
    } else if (const auto* end = std::get_if<ledger::TransferEnded>(&event.what)) {
      bytes += end->bytes_sent;
    }
  }
  EXPECT_EQ(merchant().one("SELECT coalesce(sum(total), 0) FROM tg_edge_count"),
            std::to_string(copies));
  if (prunes) {
    clock.advance(10min);
    turn();
    EXPECT_EQ(merchant().one("SELECT count(*) FROM tg_download"), "0");
    bytes = copies = 0;
  }
  EXPECT_EQ(merchant().one("SELECT coalesce(sum(bytes_sent), 0), coalesce(sum(counted), 0)"
                           " FROM tg_download"),
            std::to_string(bytes) + "|" + std::to_string(copies));
  EXPECT_EQ(merchant().one("SELECT count(*) FROM tg_link"), std::to_string(seen.size()));
  for (const auto& link : seen) {
    const auto gen = merchant().one("SELECT reset_gen FROM tg_link WHERE link_id = '" + link + "'");
    EXPECT_EQ(used(link),
              std::to_string(charged[link][static_cast<std::uint32_t>(std::stoul(gen))]))
        << link << " in generation " << gen;
  }
}

INSTANTIATE_TEST_SUITE_P(Lives, ExchangeByChance, testing::Range(0, 8));

}  // namespace
}  // namespace tallygate::shop
