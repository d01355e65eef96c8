// One process hands the ledger over to the next one, with transfers in flight. Rows P3, J10 and J14
// of the fault table: one writer at any moment, nothing lost, nothing counted twice.
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/server/ledger/ledger_rig.h"
#include "tests/support/seed.h"

namespace tallygate::ledger {
namespace {

constexpr Limit kUnlimited = std::nullopt;

FlightRef flight(const Admission& admission) {
  return {admission.link, admission.first_flight};
}

class LedgerHandOver : public testing::Test {
 protected:
  LedgerHandOver() {
    new_room();
    EXPECT_EQ(rig.open(), "");
  }

  // rig.ledger is the next process's then. What the old one tells waits until hear().
  void hand_over() {
    old = std::move(rig.ledger);
    told.clear();
    EXPECT_TRUE(old->hand_over([this](std::string_view records) { told.emplace_back(records); }));
    rig.options.continues = old->has_begun_run();
    old->let_go();
    new_room();
    EXPECT_EQ(rig.open(), "");
  }
  void new_room() {
    rooms.push_back(std::make_unique<WaitingRoom>(rig.context.get_executor(), kDurableTimeout));
  }
  // Of rig.ledger.
  Result<Admission, Refusal> admit(const Ask& ask) { return rig.admit(ask, rooms.back().get()); }
  Result<Admission, Refusal> download(const Ask& ask) {
    return rig.download(ask, rooms.back().get());
  }
  void hear() {
    for (const std::string& records : told) EXPECT_TRUE(rig.ledger->take(records));
    told.clear();
  }
  void restart() {
    rig.close();
    rig.options.continues = false;
    new_room();
    ASSERT_EQ(rig.open(), "");
  }
  AccountView view(const std::string& link = "a") { return rig.ledger->view(link).value(); }

