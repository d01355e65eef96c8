#include "server/ledger/journal.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <numeric>
#include <thread>

#include "tests/server/ledger/journal_rig.h"
#include "tests/support/forwarding_storage.h"

namespace tallygate::ledger {
namespace {

using namespace std::chrono_literals;

const error_code kIoError = make_error_code(boost::system::errc::io_error);
const error_code kDiskFull = make_error_code(boost::system::errc::no_space_on_device);
const error_code kOverQuota(EDQUOT, boost::system::system_category());

class JournalTest : public testing::Test, protected JournalRig {};

std::vector<std::uint64_t> numbers(std::uint64_t first, std::size_t count) {
  std::vector<std::uint64_t> all(count);
  std::iota(all.begin(), all.end(), first);
  return all;
}

// -- groups -------------------------------------------------------------------------------------

TEST_F(JournalTest, TellsTheFollowerWhatIsOnDiskAndOnlyThenCallsItDurable) {
  const std::uint64_t syncs = disk.syncs();
  const Ticket before = journal->durable();
  const Ticket ticket = append(2);
  EXPECT_EQ(ticket, before + 2);
  EXPECT_EQ(journal->durable(), before);
  EXPECT_TRUE(journal->turn());
  EXPECT_EQ(disk.syncs(), syncs + 1);
  EXPECT_EQ(told(), numbers(kFirstSeq, 2));
  EXPECT_EQ(durable_when_told(), before);
  EXPECT_EQ(journal->durable(), ticket);
  EXPECT_EQ(journal->trouble(), "");
  EXPECT_FALSE(journal->turn()) << "nothing waits";
}

TEST_F(JournalTest, NumbersEventsByTheirRecord) {
  EXPECT_TRUE(write(2));
  EXPECT_TRUE(write(3));
  EXPECT_EQ(told(), numbers(kFirstSeq, 5));
}

TEST_F(JournalTest, SyncsOnceForAllThatWaited) {
  const std::uint64_t before = disk.syncs();
  for (int i = 0; i < 100; ++i) ASSERT_NE(append(1), 0u);
  EXPECT_TRUE(journal->turn());
  EXPECT_FALSE(journal->turn());
  EXPECT_EQ(disk.syncs(), before + 1);
  EXPECT_EQ(told(), numbers(kFirstSeq, 100));
}

TEST_F(JournalTest, CountsEveryBatchWithItsSync) {
  const metrics::JournalCounters& counters = journal->counters();
  const auto syncs = [&] {
    std::uint64_t all = 0;
    for (std::size_t i = 0; i <= metrics::kSyncBounds.size(); ++i) {
      all += counters.sync_ns.in_bucket(i);
    }
    return all;
  };
  EXPECT_EQ(syncs(), 0u);
  EXPECT_TRUE(write(1));
  EXPECT_TRUE(write(3));
  EXPECT_EQ(syncs(), 2u);
  EXPECT_EQ(counters.batch_records.in_bucket(0), 1u) << "one record";
  EXPECT_EQ(counters.batch_records.in_bucket(2), 1u) << "up to four";
  EXPECT_EQ(counters.batch_records.sum(), 4u);
  EXPECT_EQ(counters.batch_bytes.sum(), journal->bytes_written());
  ASSERT_NE(append(2), 0u);
  EXPECT_GT(journal->bytes_waiting(), 0u);
  EXPECT_TRUE(journal->turn());
  EXPECT_EQ(journal->bytes_waiting(), 0u);
  EXPECT_EQ(counters.sync_failures.value(), 0u);
  disk.fail_call(2, kIoError, false);  // the sync of the next batch
  ASSERT_NE(append(1), 0u);
  EXPECT_TRUE(journal->turn());
  EXPECT_EQ(counters.sync_failures.value(), 1u);
  EXPECT_EQ(syncs(), 4u);
  EXPECT_EQ(counters.batch_records.sum(), 6u) << "what failed was not written";
}

TEST_F(JournalTest, ChainsBatchesOnBlocksThatItNeverWritesAgain) {
  std::string before = disk.content(segment_name(1));
  std::size_t end = kBlockBytes;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(write(i + 1));
    const std::string now = disk.content(segment_name(1));
    EXPECT_EQ(now.size(), before.size()) << "it was allocated ahead";
    EXPECT_EQ(now.substr(0, end), before.substr(0, end));
    before = now;
    end = kBlockBytes + static_cast<std::size_t>(journal->bytes_written());
    EXPECT_EQ(now.find_first_not_of('\0', end), std::string::npos);
  }
  const auto heads = batches();
  ASSERT_EQ(heads.size(), 3u);
  for (std::size_t i = 0; i < heads.size(); ++i) {
    EXPECT_EQ(heads[i].number, i + 1);
    EXPECT_EQ(heads[i].records, i + 1);
    EXPECT_EQ(heads[i].chain, i == 0 ? kLedgerId : heads[i - 1].check);
    EXPECT_EQ(heads[i].written_at, clock.unix_now());
    EXPECT_FALSE(heads[i].end);
  }
}

TEST(Journal, ClosesAGroupThatHasGrownLarge) {
  JournalRig rig(32 << 20);
  for (int i = 0; i < 100; ++i) ASSERT_NE(rig.append(1, 60'000), 0u);
  while (rig.journal->turn()) {
  }
  const auto heads = rig.batches();
  EXPECT_GE(heads.size(), 5u);
  for (const BatchHead& head : heads) EXPECT_LE(head.payload_bytes, (1u << 20) + 61'000);
  EXPECT_EQ(rig.told(), numbers(JournalRig::kFirstSeq, 100));
}

TEST_F(JournalTest, ClosesAGroupBeforeItOutgrowsASmallSegment) {
  for (int i = 0; i < 12; ++i) ASSERT_NE(append(1, 4000), 0u);
  while (journal->turn()) {
  }
  EXPECT_EQ(journal->segment_number(), 1u);
  for (const BatchHead& head : batches()) EXPECT_LE(head.payload_bytes, (16u << 10) + 5000);
}

TEST(Journal, IsUnavailableWhileTooMuchWaits) {  // O6
  JournalRig rig(32 << 20);
  EXPECT_FALSE(rig.journal->is_unavailable());
  for (int i = 0; i < 300; ++i) ASSERT_NE(rig.append(1, 60'000), 0u);
  EXPECT_TRUE(rig.journal->is_unavailable());
  EXPECT_EQ(rig.journal->trouble(), "too much waits for the journal's disk");
  EXPECT_NE(rig.append(1), 0u) << "what was admitted before may end";
  ASSERT_TRUE(rig.journal->turn());
  EXPECT_TRUE(rig.journal->is_unavailable()) << "until half of it is written";
  while (rig.journal->turn()) {
  }
  EXPECT_FALSE(rig.journal->is_unavailable());
  EXPECT_EQ(rig.journal->trouble(), "");
  EXPECT_EQ(rig.told().size(), 301u);
}

// -- segments -----------------------------------------------------------------------------------

TEST_F(JournalTest, GoesOnInTheNextSegmentAndMakesEachTwiceAsLongUpToTheMaximum) {
  std::vector<std::uint64_t> lengths{64 << 10};
  std::size_t records = 0;
  while (lengths.size() < 6) {
    if (const auto wanted = journal->wanted_segment()) {
      EXPECT_EQ(wanted->number, lengths.size() + 1);
      EXPECT_EQ(wanted->ledger_id, kLedgerId);
      EXPECT_EQ(wanted->run, 1u);
      lengths.push_back(wanted->length);
      give_segment();
    }
    ASSERT_TRUE(write(5, 1000));
    records += 5;
  }
  constexpr std::uint64_t kKiB = 1 << 10;
  EXPECT_EQ(lengths, (std::vector<std::uint64_t>{64 * kKiB, 64 * kKiB, 128 * kKiB, 256 * kKiB,
                                                 256 * kKiB, 256 * kKiB}));
  EXPECT_EQ(segments_needed, 4);
  EXPECT_EQ(told(), numbers(kFirstSeq, records));
  const auto heads = batches();  // the reader checks number and chain over all segments
  EXPECT_EQ(heads.size(), records / 5);
  EXPECT_EQ(heads.back().number, records / 5);
  EXPECT_EQ(heads.back().first_seq + 5, kFirstSeq + records);
}

TEST_F(JournalTest, WithoutANextSegmentWaitsAndGoesOnByItself) {
  while (write(5, 1000)) {
  }
  const Ticket durable = journal->durable();
  const std::vector<std::uint64_t> told_before = told();
  EXPECT_FALSE(journal->turn());
  EXPECT_FALSE(journal->is_unavailable()) << "it is being made, and worth waiting for";
  EXPECT_FALSE(journal->has_failed());
  EXPECT_EQ(journal->trouble(), "");
  journal->no_segment("it cannot be made: No space left on device");
  EXPECT_TRUE(journal->is_unavailable());
  EXPECT_EQ(journal->trouble(), "it cannot be made: No space left on device");
  const Ticket later = append(1);
  EXPECT_NE(later, 0u) << "what was admitted before may end";
  EXPECT_FALSE(journal->turn());
  EXPECT_EQ(journal->durable(), durable);
  EXPECT_EQ(told(), told_before);
  give_segment();
  EXPECT_TRUE(journal->turn());
  EXPECT_FALSE(journal->is_unavailable());
  EXPECT_EQ(journal->trouble(), "");
  EXPECT_TRUE(journal->turn());
  EXPECT_EQ(journal->durable(), later);
  EXPECT_EQ(told(), numbers(kFirstSeq, later - kFirstSeq));
  EXPECT_EQ(batches().back().first_seq + 1, later);
}

TEST_F(JournalTest, DoesNotMindThatASegmentCannotBeMadeWhileItHasRoom) {
  journal->no_segment("No space left on device");
  EXPECT_FALSE(journal->is_unavailable());
  EXPECT_EQ(journal->trouble(), "");
  EXPECT_TRUE(write(1));
}

TEST_F(JournalTest, RotatesWhenAskedTo) {
  EXPECT_EQ(journal->rotate(), 1u) << "nothing stands in this one yet";
  ASSERT_TRUE(write(2));
  EXPECT_EQ(journal->rotate(), 0u) << "there is no other";
  EXPECT_EQ(journal->segment_number(), 1u);
  ASSERT_TRUE(write(1)) << "it goes on where it is";
  give_segment();
  EXPECT_EQ(journal->segment_number(), 1u);
  append(3);
  EXPECT_EQ(journal->rotate(), 2u);
  EXPECT_EQ(journal->rotate(), 0u);
  EXPECT_EQ(journal->wanted_segment()->length, std::uint64_t{64 << 10}) << "it was not filled";
  while (journal->turn()) {
  }
  JournalPlace place;
  place.ledger_id = place.chain = kLedgerId;
  place.next_seq = kFirstSeq;
  EXPECT_EQ(batches(1, place).size(), 2u);
  const auto second = batches(2, place);
  ASSERT_EQ(second.size(), 1u) << "what had waited";
  EXPECT_EQ(second[0].records, 3u);
}

TEST_F(JournalTest, DoesNotRotateWhileAGroupWaitsForRoom) {
  ASSERT_TRUE(write(1));
  give_segment();
  disk.fail_call(1, kDiskFull, true);
  EXPECT_FALSE(write(1));
  EXPECT_EQ(journal->rotate(), 0u);
  disk.fail_nothing();
  EXPECT_TRUE(journal->turn());
  EXPECT_EQ(journal->rotate(), 2u);
}

// -- failures -----------------------------------------------------------------------------------

TEST_F(JournalTest, OnAFullDiskWaitsAndLosesNothing) {  // J4
  for (const error_code& full : {kDiskFull, kOverQuota}) {
    SCOPED_TRACE(full.message());
    const Ticket durable = journal->durable();
    const auto told_before = told();
    disk.fail_call(1, full, true);
    const Ticket ticket = append(2);
    const Ticket later = append(1);
    for (int i = 0; i < 3; ++i) {
      EXPECT_FALSE(journal->turn());
      EXPECT_TRUE(journal->is_unavailable());
      EXPECT_FALSE(journal->has_failed());
      EXPECT_EQ(journal->trouble(), "the journal cannot be written: " + full.message());
      EXPECT_EQ(journal->durable(), durable) << "acknowledged early";
      EXPECT_EQ(told(), told_before);
    }
    const Ticket last = append(4);
    EXPECT_EQ(last, later + 4);
    disk.fail_nothing();
    EXPECT_TRUE(journal->turn());
    EXPECT_FALSE(journal->is_unavailable());
    EXPECT_EQ(journal->trouble(), "");
    EXPECT_GE(journal->durable(), ticket);
    journal->turn();
    EXPECT_EQ(journal->durable(), last);
    EXPECT_EQ(told(), numbers(kFirstSeq, last - kFirstSeq));
    EXPECT_EQ(batches().back().first_seq + batches().back().records, last);
  }
  EXPECT_EQ(disk.repeated_syncs(), 0u);
}

TEST(Journal, ThatFailedOnceHasFailedForGood) {  // J3
  const struct {
    const char* what;
    std::uint64_t call;  // of a batch: write, sync
    error_code error;
  } cases[] = {
      {"write", 1, kIoError},
      {"sync", 2, kIoError},
      {"sync", 2, kDiskFull},  // as final as any other: the system has dropped what it had
      {"sync", 2, kOverQuota},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what + (": " + c.error.message()));
    JournalRig rig;
    ASSERT_TRUE(rig.write(1));
    rig.give_segment();
    const Ticket durable = rig.journal->durable();
    rig.disk.fail_call(c.call, c.error, false);
    ASSERT_NE(rig.append(1), 0u);
    EXPECT_TRUE(rig.journal->turn());
    EXPECT_TRUE(rig.journal->has_failed());
    EXPECT_TRUE(rig.journal->is_unavailable());
    EXPECT_EQ(rig.journal->trouble(), "the journal could not be written: " + c.error.message());
    EXPECT_EQ(rig.append(1), 0u) << "though the disk is well";
    EXPECT_FALSE(rig.journal->turn());
    EXPECT_FALSE(rig.journal->wanted_segment());
    EXPECT_EQ(rig.journal->rotate(), 0u) << "this segment will never be complete";
    EXPECT_EQ(rig.journal->segment_number(), 1u);
    rig.journal->no_segment("another reason");
    rig.journal->flush(0ms);
    rig.journal->stop();
    EXPECT_EQ(rig.journal->durable(), durable);
    EXPECT_EQ(rig.told(), numbers(JournalRig::kFirstSeq, 1));
    EXPECT_EQ(rig.journal->trouble(), "the journal could not be written: " + c.error.message());
    EXPECT_EQ(rig.disk.repeated_syncs(), 0u);
  }
}

TEST_F(JournalTest, ThatHasFailedDropsWhatStillWaits) {
  for (int i = 0; i < 20; ++i) ASSERT_NE(append(1, 4000), 0u);  // several groups
  disk.fail_call(2, kIoError, false);
  while (journal->turn()) {
  }
  EXPECT_TRUE(told().empty());
  EXPECT_EQ(journal->durable(), kFirstSeq);
  EXPECT_EQ(disk.repeated_syncs(), 0u);
}

TEST_F(JournalTest, GivesUpBeforeWhatWaitsForAFullDiskFillsTheMemory) {
  disk.fail_call(1, kDiskFull, true);
  Entries large;
  for (int i = 0; i < 15; ++i) {
    large.bytes.assign(16 << 20, 'x');
    large.records = 1;
    ASSERT_NE(journal->append(large), 0u);
    EXPECT_FALSE(journal->has_failed());
  }
  large.bytes.assign(16 << 20, 'x');
  large.records = 1;
  static_cast<void>(journal->append(large));
  EXPECT_TRUE(journal->has_failed());
  EXPECT_EQ(journal->trouble(), "the journal gave up: more than 256 MiB waited for its disk");
  EXPECT_EQ(append(1), 0u);
  while (journal->turn()) {
  }
  EXPECT_EQ(journal->durable(), kFirstSeq);
}

// -- the end ------------------------------------------------------------------------------------

TEST_F(JournalTest, WritesWhatWaitsBeforeItEndsAndAMarkOfTheOrderlyStop) {
  ASSERT_TRUE(write(1));
  for (int i = 0; i < 8; ++i) ASSERT_NE(append(1, 4000), 0u);
  journal->stop();
  EXPECT_EQ(told(), numbers(kFirstSeq, 9));
  const auto heads = batches();
  EXPECT_TRUE(heads.back().end);
  EXPECT_EQ(heads.back().records, 0u);
  EXPECT_FALSE(heads[heads.size() - 2].end);
  EXPECT_EQ(append(1), 0u);
}

TEST_F(JournalTest, ThatNeverWroteLeavesNoMark) {
  const std::string before = disk.content(segment_name(1));
  journal->stop();
  EXPECT_EQ(disk.content(segment_name(1)), before);
}

TEST_F(JournalTest, ThatEndsOnAFullDiskSaysSo) {
  ASSERT_TRUE(write(1));
  disk.fail_call(1, kDiskFull, true);
  append(1);
  journal->stop();
  EXPECT_TRUE(journal->has_failed());
  EXPECT_EQ(journal->trouble(), "the journal could not be written: No space left on device");
  EXPECT_EQ(told(), numbers(kFirstSeq, 1));
}

// -- with its thread ----------------------------------------------------------------------------

// A file whose syncs a test lets through one by one.
class GatedFile final : public ForwardingFile {
 public:
  using ForwardingFile::ForwardingFile;
  error_code sync() override {
    std::unique_lock lock(mutex_);
    ++syncs_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return allowed_ >= syncs_; });
    lock.unlock();
    return ForwardingFile::sync();
  }

  void await_sync(int number) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return syncs_ >= number; });
  }
  void allow_syncs(int number) {
    const std::lock_guard lock(mutex_);
    allowed_ = number;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int syncs_ = 0;
  int allowed_ = 0;
};

TEST(JournalThread, FormsABatchWhileTheOneBeforeIsBeingSynced) {
  JournalRig rig;
  SegmentHead head;
  head.number = 1;
  head.ledger_id = JournalRig::kLedgerId;
  head.run = 1;
  head.length = 1 << 20;
  Segment segment = rig.make(head);
  auto gated = std::make_unique<GatedFile>(std::move(segment.file));
  GatedFile& gate = *gated;
  segment.file = std::move(gated);
  rig.begin(std::move(segment), 1 << 20);
  rig.journal->start();

  rig.append(1);
  gate.await_sync(1);  // a lone change is on its way at once: it waits for no timer
  for (int i = 0; i < 100; ++i) ASSERT_NE(rig.append(1), 0u);
  EXPECT_EQ(rig.journal->durable(), JournalRig::kFirstSeq);
  gate.allow_syncs(1);
  gate.await_sync(2);
  EXPECT_EQ(rig.journal->durable(), JournalRig::kFirstSeq + 1);
  gate.allow_syncs(99);
  rig.journal->flush(1h);
  EXPECT_EQ(rig.journal->durable(), JournalRig::kFirstSeq + 101);
  const auto heads = rig.batches();
  ASSERT_EQ(heads.size(), 2u);
  EXPECT_EQ(heads[0].records, 1u);
  EXPECT_EQ(heads[1].records, 100u) << "one sync for all that came meanwhile";
}

TEST(JournalThread, GoesOnByItselfWhenItsSegmentComes) {
  JournalRig rig;
  rig.journal->start();
  while (!rig.journal->is_unavailable()) {
    rig.append(1, 4000);
    rig.journal->flush(0ms);
    std::this_thread::yield();
  }
  const Ticket ticket = rig.append(1);
  EXPECT_LT(rig.journal->durable(), ticket);
  rig.give_segment();
  while (rig.journal->durable() < ticket) {
    if (rig.journal->wanted_segment()) rig.give_segment();
    std::this_thread::yield();
  }
  EXPECT_EQ(rig.told(), numbers(JournalRig::kFirstSeq, ticket - JournalRig::kFirstSeq));
  EXPECT_EQ(rig.journal->trouble(), "");
}

TEST(JournalThread, GoesOnByItselfWhenTheDiskHasRoomAgain) {
  JournalRig rig;
  rig.give_segment();  // which is no room: the disk has none
  rig.journal->start();
  rig.disk.fail_call(1, kDiskFull, true);
  const Ticket ticket = rig.append(1);
  while (!rig.journal->is_unavailable()) std::this_thread::yield();
  EXPECT_LT(rig.journal->durable(), ticket);
  rig.disk.fail_nothing();
  rig.journal->flush(1h);
  EXPECT_EQ(rig.journal->durable(), ticket);
  EXPECT_FALSE(rig.journal->is_unavailable());
}

TEST(JournalThread, RotatesBetweenTwoBatchesWhileOthersAppend) {
  JournalRig rig(1 << 20, 1 << 20);
  rig.give_segment();
  rig.journal->start();
  std::atomic<bool> stop{false};
  std::thread other([&] {
    for (int i = 0; i < 200 && !stop; ++i) {  // too few to fill a segment
      rig.append(1);
      rig.journal->flush(1h);
    }
  });
  rig.append(1);
  rig.journal->flush(1h);
  for (std::uint64_t number = 2; number < 6; ++number) {
    std::uint64_t rotated = 0;
    while (rotated < number) {  // the one before as long as nothing stands in it
      rig.append(1);
      rotated = rig.journal->rotate();
      ASSERT_NE(rotated, 0u);
    }
    EXPECT_EQ(rotated, number);
    rig.give_segment();
  }
  stop = true;
  other.join();
  rig.journal->stop();
  EXPECT_EQ(rig.batches().back().number, rig.batches().size());
}

TEST(JournalThread, ReleasesWhoeverFlushesAJournalThatFails) {
  JournalRig rig;
  rig.journal->start();
  rig.disk.fail_call(2, kIoError, true);
  rig.append(1);
  rig.journal->flush(1h);
  EXPECT_TRUE(rig.journal->has_failed());
  EXPECT_EQ(rig.journal->rotate(), 0u);
}

}  // namespace
}  // namespace tallygate::ledger
