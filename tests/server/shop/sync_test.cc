#include "server/shop/sync.h"

#include <gtest/gtest.h>

#include <future>

#include "tests/server/shop/fixture.h"

namespace tallygate::shop {
namespace {

// The thread and its queues, on the machine's clock; what is said to the database has its own test.
class SyncTest : public testing::Test {
 protected:
  SyncTest() { make(); }
  ~SyncTest() override { sync.reset(); }
  void make() {
    sync.reset();
    sync = std::make_unique<Sync>(Outbox::open(dir / "outbox.db", system_clock(), {}).value(),
                                  std::make_unique<SqliteDatabase>(file), system_clock(),
                                  ExchangeOptions{.edge_id = "edge-1"});
  }
  bool flush() {
    std::promise<bool> pushed;
    sync->flush([&](bool done) { pushed.set_value(done); });
    return pushed.get_future().get();
  }
  LookUp look_up(const std::string& link_id) {
    std::promise<LookUp> found;
    sync->look_up({link_id}, [&](std::vector<LookUp> answers) { found.set_value(answers.at(0)); });
    return found.get_future().get();
  }
  Answer<bool> edit(const std::string& link_id, const Edit& edit) {
    std::promise<Answer<bool>> done;
    sync->edit(link_id, edit, [&](Answer<bool> answer) { done.set_value(std::move(answer)); });
    return done.get_future().get();
  }
  std::string shop(const std::string& sql) { return Merchant(file).one(sql); }

  TempDir dir;
  std::filesystem::path file = dir / "shop.db";
  FakeLedger ledger;
  std::unique_ptr<Sync> sync;
};

TEST_F(SyncTest, EventsReachTheShop) {
  sync->start(ledger);
  sync->on_events({used(1, "a"), counted(2, "a", 1)});
  sync->on_events({ended(3, "a", 0, 1'000'000, 1)});
  ASSERT_TRUE(flush());
  EXPECT_EQ(shop("SELECT used FROM tg_link"), "1");
  EXPECT_EQ(shop("SELECT counted FROM tg_download"), "1");
  EXPECT_EQ(sync->consumed_seq(), 3u);
  const auto status = sync->status();
  EXPECT_TRUE(status.reachable);
  EXPECT_EQ(status.events_waiting, 0u);
  EXPECT_EQ(status.batches_waiting, 0u);
  EXPECT_GT(status.last_push_at, 0);
}

TEST_F(SyncTest, EventsArePushedWithinASecondWithoutBeingAskedTo) {
  sync->start(ledger);
  ASSERT_TRUE(flush());
  const auto begin = std::chrono::steady_clock::now();
  sync->on_events({used(1, "a")});
  // The ledger hears the row once the batch that made it was pushed.
  ASSERT_TRUE(ledger.wait_for_word("a"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 1s);
}

TEST_F(SyncTest, EventsBeforeTheStartAreOnDiskWhenTheCallReturns) {
  sync->on_events({used(1, "a"), counted(2, "a", 1)});
  EXPECT_EQ(sync->consumed_seq(), 2u);
  make();  // never started, and gone
  EXPECT_EQ(sync->consumed_seq(), 2u);
  sync->start(ledger);
  ASSERT_TRUE(flush());
  EXPECT_EQ(shop("SELECT used FROM tg_link"), "1");
}

TEST_F(SyncTest, MerchantsChangeArrivesWithinTwoSeconds) {
  sync->start(ledger);
  sync->on_events({used(1, "a")});
  ASSERT_TRUE(flush());
  const auto begin = std::chrono::steady_clock::now();
  Merchant(file).execute("UPDATE tg_link SET state = 3");
  ASSERT_TRUE(
      ledger.wait_for_word("a", [](const Word& word) { return word.state == State::revoked; }));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
}

TEST_F(SyncTest, LookUpsAndEditsAreAnswered) {
  sync->start(ledger);
  EXPECT_EQ(look_up("a").kind, LookUp::Kind::no_row);
  EXPECT_FALSE(edit("a", {.state = State::held}).value());
  EXPECT_TRUE(edit("a", {.max_copies = 3, .create = true}).value());
  EXPECT_EQ(ledger.word("a").max_copies, 3);
  EXPECT_EQ(look_up("a").word.max_copies, 3);
}

TEST_F(SyncTest, WhileTheDatabaseIsAwayEventsQueueOnDiskAndArriveOnceAfterwards) {
  file = dir / "later/shop.db";
  make();
  sync->start(ledger);
  sync->on_events({used(1, "a"), counted(2, "a", 1)});
  EXPECT_FALSE(flush());
  EXPECT_EQ(sync->consumed_seq(), 2u);
  EXPECT_EQ(look_up("a").kind, LookUp::Kind::unavailable);
  EXPECT_FALSE(edit("a", {.reset = true}));
  const auto status = sync->status();
  EXPECT_FALSE(status.reachable);
  EXPECT_NE(status.last_error, "");
  EXPECT_EQ(status.batches_waiting, 1u);
  EXPECT_GT(status.oldest_waiting_at, 0);

  std::filesystem::create_directory(dir / "later");
  ASSERT_TRUE(ledger.wait_for_word("a"));
  ASSERT_TRUE(flush());
  EXPECT_EQ(shop("SELECT used FROM tg_link"), "1");
}

TEST_F(SyncTest, StopPushesWhatIsLeftAndAnswersWhatComesLater) {
  sync->start(ledger);
  ASSERT_TRUE(flush());
  sync->on_events({used(1, "a"), counted(2, "a", 1)});
  sync->stop();
  sync->stop();
  EXPECT_EQ(shop("SELECT used FROM tg_link"), "1");
  EXPECT_EQ(look_up("a").kind, LookUp::Kind::unavailable);
  EXPECT_FALSE(edit("a", {.reset = true}));
  EXPECT_FALSE(flush());
  sync->on_events({counted(3, "a", 1)});
  EXPECT_EQ(sync->consumed_seq(), 3u) << "late events wait on disk";
  make();
  sync->start(ledger);
  ASSERT_TRUE(flush());
  EXPECT_EQ(shop("SELECT used FROM tg_link"), "2");
}

TEST_F(SyncTest, ManyThreadsAskWhileTheJournalWrites) {
  sync->start(ledger);
  constexpr int kAsking = 4;
  constexpr int kEach = 200;
  std::atomic<int> answered = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kAsking; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < kEach; ++n) {
        sync->look_up({"a", "b"}, [&](const std::vector<LookUp>& answers) {
          if (answers.size() == 2) ++answered;
        });
        EXPECT_LE(sync->status().parked, 0u);
      }
    });
  }
  for (std::uint64_t seq = 1; seq <= 500; ++seq) sync->on_events({counted(seq, "a", 1)});
  for (auto& thread : threads) thread.join();
  ASSERT_TRUE(flush());
  sync->stop();
  EXPECT_EQ(answered, kAsking * kEach);
  EXPECT_EQ(shop("SELECT total FROM tg_edge_count"), "500");
}

}  // namespace
}  // namespace tallygate::shop
