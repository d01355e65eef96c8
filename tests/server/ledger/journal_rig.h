// A journal on a disk that fails on request. It runs by hand, unless a test starts its thread.
#pragma once
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "server/ledger/journal.h"
#include "server/ledger/segment_reader.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_storage.h"

namespace tallygate::ledger {

inline Entries entries_of(int records, std::size_t bytes_each = 0) {
  Entries entries;
  for (int i = 0; i < records; ++i) {
    TransferEnded ended;
    ended.bytes_sent = static_cast<std::uint64_t>(i);
    ended.user_agent.assign(bytes_each, 'x');
    append(entries, "a", ended);
    entries.events.push_back({static_cast<std::uint64_t>(i), "a", ended});
  }
  return entries;
}

class JournalRig {
 public:
  static constexpr std::uint64_t kFirstSeq = 7;
  static constexpr std::uint64_t kLedgerId = 99;

  explicit JournalRig(std::uint64_t segment_bytes = 64 << 10,
                      std::uint64_t segment_bytes_max = 256 << 10) {
    SegmentHead head;
    head.number = 1;
    head.ledger_id = kLedgerId;
    head.run = 1;
    head.length = segment_bytes;
    begin(make(head), segment_bytes_max);
  }

  // The first segment of the journal, and the journal.
  void begin(Segment segment, std::uint64_t segment_bytes_max) {
    JournalPlace place;
    place.ledger_id = place.chain = kLedgerId;
    place.run = 1;
    place.next_seq = kFirstSeq;
    journal = std::make_unique<Journal>(
        std::move(segment), place, segment_bytes_max, clock,
        [this](const std::vector<Event>& events) {
          const std::lock_guard lock(mutex_);
          for (const Event& event : events) told_.push_back(event.seq);
          durable_when_told_ = journal->durable();
        },
        [this] { ++segments_needed; });
  }
  Segment make(const SegmentHead& head) {
    auto segment = make_segment(*disk.directory(), head);
    EXPECT_TRUE(segment);
    return std::move(*segment);
  }
  void give_segment() { journal->give_segment(make(*journal->wanted_segment())); }

  Ticket append(int records, std::size_t bytes_each = 0, bool kick_now = true) {
    Entries entries = entries_of(records, bytes_each);
    const Ticket ticket = journal->append(entries, kick_now);
    EXPECT_TRUE(entries.empty());
    EXPECT_TRUE(entries.bytes.empty());
    return ticket;
  }
  // A batch of its own.
  bool write(int records, std::size_t bytes_each = 0) {
    const Ticket ticket = append(records, bytes_each);
    return ticket != 0 && journal->turn() && journal->durable() == ticket;
  }

  // What the segments hold, by the reader's rule; the ends must not be damaged.
  std::vector<BatchHead> batches(std::uint64_t number, JournalPlace& place) {
    std::vector<BatchHead> heads;
    const auto file = disk.directory()->open(segment_name(number));
    EXPECT_TRUE(file);
    SegmentReader reader(**file, segment_name(number));
    EXPECT_EQ(reader.read_head(), "");
    auto next = reader.next(place);
    for (; next == SegmentReader::Next::batch; next = reader.next(place)) {
      heads.push_back(reader.head());
    }
    EXPECT_EQ(next, SegmentReader::Next::end) << reader.error();
    return heads;
  }
  std::vector<BatchHead> batches() {
    JournalPlace place;
    place.ledger_id = place.chain = kLedgerId;
    place.next_seq = kFirstSeq;
    std::vector<BatchHead> all;
    for (std::uint64_t number = 1; number <= journal->segment_number(); ++number) {
      const auto some = batches(number, place);
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }

  [[nodiscard]] std::vector<std::uint64_t> told() const {
    const std::lock_guard lock(mutex_);
    return told_;
  }
  [[nodiscard]] Ticket durable_when_told() const {
    const std::lock_guard lock(mutex_);
    return durable_when_told_;
  }

  FakeDisk disk;
  FakeClock clock;
  std::atomic<int> segments_needed{0};

 private:
  mutable std::mutex mutex_;
  std::vector<std::uint64_t> told_;
  Ticket durable_when_told_ = 0;

 public:
  std::unique_ptr<Journal> journal;  // ends first
};

}  // namespace tallygate::ledger
