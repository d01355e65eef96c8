// A snapshot while transfers are in flight, and while the disk or the power fails.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "server/ledger/files.h"
#include "server/ledger/keeper.h"
#include "tests/server/ledger/ledger_rig.h"
#include "tests/support/seed.h"

namespace tallygate::ledger {
namespace {

const error_code kIoError = make_error_code(boost::system::errc::io_error);
const error_code kDiskFull = make_error_code(boost::system::errc::no_space_on_device);
constexpr Limit kUnlimited = std::nullopt;

// Everything that waits is written.
void drain(LedgerRig& rig) {
  while (rig.ledger->turn()) {
  }
}

FlightRef flight(const Result<Admission, Refusal>& admission) {
  return {admission->link, admission->first_flight};
}

// What is known of a link, for comparisons.
std::string known(LedgerRig& rig, const std::string& link_id) {
  const auto view = rig.ledger->view(link_id);
  if (!view) return "unknown";
  return fmt::format(
      "used {}, signed {}/{}, limit {}, counted {}, copies {}, traffic {}, in flight {}, blocked "
      "{}, unfinished {}, row {}, state {}, reset {}; told: {} copies, blocked {}, used {}",
      view->identity.used, view->signed_terms.limit.value_or(99),
      view->signed_terms.expires_at.value_or(0), view->limit.value_or(99), view->counted,
      view->copies, view->traffic_bytes, view->in_flight, static_cast<int>(view->blocked),
      view->unfinished_copy, view->spoken.row_known, static_cast<int>(view->spoken.word.state),
      view->spoken.word.reset_gen, rig.follower.copies(link_id, view->spoken.word.reset_gen),
      static_cast<int>(rig.follower.blocked(link_id)), rig.follower.knows_used(link_id));
}

// -- what a snapshot holds ----------------------------------------------------------------------

const char* const kLinks[] = {"whole", "half", "running", "opened later", "free", "told", "reset"};

// Two transfers go on from `before` to `after`; snapshots are taken between the three.
struct Life {
  FlightRef running;
  FlightRef ends;

