#include "server/ledger/keeper.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "server/ledger/files.h"
#include "server/ledger/snapshot_file.h"
#include "tests/server/ledger/ledger_rig.h"

namespace tallygate::ledger {
namespace {

using namespace std::chrono_literals;

const error_code kIoError = make_error_code(boost::system::errc::io_error);
const error_code kDiskFull = make_error_code(boost::system::errc::no_space_on_device);

// Everything that waits is written, and what is due is done.
void drain(LedgerRig& rig) {
  while (rig.ledger->turn()) {
  }
}

std::vector<std::uint64_t> snapshots(LedgerRig& rig) {
  return list_files(*rig.disk.directory())->snapshots;
}
std::vector<std::uint64_t> segments(LedgerRig& rig) {
  return list_files(*rig.disk.directory())->segments;
}
using Numbers = std::vector<std::uint64_t>;

class KeeperTest : public testing::Test {
 protected:
  // With what is set of its options.
  void open() { ASSERT_EQ(rig.open(), ""); }
  // A batch of one block.
  void write_batch() {
    rig.ledger->hear("told", {.not_before = ++batches}, true);
    drain(rig);
  }
  LedgerRig rig;
  std::int64_t batches = 0;
  std::mt19937_64 random{1};
};

// -- the next segment ---------------------------------------------------------------------------

TEST_F(KeeperTest, MakesTheNextSegmentAheadOfNeed) {
  open();
  EXPECT_EQ(segments(rig), (Numbers{1}));
  rig.ledger->turn();
  EXPECT_EQ(segments(rig), (Numbers{1, 2}));
  EXPECT_EQ(rig.disk.content(segment_name(2)).size(), rig.options.segment_bytes_min);
  for (int i = 0; i < 15; ++i) write_batch();
  EXPECT_EQ(segments(rig), (Numbers{1, 2})) << "the first is full to the brim";
  write_batch();
  EXPECT_EQ(segments(rig), (Numbers{1, 2, 3}));
}

TEST_F(KeeperTest, SaysOnceThatItCannotMakeASegmentAndTriesAgain) {
  open();
  rig.disk.fail_call(1, kDiskFull, true);
  for (int i = 0; i < 3; ++i) {
    rig.ledger->turn();
    EXPECT_EQ(rig.ledger->warning(),
              "the journal's next segment cannot be made: No space left on device");
    EXPECT_EQ(rig.ledger->failure(), "") << "there is room in the current one";
  }
  EXPECT_EQ(rig.notes.size(), 1u);
  rig.disk.fail_nothing();
  rig.ledger->turn();
  EXPECT_EQ(rig.ledger->warning(), "");
  EXPECT_EQ(segments(rig), (Numbers{1, 2}));
  EXPECT_EQ(rig.notes.size(), 1u);
}

TEST_F(KeeperTest, TellsCustomersAndOperatorWhenTheLastSegmentIsFull) {  // J17
  open();
  rig.disk.set_judge([](DiskCall call, const std::string&) -> FakeDisk::Fault {
    return {call == DiskCall::allocate ? kDiskFull : error_code()};
  });
  while (rig.ledger->failure().empty()) write_batch();
  EXPECT_EQ(rig.ledger->failure(),
            "the journal's next segment cannot be made: No space left on device");
  EXPECT_EQ(rig.admit({}).error(), Refusal::unavailable);
  rig.disk.set_judge({});
  drain(rig);
  EXPECT_EQ(rig.ledger->failure(), "");
  EXPECT_TRUE(rig.admit({}));
  const std::int64_t last = *rig.ledger->view("told")->spoken.word.not_before;
  rig.crash(Crash::all_lost, random);
  open();
  EXPECT_EQ(rig.ledger->view("told")->spoken.word.not_before, last) << "nothing was lost";
}

TEST_F(KeeperTest, MakesASegmentThatIsWholeWhicheverCallFailed) {  // J14
  for (std::uint64_t call = 1; call <= 6; ++call) {
    for (const bool forever : {false, true}) {
      SCOPED_TRACE(fmt::format("call {}{}", call, forever ? " and all after it" : ""));
      LedgerRig r;
      ASSERT_EQ(r.open(), "");
      r.disk.fail_call(call, kIoError, forever);
      r.ledger->turn();
      EXPECT_NE(r.ledger->warning(), "");
      r.disk.fail_nothing();
      r.ledger->turn();
      EXPECT_EQ(r.ledger->warning(), "");
      EXPECT_EQ(r.disk.names(), (std::vector<std::string>{segment_name(1), segment_name(2)}));
      for (int i = 0; i < 20; ++i) {
        ASSERT_TRUE(r.download({.limit = 99}));
        drain(r);
      }
      r.crash(Crash::all_lost, random);
      ASSERT_EQ(r.open(), "");
      EXPECT_EQ(r.copies("a"), 20u);
      EXPECT_EQ(r.disk.repeated_syncs(), 0u);
    }
  }
}

// -- when a snapshot is due ---------------------------------------------------------------------

TEST_F(KeeperTest, TakesASnapshotWhenTheJournalHasGrown) {
  rig.options.snapshot_after_min = rig.options.snapshot_after_max = 4 * kBlockBytes;
  open();
  for (std::uint64_t n = 2; n < 6; ++n) {
    for (int i = 0; i < 3; ++i) write_batch();
    EXPECT_TRUE(snapshots(rig).empty() || snapshots(rig).back() == n - 1);
    write_batch();
    EXPECT_EQ(snapshots(rig).back(), n);
  }
  EXPECT_EQ(rig.ledger->warning(), "");
}

TEST_F(KeeperTest, TakesTheNextWhenTheJournalHasGrownByHalfOfTheLastOne) {
  rig.options.segment_bytes_min = rig.options.segment_bytes_max = 1 << 20;
  rig.options.snapshot_after_min = kBlockBytes;
  open();
  for (int i = 0; i < 3000; ++i) {
    rig.ledger->hear(fmt::format("link-{}", i), {.max_copies = 3}, true);
  }
  drain(rig);
  ASSERT_EQ(snapshots(rig), (Numbers{2}));
  const std::uint64_t bytes = SnapshotFile::open(*rig.disk.directory(), 2)->bytes();
  ASSERT_GT(bytes, 8 * kBlockBytes);
  std::uint64_t grown = 0;
  for (; snapshots(rig).back() == 2; grown += kBlockBytes) write_batch();
  EXPECT_GE(grown, bytes / 2);
  EXPECT_LT(grown, bytes / 2 + kBlockBytes);
}

TEST_F(KeeperTest, CountsWhatEarlierRunsHaveWritten) {
  rig.options.snapshot_after_min = rig.options.snapshot_after_max = 256 << 10;
  for (int run = 0; run < 3; ++run) {
    open();
    EXPECT_TRUE(snapshots(rig).empty());
    write_batch();
    rig.close();
  }
  open();
  rig.ledger->turn();
  EXPECT_EQ(snapshots(rig), (Numbers{4}));
}

TEST_F(KeeperTest, TriesAgainAMinuteAfterASnapshotThatFailed) {  // J15
  rig.options.snapshot_after_min = rig.options.snapshot_after_max = 2 * kBlockBytes;
  open();
  rig.disk.set_judge([](DiskCall, const std::string& name) -> FakeDisk::Fault {
    return {name.starts_with("snapshot-") ? kDiskFull : error_code()};
  });
  for (int i = 0; i < 4; ++i) write_batch();
  const std::string trouble =
      "no snapshot could be taken, the journal grows: cannot create "
      "snapshot-0000000000000002.tgs.new: No space left on device";
  EXPECT_EQ(rig.ledger->warning(), trouble);
  EXPECT_EQ(rig.ledger->failure(), "");
  EXPECT_EQ(rig.notes, (std::vector<std::string>{trouble})) << "said once";
  rig.disk.set_judge({});
  rig.clock.advance(59s);
  rig.ledger->turn();
  EXPECT_TRUE(snapshots(rig).empty());
  rig.clock.advance(1s);
  rig.ledger->turn();
  EXPECT_EQ(snapshots(rig).size(), 1u);
  EXPECT_EQ(rig.ledger->warning(), "");
}

TEST_F(KeeperTest, TakesNoneOfAJournalThatHasFailed) {
  rig.options.snapshot_after_min = rig.options.snapshot_after_max = 2 * kBlockBytes;
  open();
  write_batch();
  rig.disk.fail_call(2, kIoError, false);
  for (int i = 0; i < 5; ++i) write_batch();
  EXPECT_TRUE(snapshots(rig).empty());
  EXPECT_NE(rig.ledger->take_snapshot(), "");
  EXPECT_EQ(rig.disk.repeated_syncs(), 0u);
}

TEST_F(KeeperTest, TakesOneOfALedgerThatHasNothing) {
  open();
  ASSERT_EQ(rig.ledger->take_snapshot(), "");
  ASSERT_EQ(rig.ledger->take_snapshot(), "") << "and one more of the same";
  EXPECT_EQ(snapshots(rig), (Numbers{1}));
  ASSERT_TRUE(rig.download({}));
  for (int run = 0; run < 3; ++run) {
    rig.close();
    open();
    EXPECT_EQ(rig.copies("a"), 1u);
    rig.ledger->turn();
    ASSERT_EQ(rig.ledger->take_snapshot(), "");
  }
  EXPECT_EQ(rig.follower.copies("a", 0), 1u);
}

// -- what is removed ----------------------------------------------------------------------------

TEST_F(KeeperTest, KeepsTheGenerationBeforeAndRemovesWhatIsOlder) {
  rig.disk.put("outbox.db", "not ours");
  open();
  for (std::uint64_t n = 2; n < 7; ++n) {
    ASSERT_TRUE(rig.download({.limit = 99}));
    ASSERT_EQ(rig.ledger->take_snapshot(), "");
    drain(rig);
    if (n == 2) {
      EXPECT_EQ(snapshots(rig), (Numbers{2}));
      EXPECT_EQ(segments(rig), (Numbers{1, 2, 3})) << "the generation before is the beginning";
    } else {
      EXPECT_EQ(snapshots(rig), (Numbers{n - 1, n}));
      EXPECT_EQ(segments(rig), (Numbers{n - 1, n, n + 1}));
    }
  }
  EXPECT_EQ(rig.disk.content("outbox.db"), "not ours");
}

TEST_F(KeeperTest, KeepsWhatTheFollowerHasYetToTakeAndTellsItAfterARestart) {
  for (const bool crash : {false, true}) {
    SCOPED_TRACE(crash);
    LedgerRig r;
    ASSERT_EQ(r.open(), "");
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(r.download({.limit = 99}));
      ASSERT_EQ(r.ledger->take_snapshot(), "");
      drain(r);
    }
    ASSERT_EQ(snapshots(r), (Numbers{2, 3}));
    r.follower.die();
    for (int i = 0; i < 4; ++i) {
      ASSERT_TRUE(r.download({.link_id = fmt::format("missed-{}", i), .limit = 99}));
      ASSERT_EQ(r.ledger->take_snapshot(), "");
      drain(r);
    }
    EXPECT_EQ(snapshots(r), (Numbers{3, 4, 5, 6, 7})) << "the third ends where the follower is";
    EXPECT_EQ(segments(r).front(), 3u);
    if (crash) {
      r.crash(Crash::all_lost, random);
    } else {
      r.close();
    }
    ASSERT_EQ(r.open(), "");
    EXPECT_EQ(r.follower.copies("a", 0), 2u);
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(r.follower.copies(fmt::format("missed-{}", i), 0), 1u);
      EXPECT_EQ(r.copies(fmt::format("missed-{}", i)), 1u);
    }
    ASSERT_TRUE(r.download({.limit = 99}));
    ASSERT_EQ(r.ledger->take_snapshot(), "");
    EXPECT_EQ(snapshots(r), (Numbers{7, snapshots(r).back()}));
    EXPECT_EQ(segments(r).front(), 7u);
  }
}