  std::mt19937_64 random{1};
  std::unique_ptr<Ledger> old;
  std::vector<std::string> told;
  LedgerRig rig;
  std::vector<std::unique_ptr<WaitingRoom>> rooms;  // the last one is rig.ledger's
};

TEST_F(LedgerHandOver, LeavesWhatIsInFlightInFlight) {
  const auto begun = admit({.limit = 1, .window = 100});
  ASSERT_TRUE(begun);
  old = nullptr;
  rig.ledger->settle(flight(*begun), 50);
  hand_over();
  EXPECT_EQ(view().in_flight, 1u);
  EXPECT_EQ(view().traffic_bytes, 50u) << "nothing is in doubt";
  EXPECT_EQ(admit({.limit = 1}).error(), Refusal::busy);
  EXPECT_TRUE(rig.notes.empty()) << rig.notes.front();

  PendingLease lease = old->lease(flight(*begun), 1000, *rooms.front());
  EXPECT_EQ(rig.run(lease.outcome()), PendingLease::Outcome::granted) << "it was leased to its end";
  EXPECT_EQ(old->close(flight(*begun), 950, 0, true), 1u);
  EXPECT_EQ(view().copies, 0u);
  hear();
  EXPECT_EQ(view().copies, 1u);
  EXPECT_EQ(view().in_flight, 0u);
  EXPECT_EQ(view().traffic_bytes, 1000u);
  EXPECT_EQ(rig.ledger->lose_inherited(), 0u);
  EXPECT_EQ(admit({.limit = 1}).error(), Refusal::exhausted);
  restart();
  EXPECT_EQ(view().copies, 1u);
  EXPECT_EQ(view().traffic_bytes, 1000u);
}

TEST_F(LedgerHandOver, KeepsTransfersOfUnlimitedLinksToo) {
  const auto begun = admit({.limit = kUnlimited, .window = 100});
  rig.ledger->settle(flight(*begun), 50);
  hand_over();
  EXPECT_EQ(view().in_flight, 1u);
  // A limit that the shop sets meanwhile takes them into account.
  rig.ledger->hear("a", {.max_copies = 1}, false);
  EXPECT_EQ(admit({.limit = kUnlimited, .word = {.max_copies = 1}}).error(), Refusal::busy);
  old->close(flight(*begun), 950, 0, true);
  hear();
  EXPECT_EQ(view().copies, 1u);
}

TEST_F(LedgerHandOver, AdmitsNobodyBehindItWhoNeedsALease) {
  ASSERT_TRUE(download({.limit = 5}));
  hand_over();
  std::swap(old, rig.ledger);
  EXPECT_EQ(admit({.limit = 5}).error(), Refusal::unavailable);
  // Who needs none is counted by the other process.
  const auto free = admit({.link_id = "b", .limit = kUnlimited});
  ASSERT_TRUE(free);
  rig.ledger->close(flight(*free), 1000, 0, true);
  std::swap(old, rig.ledger);
  hear();
  EXPECT_EQ(view("b").copies, 1u);
  EXPECT_EQ(view("a").copies, 1u);
  EXPECT_EQ(view("a").in_flight, 0u);
  restart();
  EXPECT_EQ(view("b").copies, 1u);
}

TEST_F(LedgerHandOver, ATransferWhoseLeaseTheTrafficDoesNotPayForEndsThere) {
  rig.options.waste_permille = 0;
  restart();
  // 1000 bytes, and half of that: so much may leave for a limit of one copy.
  for (int i = 0; i < 6; ++i) {
    const auto broken = admit({.window = 80});
    ASSERT_TRUE(broken);
    rig.ledger->close(flight(*broken), 0, 80, false);
  }
  const auto begun = admit({.window = 80});
  ASSERT_TRUE(begun);
  hand_over();
  PendingLease same = old->lease(flight(*begun), 80, *rooms[1]);
  EXPECT_EQ(rig.run(same.outcome()), PendingLease::Outcome::granted);
  PendingLease next = old->lease(flight(*begun), 1000, *rooms[1]);
  const auto outcome = rig.run(next.outcome());
  old->close(flight(*begun), outcome == PendingLease::Outcome::granted ? 1000 : 80, 0, false);
  hear();
  EXPECT_EQ(view().in_flight, 0u);
  EXPECT_LE(view().traffic_bytes, 1500u);
}

TEST_F(LedgerHandOver, WhatIsNotReportedIsInDoubtAndNothingElse) {
  const auto lost = admit({.limit = 3, .window = 100});
  const auto done = admit({.limit = 3, .window = 100});
  rig.ledger->settle(flight(*lost), 50);
  hand_over();
  const auto own = admit({.limit = 3, .window = 100});
  ASSERT_TRUE(own) << static_cast<int>(own.error());
  old->close(flight(*done), 1000, 0, true);
  hear();
  EXPECT_EQ(rig.ledger->lose_inherited(), 1u);
  EXPECT_EQ(view().in_flight, 1u) << "its own goes on";
  EXPECT_EQ(view().copies, 2u);
  EXPECT_EQ(view().traffic_bytes, 2000u);
  EXPECT_EQ(rig.lease(flight(*own), 1000, rooms.back().get()), PendingLease::Outcome::granted);
  rig.ledger->close(flight(*own), 1000, 0, true);
  EXPECT_EQ(view().copies, 3u);
  // What was in doubt may be fetched once more: 950 bytes, and the allowance besides.
  const auto again = admit({.limit = 3, .range = Span{50, 1000}});
  ASSERT_TRUE(again);
  rig.ledger->close(flight(*again), 950, 0, true);
  restart();
  EXPECT_EQ(view().copies, 3u);
  EXPECT_EQ(rig.ledger->lose_inherited(), 0u);
}

TEST_F(LedgerHandOver, ACrashOfTheNextProcessLeavesAllInDoubt) {
  ASSERT_TRUE(admit({.limit = 1, .window = 100}));
  hand_over();
  rig.crash(Crash::process, random);
  rig.options.continues = false;
  new_room();
  ASSERT_EQ(rig.open(), "");
  EXPECT_EQ(view().in_flight, 0u);
  EXPECT_EQ(view().traffic_bytes, 1000u);
  EXPECT_EQ(view().copies, 1u);
  const auto again = admit({.limit = 1});
  EXPECT_TRUE(again) << static_cast<int>(again.error());
}

TEST_F(LedgerHandOver, OfALedgerThatNobodyHasUsedIsAnOrderlyStart) {
  hand_over();
  EXPECT_FALSE(rig.options.continues);
  ASSERT_TRUE(download({}));
  hand_over();
  EXPECT_TRUE(rig.options.continues);
  hand_over();  // this one has written nothing, and the run goes on all the same
  EXPECT_TRUE(rig.options.continues);
  ASSERT_TRUE(download({.link_id = "b"}));
  restart();
  EXPECT_EQ(view("a").copies, 1u);
  EXPECT_EQ(view("b").copies, 1u);
}

TEST_F(LedgerHandOver, TakesNoRecordsThatMakeNoSense) {
  const auto begun = admit({.limit = 1, .window = 100});
  hand_over();
  EXPECT_FALSE(rig.ledger->take("no record"));
  Entries entries;
  append(entries, "a", Settled{begun->first_flight, 1001});
  EXPECT_FALSE(rig.ledger->take(entries.bytes));
  entries.clear();
  append(entries, "nobody", Closed{7, 1, 0, false});
  EXPECT_FALSE(rig.ledger->take(entries.bytes));
  EXPECT_EQ(view().traffic_bytes, 0u);
  EXPECT_FALSE(rig.ledger->knows("nobody"));
  restart();
  EXPECT_EQ(view().traffic_bytes, 1000u);
}

TEST_F(LedgerHandOver, TellsTheFollowerEverythingOnce) {
  const auto begun = admit({.limit = 2, .window = 100});
  hand_over();
  old->close(flight(*begun), 1000, 0, true);
  TransferEnded ended;
  ended.bytes_acked = 1000;
  old->ended("a", ended);
  hear();
  ASSERT_TRUE(rig.ledger->flush());
  restart();
  std::uint64_t copies = 0;
  int rows = 0;
  for (const Event& event : rig.follower.events()) {
    if (const auto* counted = std::get_if<CopiesCounted>(&event.what)) copies += counted->copies;
    if (std::holds_alternative<TransferEnded>(event.what)) ++rows;
  }
  EXPECT_EQ(copies, 1u);
  EXPECT_EQ(rows, 1);
}

// Downloads that begin, go on and end while processes follow each other: what was delivered is
// counted as if there had been one process.
TEST_F(LedgerHandOver, ManyOfThemCountLikeOneProcess) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 chance(seed);
  const auto below = [&](std::uint64_t n) { return chance() % n; };
  struct Transfer {
    FlightRef flight;
    std::uint64_t acked = 0;
    bool is_olds = false;
  };
  std::vector<Transfer> transfers;
  std::uint64_t delivered = 0;
  for (int step = 0; step < 3000; ++step) {
    const std::uint64_t choice = below(10);
    if (choice < 3 && transfers.size() < 20) {
      const auto begun =
          admit({.limit = below(2) == 0 ? Limit(1'000'000) : kUnlimited, .window = 1000});
      ASSERT_TRUE(begun);
      transfers.push_back({flight(*begun)});
    } else if (choice < 9 && !transfers.empty()) {
      Transfer& one = transfers[below(transfers.size())];
      Ledger& its = one.is_olds ? *old : *rig.ledger;
      const std::uint64_t n = below(1001 - one.acked);
      one.acked += n;
      delivered += n;
      if (below(4) != 0) {
        its.settle(one.flight, n);
      } else {
        its.close(one.flight, n, 0, one.acked == 1000);
        std::swap(one, transfers.back());
        transfers.pop_back();
      }
    } else if (choice == 9 && below(20) == 0) {
      std::erase_if(transfers, [&](const Transfer& one) {
        if (one.is_olds) old->close(one.flight, 0, 0, false);
        return one.is_olds;
      });
      hear();
      EXPECT_EQ(rig.ledger->lose_inherited(), 0u);
      hand_over();
      for (Transfer& one : transfers) one.is_olds = true;
    }
    if (below(3) == 0) hear();
  }
  hear();
  ASSERT_EQ(view().traffic_bytes, delivered);
  EXPECT_EQ(view().in_flight, transfers.size());
}

}  // namespace
}  // namespace tallygate::ledger
