#include "server/ledger/journal.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "server/ledger/recovery.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_storage.h"

namespace tallygate::ledger {
namespace {

Entries entries_of(int records, std::string user_agent = {}) {
  Entries entries;
  if (user_agent.empty()) user_agent = "curl";
  for (int i = 0; i < records; ++i) {
    TransferEnded ended;
    ended.bytes_sent = static_cast<std::uint64_t>(i);
    ended.user_agent = user_agent;
    append(entries, {link_key("a"), ended});
    entries.events.push_back({static_cast<std::uint64_t>(i), "a", ended});
  }
  return entries;
}

class JournalTest : public testing::Test {
 protected:
  JournalTest() {
    const auto directory = disk.directory();
    Recovered nothing;
    nothing.next_seq = 7;
    auto fresh = write_generation(*directory, nothing, clock.unix_now());
    journal = std::make_unique<Journal>(std::move(fresh->file), fresh->end, clock,
                                        [this](const std::vector<Event>& events) {
                                          const std::lock_guard lock(mutex);
                                          for (const Event& event : events)
                                            told.push_back(event.seq);
                                          order += 'f';
                                        });
  }
  // Appends, and waits for the answer.
  bool append_and_wait(Entries entries) {
    std::optional<bool> answer;
    std::condition_variable answered;
    const bool accepted = journal->append(std::move(entries), [&](bool durable) {
      const std::lock_guard lock(mutex);
      answer = durable;
      order += 'w';
      answered.notify_one();
    });
    if (!accepted) return false;
    std::unique_lock lock(mutex);
    answered.wait(lock, [&] { return answer.has_value(); });
    return *answer;
  }
  [[nodiscard]] std::string file() const { return disk.content("ledger-0000000000000001.tgl"); }

  FakeDisk disk;
  FakeClock clock;
  std::mutex mutex;
  std::vector<std::uint64_t> told;
  std::string order;
  std::unique_ptr<Journal> journal;
};

TEST_F(JournalTest, AnswersWhenItIsOnDiskAndHasToldTheFollower) {
  const std::uint64_t syncs = disk.syncs();
  EXPECT_TRUE(append_and_wait(entries_of(1)));
  EXPECT_EQ(disk.syncs(), syncs + 1);
  EXPECT_EQ(order, "fw");
  EXPECT_EQ(journal->failure(), "");
}

TEST_F(JournalTest, NumbersEventsByTheirRecord) {
  EXPECT_TRUE(append_and_wait(entries_of(2)));
  EXPECT_TRUE(append_and_wait(entries_of(3)));
  EXPECT_EQ(told, (std::vector<std::uint64_t>{7, 8, 9, 10, 11}));
}

TEST_F(JournalTest, SyncsOnceForAllThatWaited) {
  disk.stall();
  ASSERT_TRUE(journal->append(entries_of(1), {}));
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(journal->append(entries_of(1), {}));
  const std::uint64_t before = disk.syncs();
  disk.resume();
  journal->flush();
  EXPECT_LE(disk.syncs() - before, 2u)
      << "one that was running, and one for all that came meanwhile";
  EXPECT_EQ(told.size(), 101u);
}

TEST_F(JournalTest, ChainsBatchesOnBlocksThatItNeverWritesAgain) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(append_and_wait(entries_of(i + 1)));
  const std::string bytes = file();
  const auto head = parse_file_head(bytes.substr(0, kBlockBytes));
  ASSERT_TRUE(head);
  std::uint64_t chain = first_chain(*head);
  std::size_t offset = kBlockBytes;
  for (std::uint64_t number = 1; number <= 4; ++number) {  // the snapshot is the first
    const auto batch = parse_batch_head(std::string_view(bytes).substr(offset));
    ASSERT_TRUE(batch);
    EXPECT_EQ(batch->number, number);
    EXPECT_EQ(batch->chain, chain);
    EXPECT_EQ(batch->snapshot, number == 1);
    chain = batch->check;
    offset += batch_extent(*batch);
  }
  EXPECT_EQ(offset, bytes.size());
}

TEST_F(JournalTest, ClosesAGroupThatHasGrownLarge) {
  disk.stall();
  ASSERT_TRUE(journal->append(entries_of(1), {}));
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(journal->append(entries_of(20, std::string(60'000, 'x')), {}));
  }
  disk.resume();
  journal->flush();
  const std::string bytes = file();
  for (std::size_t offset = kBlockBytes; offset < bytes.size();) {
    const auto batch = parse_batch_head(std::string_view(bytes).substr(offset));
    ASSERT_TRUE(batch);
    EXPECT_LT(batch->payload_bytes, kBatchBytesMax / 4);
    offset += batch_extent(*batch);
  }
}

TEST_F(JournalTest, IsCrowdedWhileTooMuchWaits) {
  disk.stall();
  EXPECT_FALSE(journal->crowded());
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(journal->append(entries_of(20, std::string(60'000, 'x')), {}));
  }
  EXPECT_TRUE(journal->crowded());
  EXPECT_TRUE(journal->append(entries_of(1), {})) << "what was admitted before may end";
  disk.resume();
  journal->flush();
  EXPECT_FALSE(journal->crowded());
}

TEST_F(JournalTest, ThatFailedOnceHasFailedForGood) {
  // Calls of a batch: write, sync.
  for (const std::uint64_t call : {1u, 2u}) {
    SCOPED_TRACE(call == 1 ? "write" : "sync");
    FakeDisk fresh_disk;
    const auto directory = fresh_disk.directory();
    auto fresh = write_generation(*directory, {}, clock.unix_now());
    int followed = 0;
    Journal j(std::move(fresh->file), fresh->end, clock,
              [&](const std::vector<Event>&) { ++followed; });
    fresh_disk.fail_call(call, make_error_code(boost::system::errc::io_error), false);
    std::vector<int> answers;
    fresh_disk.stall();
    ASSERT_TRUE(j.append(entries_of(1), [&](bool durable) { answers.push_back(durable); }));
    ASSERT_TRUE(j.append(entries_of(1), [&](bool durable) { answers.push_back(durable); }));
    fresh_disk.resume();
    j.flush();
    EXPECT_EQ(answers, (std::vector<int>{0, 0})) << "nobody is told that it is durable";
    EXPECT_EQ(followed, 0);
    EXPECT_EQ(j.failure(), "the journal could not be written: Input/output error");
    EXPECT_FALSE(j.append(entries_of(1), [&](bool) { ADD_FAILURE(); }))
        << "though the disk is well";
    EXPECT_EQ(fresh_disk.repeated_syncs(), 0u);
    j.flush();  // returns
  }
}

TEST_F(JournalTest, WritesWhatWaitsBeforeItEnds) {
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(journal->append(entries_of(1), {}));
  journal.reset();
  EXPECT_EQ(told.size(), 50u);
}

}  // namespace
}  // namespace tallygate::ledger