TEST_F(KeeperTest, TakesTheNextThoughTheNewestIsDamagedAndKeepsWhatItWasMadeOf) {
  open();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(rig.download({.limit = 99}));
    ASSERT_EQ(rig.ledger->take_snapshot(), "");
    drain(rig);
  }
  ASSERT_EQ(snapshots(rig), (Numbers{3, 4}));
  std::string bytes = rig.disk.content(snapshot_name(4));
  bytes[kBlockBytes + kLinkBlockHeadBytes] ^= 1;
  rig.disk.put(snapshot_name(4), bytes);
  ASSERT_TRUE(rig.download({.limit = 99}));
  ASSERT_EQ(rig.ledger->take_snapshot(), "");
  drain(rig);
  EXPECT_EQ(snapshots(rig), (Numbers{3, 4, 5})) << "the third is the generation before";
  EXPECT_EQ(segments(rig).front(), 3u);
  rig.disk.put(snapshot_name(5), "damaged too");
  rig.close();
  open();
  EXPECT_EQ(rig.copies("a"), 4u);
  rig.ledger->turn();
  ASSERT_EQ(rig.ledger->take_snapshot(), "");
  EXPECT_EQ(rig.ledger->warning(), "");
  rig.close();
  open();
  EXPECT_EQ(rig.copies("a"), 4u);
}

