#include "server/ledger/waiting_room.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <memory>
#include <thread>

#include "tests/server/ledger/journal_rig.h"

namespace tallygate::ledger {
namespace {

using namespace std::chrono_literals;

const error_code kIoError = make_error_code(boost::system::errc::io_error);

class WaitingRoomTest : public testing::Test, protected JournalRig {
 protected:
  ~WaitingRoomTest() override { room.reset(); }

  struct Answer {
    bool given = false;
    bool durable = false;
    bool dropped = false;
  };
  // Somebody begins to wait.
  std::shared_ptr<Answer> wait(Ticket ticket) {
    auto answer = std::make_shared<Answer>();
    asio::co_spawn(context->get_executor(), wait(ticket, answer), asio::detached);
    poll();
    return answer;
  }
  Task<> wait(Ticket ticket, std::shared_ptr<Answer> answer) {
    struct Frame {
      Answer& answer;
      ~Frame() { answer.dropped = !answer.given; }
    } frame{*answer};
    answer->durable = co_await room->wait(*journal, ticket);
    answer->given = true;
  }
  void poll() {
    context->restart();
    context->poll();
  }

  std::unique_ptr<asio::io_context> context = std::make_unique<asio::io_context>();
  std::unique_ptr<WaitingRoom> room = std::make_unique<WaitingRoom>(context->get_executor(), 1h);
};

TEST_F(WaitingRoomTest, IsWokenWhenItIsDurableAndNotBefore) {
  const auto answer = wait(append(1));
  EXPECT_FALSE(answer->given);
  journal->turn();
  poll();
  EXPECT_TRUE(answer->given);
  EXPECT_TRUE(answer->durable);
}

TEST_F(WaitingRoomTest, IsLeftAtOnceWhenItIsDurableAlready) {
  const Ticket ticket = append(1);
  journal->turn();
  const auto answer = wait(ticket);
  EXPECT_TRUE(answer->given);
  EXPECT_TRUE(answer->durable);
}

TEST_F(WaitingRoomTest, IsLeftBatchByBatch) {
  std::vector<std::vector<std::shared_ptr<Answer>>> waiters(4);
  for (auto& of_batch : waiters) {
    for (int i = 0; i < 15; ++i) of_batch.push_back(wait(append(1, 600)));
    append(1, 20'000);  // closes the group
  }
  for (std::size_t batch = 0; batch < waiters.size(); ++batch) {
    if (journal->wanted_segment()) give_segment();
    ASSERT_TRUE(journal->turn());
    poll();
    for (std::size_t i = 0; i < waiters.size(); ++i) {
      for (const auto& answer : waiters[i]) {
        EXPECT_EQ(answer->given, i <= batch);
        EXPECT_EQ(answer->durable, i <= batch);
      }
    }
  }
  EXPECT_FALSE(journal->turn());
}

TEST_F(WaitingRoomTest, IsWokenOnceForAllOfABatch) {
  std::vector<std::shared_ptr<Answer>> waiters;
  for (int i = 0; i < 100; ++i) waiters.push_back(wait(append(1)));
  journal->turn();
  context->restart();
  EXPECT_EQ(context->poll_one(), 1u);
  for (const auto& answer : waiters) EXPECT_TRUE(answer->given);
}

TEST_F(WaitingRoomTest, HasWhatNobodyWaitsForWrittenWithItsNextTick) {
  journal->start();
  // Until the journal sleeps it takes what it finds; then it has time enough to do what it should
  // not.
  Ticket ticket = 0;
  for (int i = 0; i < 100 && journal->durable() >= ticket; ++i) {
    ticket = append(1, 0, false);
    room->kick_in_tick(*journal);
    poll();
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_LT(journal->durable(), ticket);
  room->tick();
  const auto answer = wait(ticket);
  while (!answer->given) poll();
  EXPECT_TRUE(answer->durable);
}

TEST_F(WaitingRoomTest, HasItWrittenWithWhatSomebodyWaitsFor) {
  journal->start();
  const Ticket first = append(1, 0, false);
  room->kick_in_tick(*journal);
  const Ticket second = append(1, 0, false);
  room->kick_soon(*journal);
  const auto answer = wait(second);
  while (!answer->given) poll();
  EXPECT_GE(journal->durable(), first);
}

TEST_F(WaitingRoomTest, LooksAtDeadlinesInItsTicksOnceItHasThem) {
  room = std::make_unique<WaitingRoom>(context->get_executor(), 1ms);
  room->tick();
  const auto answer = wait(append(1));
  std::this_thread::sleep_for(2ms);
  poll();
  EXPECT_FALSE(answer->given) << "there is no timer besides";
  room->tick();
  poll();
  EXPECT_TRUE(answer->given);
  EXPECT_FALSE(answer->durable);
}

TEST_F(WaitingRoomTest, IsLeftAtOnceWhenTheJournalHasFailed) {
  const Ticket first = append(1);
  const auto before = wait(first);
  journal->turn();  // durable, and nobody has looked yet
  const Ticket second = append(1);
  disk.fail_call(2, kIoError, false);
  const auto after = wait(second);
  journal->turn();
  poll();
  EXPECT_TRUE(before->durable);
  EXPECT_TRUE(after->given);
  EXPECT_FALSE(after->durable);
  const auto later = wait(second);
  EXPECT_TRUE(later->given);
  EXPECT_FALSE(later->durable);
  EXPECT_TRUE(wait(first)->durable) << "what was durable before still is";
}

TEST_F(WaitingRoomTest, IsLeftWhenItTakesTooLong) {
  room = std::make_unique<WaitingRoom>(context->get_executor(), 1ms);
  const auto first = wait(append(1));
  const auto second = wait(append(1));
  context->restart();
  context->run();
  for (const auto& answer : {first, second}) {
    EXPECT_TRUE(answer->given);
    EXPECT_FALSE(answer->durable);
  }
  journal->turn();  // wakes nobody
  const auto third = wait(append(1));
  context->restart();
  context->run();
  EXPECT_TRUE(third->given) << "the room looks at the clock again";
  EXPECT_FALSE(third->durable);
}

TEST_F(WaitingRoomTest, ThatWasLeftByAllWatchesTheClockForWhoeverComesNext) {
  room = std::make_unique<WaitingRoom>(context->get_executor(), 50ms);
  for (int i = 0; i < 3; ++i) {
    const Ticket ticket = append(1);
    asio::co_spawn(context->get_executor(), wait(ticket, std::make_shared<Answer>()),
                   asio::detached);
    journal->turn();
    // Waits before the cancelled timer is heard of.
    const auto late = std::make_shared<Answer>();
    asio::co_spawn(context->get_executor(), wait(append(1), late), asio::detached);
    context->restart();
    context->run();
    EXPECT_TRUE(late->given);
    journal->turn();
  }
}

TEST_F(WaitingRoomTest, IsLeftWhenItsWorkerGivesUp) {
  const auto durable = wait(append(1));
  journal->turn();
  const auto waiting = wait(append(1));
  room->give_up();
  poll();
  EXPECT_TRUE(durable->durable);
  EXPECT_TRUE(waiting->given);
  EXPECT_FALSE(waiting->durable);
  room->give_up();
  const auto next = wait(append(1));
  EXPECT_FALSE(next->given) << "it can be waited in again";
  journal->turn();
  poll();
  EXPECT_TRUE(next->durable);
}

TEST_F(WaitingRoomTest, DropsThoseInItWhenItGoes) {
  std::vector<std::shared_ptr<Answer>> waiters;
  for (int i = 0; i < 5; ++i) waiters.push_back(wait(append(1)));
  room.reset();
  context.reset();  // which unwinds them; it must not run any more
  for (const auto& answer : waiters) EXPECT_TRUE(answer->dropped);
  journal->turn();  // wakes no room that is gone
  EXPECT_EQ(told().size(), 5u);
}

TEST_F(WaitingRoomTest, OutlivesItsJournal) {
  const auto first = wait(append(1));
  journal->turn();
  poll();
  EXPECT_TRUE(first->durable);
  journal.reset();
  SegmentHead head;
  head.number = 1;
  head.ledger_id = kLedgerId;
  head.run = 1;
  head.length = 64 << 10;
  begin(make(head), head.length);
  const auto second = wait(append(1));
  EXPECT_FALSE(second->given);
  journal->turn();
  poll();
  EXPECT_TRUE(second->durable);
}

TEST_F(WaitingRoomTest, TakesBackWhoeverWaitsAgainAtOnce) {
  int rounds = 0;
  const auto again_and_again = [&]() -> Task<> {
    for (; rounds < 50; ++rounds) {
      const bool durable = co_await room->wait(*journal, append(1));
      EXPECT_TRUE(durable);
      if (journal->wanted_segment()) give_segment();
    }
  };
  asio::co_spawn(context->get_executor(), again_and_again(), asio::detached);
  poll();
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(rounds, i);
    journal->turn();
    poll();
  }
  EXPECT_EQ(rounds, 50);
}

// -- with threads -------------------------------------------------------------------------------

constexpr int kWorkers = 4;
constexpr int kCoroutines = 20;
constexpr int kRounds = 100;

// Each worker appends and waits, again and again. A wake that came between the two and was lost
// would be waited for until the test's own timeout.
template <class Each>
void on_all_workers(Journal& journal, Each each) {
  std::vector<std::thread> workers;
  for (int w = 0; w < kWorkers; ++w) {
    workers.emplace_back([&] {
      asio::io_context context;
      WaitingRoom room(context.get_executor(), 1h);
      const auto live = [&]() -> Task<> {
        for (int i = 0; i < kRounds; ++i) {
          Entries entries = entries_of(1);
          const Ticket ticket = journal.append(entries);
          if (ticket == 0) co_return;
          each(co_await room.wait(journal, ticket), ticket);
        }
      };
      for (int c = 0; c < kCoroutines; ++c) {
        asio::co_spawn(context.get_executor(), live(), asio::detached);
      }
      context.run();
    });
  }
  for (std::thread& worker : workers) worker.join();
}

TEST(WaitingRoomThreads, LoseNoWakeThatComesBetweenAppendAndWait) {
  JournalRig rig(64 << 20, 64 << 20);
  rig.journal->start();
  std::atomic<int> durable{0};
  on_all_workers(*rig.journal, [&](bool granted, Ticket ticket) {
    EXPECT_TRUE(granted);
    EXPECT_GE(rig.journal->durable(), ticket);
    ++durable;
  });
  EXPECT_EQ(durable, kWorkers * kCoroutines * kRounds);
}

TEST(WaitingRoomThreads, AllHearOfAFailure) {
  JournalRig rig(64 << 20, 64 << 20);
  rig.journal->start();
  rig.disk.fail_call(40, kIoError, true);
  std::atomic<int> refused{0};
  on_all_workers(*rig.journal, [&](bool granted, Ticket ticket) {
    if (granted) {
      EXPECT_GE(rig.journal->durable(), ticket);
    } else {
      EXPECT_TRUE(rig.journal->has_failed());
      ++refused;
    }
  });
  EXPECT_GT(refused, 0);
  EXPECT_TRUE(rig.journal->has_failed());
}

}  // namespace
}  // namespace tallygate::ledger