  void before(LedgerRig& rig) {
    ASSERT_TRUE(rig.download({.link_id = "whole", .limit = 2}));
    const auto half = rig.admit({.link_id = "half", .limit = 2, .expires_at = 1'900'000'000});
    rig.ledger->close(flight(half), 500, 100, false);
    ASSERT_TRUE(rig.download({.link_id = "free", .limit = kUnlimited}));
    rig.ledger->hear("told", {.max_copies = 7, .state = shop::State::held}, true);
    rig.ledger->row_acknowledged("half");
    ASSERT_TRUE(rig.download({.link_id = "reset"}));
    rig.ledger->hear("reset", {.reset_gen = 1}, true);
    running = flight(rig.admit({.link_id = "running", .limit = 3, .window = 400}));
    rig.ledger->settle(running, 150);
    ends = flight(rig.admit({.link_id = "half", .limit = 2, .window = 300}));
    drain(rig);
  }
  void between(LedgerRig& rig) {
    ASSERT_TRUE(rig.download({.link_id = "whole", .limit = 2}));
    rig.ledger->settle(running, 50);
    drain(rig);
  }
  void after(LedgerRig& rig) {
    EXPECT_EQ(rig.lease(running, 700), PendingLease::Outcome::granted);
    rig.ledger->settle(running, 200);
    rig.ledger->close(ends, 300, 0, false);
    ASSERT_TRUE(rig.admit({.link_id = "opened later", .limit = 3, .window = 10}));
    ASSERT_TRUE(rig.download({.link_id = "reset"}));
    drain(rig);
  }
};

std::map<std::string, std::string> all_known(LedgerRig& rig) {
  std::map<std::string, std::string> all;
  for (const char* link_id : kLinks) all[link_id] = known(rig, link_id);
  all["links"] = std::to_string(rig.ledger->links());
  return all;
}

// The same life without a snapshot: as it stands in the end, or after a crash.
std::map<std::string, std::string> expected(bool with_after, bool crashed) {
  LedgerRig rig;
  EXPECT_EQ(rig.open(), "");
  Life life;
  life.before(rig);
  if (with_after) {
    life.between(rig);
    life.after(rig);
  }
  std::mt19937_64 random(1);
  if (crashed) {
    rig.crash(Crash::all_lost, random);
    EXPECT_EQ(rig.open(), "");
  }
  return all_known(rig);
}

class KeeperSnapshot : public testing::Test {
 protected:
  void open() { ASSERT_EQ(rig.open(), ""); }
  LedgerRig rig;
  std::mt19937_64 random{1};
};

TEST_F(KeeperSnapshot, IsTakenWhileTransfersAreInFlightAndTheyGoOn) {
  open();
  Life life;
  life.before(rig);
  ASSERT_EQ(rig.ledger->take_snapshot(), "");
  EXPECT_EQ(all_known(rig), expected(false, false)) << "nobody noticed";
  life.between(rig);
  life.after(rig);
  EXPECT_EQ(all_known(rig), expected(true, false));
  rig.crash(Crash::all_lost, random);
  rig.notes.clear();
  open();
  EXPECT_EQ(all_known(rig), expected(true, true)) << "exactly what was in flight is in doubt";
  EXPECT_EQ(rig.notes,
            (std::vector<std::string>{"2 transfers were in flight at the last stop; what was "
                                      "leased to them counts as delivered"}));
  ASSERT_EQ(rig.ledger->take_snapshot(), "");
  drain(rig);
  rig.close();
  open();
  EXPECT_EQ(all_known(rig), expected(true, true)) << "and only once";
}

TEST_F(KeeperSnapshot, PutsInDoubtWhatWasInFlightWhenThereIsNothingBehindTheSnapshot) {
  open();
  Life life;
  life.before(rig);
  ASSERT_EQ(rig.ledger->take_snapshot(), "");
  rig.crash(Crash::all_lost, random);
  for (int run = 0; run < 3; ++run) {
    open();
    EXPECT_EQ(all_known(rig), expected(false, true));
    rig.ledger->turn();
    ASSERT_EQ(rig.ledger->take_snapshot(), "") << "of the run before, since this wrote nothing";
    rig.crash(Crash::all_lost, random);
  }
}

// -- failing disks ------------------------------------------------------------------------------

std::uint64_t calls_of_a_snapshot() {
  LedgerRig rig;
  EXPECT_EQ(rig.open(), "");
  Life life;
  life.before(rig);
  EXPECT_EQ(rig.ledger->take_snapshot(), "");
  drain(rig);
  life.between(rig);
  rig.disk.fail_nothing();
  EXPECT_EQ(rig.ledger->take_snapshot(), "");
  return rig.disk.calls();
}

TEST_F(KeeperSnapshot, ThatFailsHarmsNobodyAndTheNextWorks) {  // J15
  const std::uint64_t calls = calls_of_a_snapshot();
  ASSERT_GT(calls, 12u);
  const auto before_stop = expected(true, false);
  const auto after_crash = expected(true, true);
  std::uint64_t failures = 0;
  for (const error_code& error : {kIoError, kDiskFull}) {
    for (const bool forever : {false, true}) {
      for (std::uint64_t n = 1; n <= calls; ++n) {
        for (const bool again : {false, true}) {
          SCOPED_TRACE(fmt::format("call {} of {}: {}{}{}", n, calls, error.message(),
                                   forever ? " for good" : "", again ? ", tried again" : ""));
          LedgerRig r;
          ASSERT_EQ(r.open(), "");
          Life life;
          life.before(r);
          ASSERT_EQ(r.ledger->take_snapshot(), "");
          drain(r);
          life.between(r);
          r.disk.fail_call(n, error, forever);
          const std::string wrong = r.ledger->take_snapshot();
          failures += wrong.empty() ? 0u : 1u;
          EXPECT_EQ(r.ledger->warning().empty(), wrong.empty());
          EXPECT_EQ(r.ledger->failure(), "") << "nobody who is served hears of it";
          r.disk.fail_nothing();
          EXPECT_FALSE(list_files(*r.disk.directory())->snapshots.empty());
          life.after(r);
          EXPECT_EQ(all_known(r), before_stop);
          if (again) {
            ASSERT_EQ(r.ledger->take_snapshot(), "");
            EXPECT_EQ(r.ledger->warning(), "");
            drain(r);
            EXPECT_LE(list_files(*r.disk.directory())->snapshots.size(), 3u);
          }
          EXPECT_EQ(r.disk.repeated_syncs(), 0u);
          r.crash(Crash::all_lost, random);
          ASSERT_EQ(r.open(), "");
          ASSERT_EQ(all_known(r), after_crash);
        }
      }
    }
  }
  EXPECT_GT(failures, calls) << "most calls matter";
}

TEST_F(KeeperSnapshot, LosesNothingWhenThePowerFailsInTheMiddleOfIt) {  // J14
  const std::uint64_t calls = calls_of_a_snapshot();
  const auto after_crash = expected(true, true);
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 chance(seed);
  for (const Crash how : {Crash::process, Crash::all_lost, Crash::sectors, Crash::sectors}) {
    for (std::uint64_t n = 1; n <= calls + 1; ++n) {
      SCOPED_TRACE(fmt::format("call {} of {}, crash {}", n, calls, static_cast<int>(how)));
      LedgerRig r;
      ASSERT_EQ(r.open(), "");
      Life life;
      life.before(r);
      ASSERT_EQ(r.ledger->take_snapshot(), "");
      drain(r);
      life.between(r);
      life.after(r);
      r.disk.crash_at_call(n);
      static_cast<void>(r.ledger->take_snapshot());
      r.crash(how, chance);
      ASSERT_EQ(r.open(), "");
      ASSERT_EQ(all_known(r), after_crash);
      r.ledger->turn();
      ASSERT_EQ(r.ledger->take_snapshot(), "");
      r.crash(how, chance);
      ASSERT_EQ(r.open(), "");
      ASSERT_EQ(all_known(r), after_crash);
      const auto names = r.disk.names();
      EXPECT_TRUE(std::none_of(names.begin(), names.end(),
                               [](const std::string& name) { return name.ends_with(".new"); }));
    }
  }
}

}  // namespace
}  // namespace tallygate::ledger