// -- with its threads ---------------------------------------------------------------------------

TEST_F(KeeperTest, MakesSegmentsAlsoWhileASnapshotIsBeingMade) {
  rig.options.background = true;
  rig.options.snapshot_after_min = rig.options.snapshot_after_max = 2 * kBlockBytes;
  std::mutex mutex;
  std::condition_variable changed;
  bool begun = false;
  bool may_go_on = false;
  rig.disk.set_judge([&](DiskCall call, const std::string& name) -> FakeDisk::Fault {
    if (call != DiskCall::create || !name.starts_with("snapshot-")) return {};
    std::unique_lock lock(mutex);
    begun = true;
    changed.notify_all();
    changed.wait(lock, [&] { return may_go_on; });
    return {};
  });
  open();
  const auto write = [&] {
    rig.ledger->hear("told", {.not_before = ++batches}, true);
    rig.ledger->flush();
  };
  write();
  write();
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return begun; });
  }
  // A journal that gets no segment stands still here for ever.
  while (segments(rig).back() < 6) write();
  {
    const std::lock_guard lock(mutex);
    may_go_on = true;
  }
  changed.notify_all();
  while (snapshots(rig).empty()) write();
  rig.close();
  rig.disk.set_judge({});
  open();
  EXPECT_EQ(rig.ledger->view("told")->spoken.word.not_before, batches);
}

}  // namespace
}  // namespace tallygate::ledger
