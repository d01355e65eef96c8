#include "server/ledger/ledger.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "server/ledger/files.h"
#include "tests/server/ledger/ledger_rig.h"

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
  // Everything that waits is written.
  void drain() {
    while (rig.ledger->turn()) {
    }
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
  const std::uint64_t calls = rig.disk.calls();
  const auto admitted = rig.admit({.limit = kUnlimited, .window = 10});
  ASSERT_TRUE(admitted);
  EXPECT_EQ(rig.lease(flight(*admitted), 1000), PendingLease::Outcome::granted);
  EXPECT_EQ(rig.ledger->close(flight(*admitted), 1000, 0, true), 1u);
  EXPECT_EQ(rig.disk.calls(), calls);
}

TEST_F(LedgerTest, KeepsALinkAtRestAndWakesItExactlyAsItWas) {
  const auto half = rig.admit({.limit = 3, .window = 400, .expires_at = 2'000'000'000});
  rig.ledger->close(flight(*half), 300, 100, false);
  const AccountView before = *rig.ledger->view("a");
  EXPECT_EQ(before.identity.path, "") << "it is on disk only";
  EXPECT_TRUE(before.identity.used);
  EXPECT_EQ(before.traffic_bytes, 400u);
  const auto running = rig.admit({.limit = 3, .range = Span{300, 1000}});
  EXPECT_EQ(rig.ledger->view("a")->in_flight, 1u);
  rig.ledger->close(flight(*running), 700, 0, true);
  const AccountView after = *rig.ledger->view("a");
  EXPECT_EQ(after.copies, 1u) << "it knew which bytes it had delivered";
  EXPECT_EQ(after.traffic_bytes, 1100u);
  EXPECT_EQ(after.signed_terms, before.signed_terms);
  EXPECT_EQ(after.in_flight, 0u);
}

TEST_F(LedgerTest, TakesFewBytesOfMemoryForALinkAtRest) {
  const std::size_t empty = rig.ledger->memory_bytes();
  constexpr std::size_t kLinks = 20'000;
  for (std::size_t i = 0; i < kLinks; ++i) {
    rig.ledger->hear(fmt::format("link-{}", i), {.max_copies = 3}, true);
    if (i % 500 == 0) drain();
  }
  EXPECT_EQ(rig.ledger->links(), kLinks);
  // Chunks are half empty as yet: a shard has five links.
  EXPECT_LT(rig.ledger->memory_bytes() - empty, 4096 * 2200 + kLinks * 48);
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
  std::string torn = rig.disk.content(segment_name(1));
  torn.replace(torn.size() - 4, 4, "torn");
  rig.disk.put(segment_name(1), torn);
  ASSERT_EQ(rig.open(), "");
  EXPECT_EQ(rig.notes,
            (std::vector<std::string>{
                "journal-0000000000000001.tgj: cut 57344 bytes of an unfinished last write",
                "1 transfers were in flight at the last stop; what was leased to them counts as "
                "delivered"}));
}

// -- what stands in the directory ---------------------------------------------------------------

TEST_F(LedgerTest, SecondOnTheSameDirectoryIsRefused) {
  const auto before = rig.disk.names();
  const auto second = Ledger::open(rig.disk.directory(), {}, rig.clock, {}, [](const auto&) {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error(), "the ledger's directory is in use by another tallygate");
  EXPECT_EQ(rig.disk.names(), before);
  EXPECT_TRUE(rig.download({})) << "the first goes on";
}

TEST_F(LedgerTest, OpensBesideWhateverElseIsThere) {
  ASSERT_TRUE(rig.download({}));
  ASSERT_EQ(rig.ledger->take_snapshot(), "");
  ASSERT_TRUE(rig.download({.link_id = "b"}));
  drain();
  rig.close();
  rig.disk.put("outbox.db", "not ours");
  rig.disk.put("journal-000000000000000A.tgj", "not a name of ours");
  rig.disk.put("journal-0000000000000009.tgj.new", "never finished");
  rig.disk.put("snapshot-0000000000000009.tgs.new", "never finished");
  ASSERT_EQ(rig.open(), "");
  EXPECT_EQ(rig.copies("a"), 1u);
  EXPECT_EQ(rig.copies("b"), 1u);
  EXPECT_EQ(rig.disk.names(), (std::vector<std::string>{
                                  "journal-0000000000000001.tgj", "journal-0000000000000002.tgj",
                                  "journal-0000000000000003.tgj", "journal-000000000000000A.tgj",
                                  "outbox.db", "snapshot-0000000000000002.tgs"}));
}

TEST_F(LedgerTest, NeverWritesToASegmentOfAnEarlierRun) {
  for (std::uint64_t run = 1; run <= 4; ++run) {
    ASSERT_TRUE(rig.download({.limit = 9}));
    rig.close();
    const std::string before = rig.disk.content(segment_name(run));
    ASSERT_EQ(rig.open(), "");
    ASSERT_TRUE(rig.download({.limit = 9}));
    EXPECT_EQ(rig.disk.content(segment_name(run)), before);
    ASSERT_EQ(reopen(), "");
    rig.close();
    ASSERT_EQ(rig.open(), "") << "one that wrote nothing leaves no segment";
    ++run;
  }
  EXPECT_EQ(rig.copies("a"), 4u);
}

TEST_F(LedgerTest, RefusesAFollowerThatHasSeenMoreThanItHas) {
  ASSERT_TRUE(rig.download({}));
  drain();
  const std::uint64_t end = rig.follower.cursor();
  rig.close();
  const auto names = rig.disk.names();
  // The end of the run has a number of its own, for what it put in doubt.
  for (const std::uint64_t cursor : {end + 2, end + 1000}) {
    rig.options.follower_cursor = [cursor] { return cursor; };
    const std::string error = rig.open();
    EXPECT_EQ(error.find(fmt::format("the ledger ends with record {}, and the shop's outbox has "
                                     "taken {}",
                                     end + 1, cursor)),
              0u)
        << error;
    EXPECT_EQ(rig.disk.names(), names) << "nothing was changed";
  }
  for (const std::uint64_t cursor : {end + 1, end}) {
    rig.options.follower_cursor = [cursor] { return cursor; };
    EXPECT_EQ(rig.open(), "");
    rig.close();
  }
}

TEST_F(LedgerTest, GoesBackToTheSnapshotBeforeADamagedOne) {
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(rig.download({.limit = 9}));
    ASSERT_EQ(rig.ledger->take_snapshot(), "");
    drain();
  }
  rig.close();
  std::string bytes = rig.disk.content(snapshot_name(4));
  bytes[kBlockBytes + kLinkBlockHeadBytes] ^= 1;
  rig.disk.put(snapshot_name(4), bytes);
  ASSERT_EQ(rig.open(), "");
  EXPECT_EQ(rig.copies("a"), 3u);
  EXPECT_EQ(rig.follower.copies("a", 0), 3u);
  ASSERT_EQ(rig.notes.size(), 1u);
  EXPECT_NE(
      rig.notes[0].find("snapshot-0000000000000004.tgs at byte 4096: block 1 of 1 is damaged"),
      std::string::npos)
      << rig.notes[0];
  EXPECT_NE(rig.notes[0].find("nothing is lost"), std::string::npos);
  rig.close();
  rig.disk.put(snapshot_name(3), "damaged");
  const auto names = rig.disk.names();
  EXPECT_NE(rig.open(), "") << "the journal does not reach back";
  EXPECT_EQ(rig.disk.names(), names);
}

// -- where a link was used ----------------------------------------------------------------------

class LedgerUse : public LedgerTest {
 protected:
  void use(std::string_view link_id, std::string_view parent_id, std::string_view path,
           std::uint64_t version = 1) {
    const Span whole{0, 1000};
    AdmitRequest request;
    request.link_id = link_id;
    request.parent_id = parent_id;
    request.path = path;
    request.signed_limit = 9;
    request.version = {version};
    request.size = 1000;
    request.ranges = {&whole, 1};
    const auto admitted = rig.run(rig.ledger->admit(request, rig.room));
    ASSERT_TRUE(admitted);
    rig.ledger->close(flight(*admitted), 0, 0, false);
  }
  void expect_uses() {
    EXPECT_EQ(rig.ledger->find_use("a"), (Used{"", "/music/a.flac"}));
    EXPECT_EQ(rig.ledger->find_use("f:1"), (Used{"f", "/folder/b.flac"}));
    EXPECT_EQ(rig.ledger->find_use("moved"), (Used{"", "/new.flac"}));
    EXPECT_FALSE(rig.ledger->find_use("heard")) << "it was never used";
    EXPECT_FALSE(rig.ledger->find_use("unknown"));
  }
};

TEST_F(LedgerUse, IsFoundInTheFilesOfLinksAtRest) {
  use("a", "", "/music/a.flac");
  use("f:1", "f", "/folder/b.flac");
  use("moved", "", "/old.flac", 1);
  use("moved", "", "/new.flac", 2);
  rig.ledger->hear("heard", {.max_copies = 2}, true);
  for (int restart = 0; restart < 2; ++restart) {
    SCOPED_TRACE("in the journal");
    expect_uses();
    ASSERT_EQ(reopen(), "");
  }
  for (int restart = 0; restart < 2; ++restart) {
    SCOPED_TRACE("in the snapshot");
    rig.ledger->turn();
    ASSERT_EQ(rig.ledger->take_snapshot(), "");
    expect_uses();
    ASSERT_EQ(reopen(), "");
  }
}

TEST_F(LedgerUse, IsThatOfTheNewestVersionThoughTheSnapshotHasAnother) {
  use("moved", "", "/old.flac", 1);
  drain();
  ASSERT_EQ(rig.ledger->take_snapshot(), "");
  EXPECT_EQ(rig.ledger->find_use("moved"), (Used{"", "/old.flac"}));
  use("moved", "", "/new.flac", 2);
  EXPECT_EQ(rig.ledger->find_use("moved"), (Used{"", "/new.flac"}));
  ASSERT_EQ(reopen(), "");
  EXPECT_EQ(rig.ledger->find_use("moved"), (Used{"", "/new.flac"}));
}

TEST_F(LedgerTest, HeadReservesNothing) {
  const Span whole{0, 1000};
  AdmitRequest head;
  head.link_id = "a";
  head.signed_limit = 1;
  head.version = {1};
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
  Ledger::Options options = rig.options;
  options.follower_cursor = {};
  for (int i = 0; i < 3; ++i) {
    auto ledger =
        Ledger::open(rig.disk.directory(), options, rig.clock, {}, [](const std::string&) {});
    ASSERT_TRUE(ledger) << ledger.error();
    rig.ledger = std::move(*ledger);
    EXPECT_FALSE(rig.ledger->has_follower());
    EXPECT_EQ(rig.download({}).has_value(), i == 0);
    EXPECT_EQ(rig.ledger->take_snapshot(), "");
    rig.close();
  }
}

// -- failing disks ------------------------------------------------------------------------------

TEST_F(LedgerTest, ThatCannotBeWrittenRefusesLimitedLinksAndServesTheOthers) {
  const struct {
    std::uint64_t call;  // the write, the sync
    error_code error;
  } cases[] = {{1, kIoError}, {2, kIoError}, {2, kDiskFull}};
  for (const auto& c : cases) {
    SCOPED_TRACE(fmt::format("{} at call {}", c.error.message(), c.call));
    LedgerRig r;
    ASSERT_EQ(r.open(), "");
    const auto running = r.admit({.link_id = "running", .window = 100});
    r.disk.fail_call(c.call, c.error, false);
    EXPECT_EQ(r.lease(flight(*running), 200), PendingLease::Outcome::unavailable);
    EXPECT_NE(r.ledger->failure().find(c.error.message()), std::string::npos);
    EXPECT_EQ(r.admit({.link_id = "new"}).error(), Refusal::unavailable);
    EXPECT_EQ(r.admit({.link_id = "new"}).error(), Refusal::unavailable) << "nothing is leaked";
    EXPECT_EQ(r.lease(flight(*running), 300), PendingLease::Outcome::unavailable);
    EXPECT_TRUE(r.download({.link_id = "free", .limit = kUnlimited}));
    EXPECT_EQ(r.copies("free"), 1u);
    r.ledger->close(flight(*running), 50, 50, false);
    EXPECT_FALSE(r.ledger->flush());
    EXPECT_EQ(r.disk.repeated_syncs(), 0u);
    r.crash(Crash::all_lost, random);
    ASSERT_EQ(r.open(), "") << "a restart reads back what is there";
    EXPECT_EQ(r.ledger->view("running")->traffic_bytes, 100u);
    EXPECT_TRUE(r.admit({.link_id = "new"}));
  }
}

TEST_F(LedgerTest, OnAFullDiskRefusesLimitedLinksAndGoesOnByItself) {
  const auto running = rig.admit({.link_id = "running", .window = 100});
  rig.disk.fail_call(1, kDiskFull, true);
  EXPECT_EQ(rig.lease(flight(*running), 200), PendingLease::Outcome::unavailable);
  EXPECT_EQ(rig.ledger->failure(), "the journal cannot be written: No space left on device");
  EXPECT_FALSE(rig.ledger->flush());
  EXPECT_EQ(rig.admit({.link_id = "new"}).error(), Refusal::unavailable);
  EXPECT_FALSE(rig.ledger->knows("new") && rig.ledger->view("new")->in_flight != 0);
  EXPECT_TRUE(rig.download({.link_id = "free", .limit = kUnlimited}));
  rig.disk.fail_nothing();
  EXPECT_TRUE(rig.ledger->flush());
  EXPECT_EQ(rig.ledger->failure(), "");
  EXPECT_EQ(rig.lease(flight(*running), 300), PendingLease::Outcome::granted);
  EXPECT_TRUE(rig.download({.link_id = "new"}));
  drain();
  EXPECT_EQ(rig.follower.copies("free", 0), 1u);
  rig.crash(Crash::all_lost, random);
  ASSERT_EQ(rig.open(), "");
  EXPECT_EQ(rig.ledger->view("running")->traffic_bytes, 300u) << "nothing was lost";
  EXPECT_EQ(rig.copies("free"), 1u);
}

TEST(Ledger, OnADiskThatStallsTellsTheClientToComeBack) {  // J16
  LedgerRig rig;
  rig.options.background = true;
  ASSERT_EQ(rig.open(), "");
  rig.disk.stall();
  WaitingRoom impatient(rig.context.get_executor(), std::chrono::milliseconds(1));
  const Span whole{0, 1000};
  AdmitRequest request;
  request.link_id = "a";
  request.path = "/f";
  request.signed_limit = 1;
  request.version = {1};
  request.size = 1000;
  request.ranges = {&whole, 1};
  request.window_bytes = 1000;
  EXPECT_EQ(rig.run(rig.ledger->admit(request, impatient)).error(), Refusal::unavailable);
  EXPECT_EQ(rig.ledger->view("a")->in_flight, 0u);
  rig.disk.resume();
  EXPECT_TRUE(rig.admit({})) << "the disk is back";
}

TEST(Ledger, WithTooMuchWaitingForTheDiskAdmitsNoLimitedLink) {  // O6
  LedgerRig rig;
  rig.options.segment_bytes_min = rig.options.segment_bytes_max = 32 << 20;
  ASSERT_EQ(rig.open(), "");
  TransferEnded large;
  large.user_agent.assign(60'000, 'x');
  for (int i = 0; i < 300; ++i) rig.ledger->ended("free", large);
  EXPECT_EQ(rig.admit({}).error(), Refusal::unavailable);
  EXPECT_TRUE(rig.admit({.link_id = "free", .limit = kUnlimited}));
  while (rig.ledger->turn()) {
  }
  EXPECT_TRUE(rig.admit({}));
}

}  // namespace
}  // namespace tallygate::ledger
