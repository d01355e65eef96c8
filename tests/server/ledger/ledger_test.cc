#include "server/ledger/ledger.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/server/ledger/ledger_rig.h"
#include "tests/support/seed.h"

namespace tallygate::ledger {
namespace {

const error_code kIoError = make_error_code(boost::system::errc::io_error);
const error_code kDiskFull = make_error_code(boost::system::errc::no_space_on_device);
constexpr Limit kUnlimited = std::nullopt;

class LedgerTest : public testing::Test {
 protected:
  LedgerTest() { EXPECT_EQ(rig.open(), ""); }
  FlightRef flight(const Admission& admission) { return {admission.link, admission.first_flight}; }
  std::string reopen() {
    rig.close();
    return rig.open();
  }
  LedgerRig rig;
  std::mt19937_64 random{1};
};

// -- downloads ----------------------------------------------------------------------------------

TEST_F(LedgerTest, CountsACopyAndRefusesTheNext) {
  EXPECT_TRUE(rig.download({}));
  EXPECT_EQ(rig.copies("a"), 1u);
  EXPECT_EQ(rig.admit({}).error(), Refusal::exhausted);
}

TEST_F(LedgerTest, AnswersWhenTheFirstLeaseIsOnDiskAndNotBefore) {
  const std::uint64_t syncs = rig.disk.syncs();
  const auto admitted = rig.admit({.window = 100});
  ASSERT_TRUE(admitted);
  EXPECT_EQ(admitted->upto, 100u);
  EXPECT_GT(rig.disk.syncs(), syncs);
  rig.crash(Crash::all_lost, random);
  ASSERT_EQ(rig.open(), "");
  EXPECT_EQ(rig.ledger->view("a")->traffic_bytes, 100u) << "in doubt counts as delivered";
}

TEST_F(LedgerTest, LeasesOfUnlimitedLinksWaitForNothing) {
  rig.disk.stall();
  const auto admitted = rig.admit({.limit = kUnlimited, .window = 10});
  ASSERT_TRUE(admitted);
  EXPECT_EQ(rig.lease(flight(*admitted), 1000), PendingLease::Outcome::granted);
  EXPECT_EQ(rig.ledger->close(flight(*admitted), 1000, 0, true), 1u);
  rig.disk.resume();
}

TEST_F(LedgerTest, ForgetsNothingInAnOrderlyRestart) {
  ASSERT_TRUE(rig.download({.link_id = "a", .limit = 3}));
  ASSERT_TRUE(rig.download({.link_id = "b", .limit = kUnlimited}));
  const auto half = rig.admit({.link_id = "c", .limit = 1});
  rig.ledger->close(flight(*half), 500, 100, false);
  rig.ledger->hear("d", {.state = shop::State::revoked}, true);
  ASSERT_EQ(reopen(), "");
  EXPECT_EQ(rig.ledger->links(), 4u);
  EXPECT_EQ(rig.copies("a"), 1u);
  EXPECT_EQ(rig.copies("b"), 1u);
  EXPECT_TRUE(rig.ledger->look("c", "").unfinished_copy);
  EXPECT_EQ(rig.ledger->view("c")->traffic_bytes, 600u);
  EXPECT_EQ(rig.ledger->look("d", "").word.state, shop::State::revoked);
  EXPECT_TRUE(rig.notes.empty()) << rig.notes.front();
}

TEST_F(LedgerTest, TellsTheOperatorWhatACrashHasLeft) {
  ASSERT_TRUE(rig.admit({}));
  rig.crash(Crash::process, random);
  rig.disk.put("ledger-0000000000000001.tgl",
               rig.disk.content("ledger-0000000000000001.tgl") + "torn");
  ASSERT_EQ(rig.open(), "");
  EXPECT_EQ(rig.notes,
            (std::vector<std::string>{
                "ledger-0000000000000001.tgl: cut 4 bytes of an unfinished last write",
                "ledger-0000000000000001.tgl: 1 transfers were in flight at the last stop; what "
                "was leased to them counts as delivered"}));
}

TEST_F(LedgerTest, SecondOnTheSameDirectoryIsRefused) {
  const auto second = Ledger::open(rig.disk.directory(), {}, rig.clock, {}, [](const auto&) {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error(), "the ledger's directory is in use by another tallygate");
  EXPECT_EQ(rig.disk.names(), (std::vector<std::string>{"ledger-0000000000000001.tgl"}));
}

TEST_F(LedgerTest, HeadReservesNothing) {
  const Span whole{0, 1000};
  AdmitRequest head;
  head.link_id = "a";
  head.signed_limit = 1;
  head.size = 1000;
  head.ranges = {&whole, 1};
  EXPECT_FALSE(rig.ledger->peek(head));
  EXPECT_FALSE(rig.ledger->knows("a"));
  const auto admitted = rig.admit({});
  EXPECT_EQ(rig.ledger->peek(head), Refusal::busy);
  rig.ledger->close(flight(*admitted), 1000, 0, true);
  EXPECT_EQ(rig.ledger->peek(head), Refusal::exhausted);
}

// -- the shop's word ----------------------------------------------------------------------------

TEST_F(LedgerTest, HearsOfUnknownLinksOnlyWhenToldToRememberThem) {
  rig.ledger->hear("x", {.state = shop::State::held}, false);
  EXPECT_FALSE(rig.ledger->knows("x"));
  rig.ledger->row_acknowledged("x");
  EXPECT_FALSE(rig.ledger->row_gone("x"));
  rig.ledger->hear("x", {.state = shop::State::held}, true);
  EXPECT_TRUE(rig.ledger->knows("x"));
}

TEST_F(LedgerTest, LooksAtAFileOfAFolderTogetherWithTheFolder) {
  EXPECT_FALSE(rig.ledger->look("f:1", "f").known);
  rig.ledger->hear("f:1", {.max_copies = 2}, true);
  EXPECT_FALSE(rig.ledger->look("f:1", "f").known) << "the folder's row was not seen yet";
  rig.ledger->hear("f", {.max_copies = 5, .expires_at = 77, .state = shop::State::refunded}, true);
  const Look look = rig.ledger->look("f:1", "f");
  EXPECT_TRUE(look.known);
  EXPECT_EQ(look.word.max_copies, 2);
  EXPECT_EQ(look.word.expires_at, 77);
  EXPECT_EQ(look.word.state, shop::State::refunded);
}

TEST_F(LedgerTest, RemembersAcrossRestartsThatARowWasThere) {
  ASSERT_TRUE(rig.download({}));
  rig.ledger->row_acknowledged("a");
  ASSERT_EQ(reopen(), "");
  EXPECT_TRUE(rig.ledger->row_gone("a"));
  ASSERT_EQ(reopen(), "");
  EXPECT_EQ(rig.ledger->look("a", "").word.state, shop::State::revoked);
}

// -- the follower -------------------------------------------------------------------------------

TEST_F(LedgerTest, TellsTheFollowerWhatACrashHasCounted) {
  ASSERT_TRUE(rig.admit({}));  // the whole file is leased
  rig.crash(Crash::all_lost, random);
  ASSERT_EQ(rig.open(), "");
  EXPECT_EQ(rig.copies("a"), 1u);
  EXPECT_EQ(rig.follower.copies("a", 0), 1u);
  EXPECT_EQ(rig.follower.blocked("a"), Blocked::copies);
}

TEST_F(LedgerTest, TellsTheFollowerInTheNextLifeWhatItMissedInThisOne) {
  rig.follower.die();
  ASSERT_TRUE(rig.download({}));
  rig.ledger->flush();
  EXPECT_EQ(rig.follower.cursor(), 0u);
  ASSERT_EQ(reopen(), "");
  EXPECT_EQ(rig.follower.copies("a", 0), 1u);
  EXPECT_TRUE(rig.follower.knows_used("a"));
}

// The last process was killed; what it wrote is in the system's cache, and not on the disk yet.
TEST_F(LedgerTest, TellsTheFollowerOnlyWhatAPowerCutCannotTakeBack) {
  for (std::uint64_t call = 1; call < 40; ++call) {
    SCOPED_TRACE(call);
    LedgerRig r;
    ASSERT_EQ(r.open(), "");
    ASSERT_TRUE(r.download({.link_id = "a", .limit = 9}));
    r.ledger->flush();
    r.follower.die();
    r.disk.fail_call(2, kIoError, true);  // written, and killed before it was synced
    const auto admitted = r.admit({.link_id = "b", .limit = kUnlimited});
    r.ledger->close(flight(*admitted), 1000, 0, true);
    r.ledger->flush();
    r.crash(Crash::process, random);
    r.disk.crash_at_call(call);
    static_cast<void>(r.open());
    r.crash(Crash::all_lost, random);
    ASSERT_EQ(r.open(), "");
    EXPECT_EQ(r.follower.copies("b", 0), r.copies("b"));
    ASSERT_TRUE(r.download({.link_id = "b", .limit = kUnlimited}));
    r.ledger->flush();
    EXPECT_EQ(r.follower.copies("b", 0), r.copies("b")) << "a number was used twice";
  }
}

TEST_F(LedgerTest, WorksWithoutAFollower) {
  rig.close();
  for (int i = 0; i < 2; ++i) {
    auto ledger = Ledger::open(rig.disk.directory(), {}, rig.clock, {}, [](const std::string&) {});
    ASSERT_TRUE(ledger) << ledger.error();
    rig.ledger = std::move(*ledger);
    EXPECT_EQ(rig.download({}).has_value(), i == 0);
    rig.close();
  }
}

// -- eviction -----------------------------------------------------------------------------------

class LedgerEviction : public LedgerTest {
 protected:
  static constexpr std::int64_t kDay = 86'400;
  // Restarts so often that no pause is long, until `days` have passed.
  void pass(int days) {
    for (int i = 0; i < days; ++i) {
      rig.close();
      rig.clock.set_unix(rig.clock.unix_now() + kDay);
      ASSERT_EQ(rig.open(), "");
    }
  }
  void use(const std::string& id, std::optional<std::int64_t> expires_at) {
    const auto admitted = rig.admit({.link_id = id, .limit = 9, .expires_at = expires_at});
    rig.ledger->close(flight(*admitted), 0, 0, false);
  }
};

TEST_F(LedgerEviction, ForgetsALinkThatExpiredLongAgo) {
  rig.options.keep_expired = std::chrono::seconds(3 * kDay);
  const std::int64_t now = rig.clock.unix_now();
  use("expired", now);
  use("moved", now);
  rig.ledger->hear("moved", {.expires_at = now + 30 * kDay}, true);
  use("never", {});
  pass(3);
  EXPECT_TRUE(rig.ledger->knows("expired")) << "exactly so long";
  pass(1);
  EXPECT_FALSE(rig.ledger->knows("expired"));
  EXPECT_TRUE(rig.ledger->knows("moved"));
  EXPECT_TRUE(rig.ledger->knows("never"));
}

TEST_F(LedgerEviction, ForgetsNothingWhenTheClockHasMadeAStep) {
  rig.options.keep_expired = std::chrono::seconds(3 * kDay);
  const std::int64_t now = rig.clock.unix_now();
  use("a", now);
  rig.close();
  for (const std::int64_t at : {now + 365 * kDay, now - 365 * kDay}) {
    rig.clock.set_unix(at);
    ASSERT_EQ(rig.open(), "");
    EXPECT_TRUE(rig.ledger->knows("a")) << at - now;
    rig.close();
  }
}

TEST_F(LedgerEviction, ForgetsNothingWhenTheClockHasMadeAStepWhileItRan) {
  rig.options.keep_expired = std::chrono::seconds(3 * kDay);
  use("a", rig.clock.unix_now());
  rig.ledger->flush();
  rig.clock.set_unix(rig.clock.unix_now() + 365 * kDay);
  use("b", {});
  ASSERT_EQ(reopen(), "");
  EXPECT_TRUE(rig.ledger->knows("a"));
}

// -- failing disks ------------------------------------------------------------------------------

TEST_F(LedgerTest, ThatCannotBeWrittenRefusesLimitedLinksAndServesTheOthers) {
  for (const error_code& error : {kIoError, kDiskFull}) {
    for (const std::uint64_t call : {1u, 2u}) {  // the write, the sync
      SCOPED_TRACE(fmt::format("{} at call {}", error.message(), call));
      LedgerRig r;
      ASSERT_EQ(r.open(), "");
      const auto running = r.admit({.link_id = "running", .window = 100});
      r.disk.fail_call(call, error, false);
      EXPECT_EQ(r.lease(flight(*running), 200), PendingLease::Outcome::unavailable);
      EXPECT_NE(r.ledger->failure().find(error.message()), std::string::npos);
      EXPECT_EQ(r.admit({.link_id = "new"}).error(), Refusal::unavailable);
      EXPECT_EQ(r.admit({.link_id = "new"}).error(), Refusal::unavailable) << "nothing is leaked";
      EXPECT_EQ(r.lease(flight(*running), 300), PendingLease::Outcome::unavailable);
      EXPECT_TRUE(r.download({.link_id = "free", .limit = kUnlimited}));
      EXPECT_EQ(r.copies("free"), 1u);
      r.ledger->close(flight(*running), 50, 50, false);
      EXPECT_EQ(r.disk.repeated_syncs(), 0u);
      r.crash(Crash::all_lost, random);
      ASSERT_EQ(r.open(), "") << "a restart reads back what is there";
      EXPECT_EQ(r.ledger->view("running")->traffic_bytes, 100u);
      EXPECT_TRUE(r.admit({.link_id = "new"}));
    }
  }
}

TEST_F(LedgerTest, OnADiskThatStallsTellsTheClientToComeBack) {
  rig.disk.stall();
  EXPECT_EQ(rig.admit({}).error(), Refusal::unavailable) << "after kDurableTimeout";
  EXPECT_EQ(rig.ledger->view("a")->in_flight, 0u);
  rig.disk.resume();
  EXPECT_TRUE(rig.admit({})) << "the disk is back";
}

TEST_F(LedgerTest, WithTooMuchWaitingForTheDiskAdmitsNoLimitedLink) {
  rig.disk.stall();
  const auto free = rig.admit({.link_id = "free", .limit = kUnlimited});
  TransferEnded large;
  large.user_agent.assign(60'000, 'x');
  for (int i = 0; i < 300; ++i) rig.ledger->ended(free->link, large);
  EXPECT_EQ(rig.admit({}).error(), Refusal::unavailable);
  EXPECT_TRUE(rig.admit({.link_id = "free", .limit = kUnlimited}));
  rig.disk.resume();
  rig.ledger->flush();
  EXPECT_TRUE(rig.admit({}));
}

// A short day of a shop; returns false as soon as the ledger says that it is not available.
struct Day {
  std::uint64_t acknowledged_bytes = 0;  // leases of link "a" that were granted
  bool opened = false;

  void run(LedgerRig& r) {
    if (!r.open().empty()) return;
    opened = true;
    const auto a = r.admit({.link_id = "a", .limit = 2, .window = 100});
    if (a) {
      acknowledged_bytes = 100;
      const FlightRef flight{a->link, a->first_flight};
      if (r.lease(flight, 300) == PendingLease::Outcome::granted) acknowledged_bytes = 300;
      r.ledger->settle(flight, 50);
      r.ledger->flush();  // each change a batch of its own, so that the calls are the same each day
      r.ledger->hear("a", {.max_copies = 3}, true);
      r.ledger->flush();
    }
    const auto free = r.admit({.link_id = "free", .limit = kUnlimited});
    ASSERT_TRUE(free) << "unlimited links go on";
    r.ledger->flush();
    r.ledger->close({free->link, free->first_flight}, 1000, 0, true);
    r.ledger->flush();
  }
};

TEST(LedgerFaults, OfWhateverCallLoseNoLeaseThatWasGranted) {
  std::uint64_t calls = 0;
  {
    LedgerRig r;
    r.disk.fail_nothing();
    Day day;
    day.run(r);
    ASSERT_EQ(day.acknowledged_bytes, 300u);
    calls = r.disk.calls();
  }
  ASSERT_GT(calls, 15u);
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  for (const Crash how : {Crash::process, Crash::all_lost, Crash::sectors}) {
    for (const error_code& error : {kIoError, kDiskFull}) {
      for (const bool forever : {false, true}) {
        for (std::uint64_t n = 1; n <= calls + 2; ++n) {
          SCOPED_TRACE(fmt::format("call {}, {}{}, crash {}", n, error.message(),
                                   forever ? " for good" : "", static_cast<int>(how)));
          LedgerRig r;
          r.disk.fail_call(n, error, forever);
          Day day;
          day.run(r);
          EXPECT_EQ(r.disk.repeated_syncs(), 0u);
          r.crash(how, random);
          ASSERT_EQ(r.open(), "");
          const auto view = r.ledger->view("a");
          const std::uint64_t kept = view ? view->traffic_bytes : 0;
          EXPECT_GE(kept, day.acknowledged_bytes);
          ASSERT_TRUE(r.download({.link_id = "a", .limit = 2}));
        }
      }
    }
  }
}

TEST(LedgerFaults, WhileItStartsAgainLoseNothing) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  for (const Crash how : {Crash::process, Crash::all_lost, Crash::sectors}) {
    for (const bool forever : {false, true}) {
      for (std::uint64_t n = 1; n <= 30; ++n) {
        SCOPED_TRACE(fmt::format("call {}, crash {}", n, static_cast<int>(how)));
        LedgerRig r;
        Day day;
        day.run(r);
        r.crash(how, random);
        r.disk.fail_call(n, kIoError, forever);
        static_cast<void>(r.open());
        r.crash(how, random);
        ASSERT_EQ(r.open(), "");
        EXPECT_GE(r.ledger->view("a")->traffic_bytes, 300u);
        EXPECT_EQ(r.ledger->view("a")->limit, 3u) << "the shop's word is kept";
        EXPECT_EQ(r.follower.copies("free", 0), r.copies("free"));
      }
    }
  }
}

}  // namespace
}  // namespace tallygate::ledger
