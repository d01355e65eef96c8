#include "server/ledger/segment_reader.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tests/server/ledger/crafted_segment.h"
#include "tests/server/ledger/largest_allocation.h"
#include "tests/support/fake_storage.h"
#include "tests/support/memory_directory.h"
#include "tests/support/seed.h"

namespace tallygate::ledger {
namespace {

using Next = SegmentReader::Next;
const std::string kName = segment_name(1);
const JournalPlace kBeginning{77, 1, 1, 0, 77, {}};

struct Outcome {
  std::vector<std::string> payloads;
  Next last = Next::failed;
  std::string error;
  std::uint64_t offset = 0;
  std::uint64_t torn_bytes = 0;
  JournalPlace place = kBeginning;
};

Outcome read(File& file, const JournalPlace& place = kBeginning) {
  SegmentReader reader(file, kName);
  Outcome out;
  out.place = place;
  out.error = reader.read_head();
  if (!out.error.empty()) return out;
  while ((out.last = reader.next(out.place)) == Next::batch) {
    out.payloads.emplace_back(reader.payload());
  }
  out.offset = reader.offset();
  out.torn_bytes = reader.torn_bytes();
  out.error = reader.error();
  return out;
}

Outcome read(const std::string& bytes, const JournalPlace& place = kBeginning) {
  MemoryDirectory directory(kName, bytes);
  return read(**directory.open(kName), place);
}

// A segment with batches of one block, of three, and of none but the head.
class SegmentReaderTest : public testing::Test {
 protected:
  struct Batch {
    std::size_t offset = 0;
    std::size_t content_end = 0;
    std::uint64_t first_seq = 0;
  };
  SegmentReaderTest() {
    for (const std::string& payload : payloads) add(payload);
    good = segment.bytes;
  }
  void add(const std::string& payload) {
    batches.push_back({segment.bytes.size(),
                       segment.bytes.size() + kBatchHeadBytes + payload.size(),
                       segment.place.next_seq});
    segment.add(payload, 2);
  }
  [[nodiscard]] std::string damaged(std::size_t i) const {
    return fmt::format(
        "{} at byte {}: batch {} was acknowledged and is damaged or missing (batch {} stands "
        "behind "
        "it at byte {}): records {} to {} are lost, and the counts of the links in them cannot be "
        "trusted",
        kName, batches[i].offset, i + 1, i + 2, batches[i + 1].offset, batches[i].first_seq,
        batches[i + 1].first_seq - 1);
  }

  const std::vector<std::string> payloads{"one", std::string(9000, 'x'), "", "four", "five"};
  CraftedSegment segment;
  std::vector<Batch> batches;
  std::string good;
};

// -- in order -----------------------------------------------------------------------------------

TEST_F(SegmentReaderTest, GivesTheBatchesAsTheyWereWritten) {
  for (const std::size_t empty : {std::size_t{0}, kBlockBytes, 40 * kBlockBytes + 17}) {
    const Outcome outcome = read(good + std::string(empty, '\0'));
    EXPECT_EQ(outcome.payloads, payloads);
    EXPECT_EQ(outcome.last, Next::end) << outcome.error;
    EXPECT_EQ(outcome.offset, good.size());
    EXPECT_EQ(outcome.torn_bytes, 0u);
    EXPECT_EQ(outcome.place.batches, payloads.size());
    EXPECT_EQ(outcome.place.next_seq, 1 + 2 * payloads.size());
    EXPECT_EQ(outcome.place.chain, segment.place.chain);
    EXPECT_EQ(outcome.place.clock.last(), 1'767'225'600);
  }
}

TEST_F(SegmentReaderTest, BeginsWhereTheSegmentBeforeEnded) {
  CraftedSegment second = segment.next(1);
  second.add("six", 1);
  EXPECT_EQ(read(second.bytes, segment.place).payloads, std::vector<std::string>{"six"});
  const Outcome too_early = read(second.bytes);
  EXPECT_EQ(too_early.last, Next::failed);
  EXPECT_NE(too_early.error.find("batch 1 was acknowledged and is damaged or missing (batch 6"),
            std::string::npos)
      << too_early.error;
}

TEST_F(SegmentReaderTest, SaysWhetherAnythingWasWritten) {
  const struct {
    std::string bytes;
    bool begun;
  } cases[] = {
      {good.substr(0, kBlockBytes), false},
      {good.substr(0, kBlockBytes) + std::string(9 * kBlockBytes, '\0'), false},
      {good.substr(0, kBlockBytes) + std::string(100, '\0') + "x", true},
      // A disk may have lost the first block of all, and no other.
      {good.substr(0, kBlockBytes) + std::string(9 * kBlockBytes, '\0') + "x", true},
      {good, true},
  };
  for (const auto& c : cases) {
    MemoryDirectory directory(kName, c.bytes);
    const auto file = directory.open(kName);
    SegmentReader reader(**file, kName);
    EXPECT_EQ(reader.read_head(), "");
    EXPECT_EQ(reader.has_begun(), c.begun);
  }
}

// A reader beside a server: what was the end, or torn, is a batch a moment later. The reader has a
// window of the file in memory, and the writer comes past its end meanwhile.
TEST_F(SegmentReaderTest, GoesOnWhereAWriterWentOn) {
  MemoryDirectory directory(kName, good + std::string(std::size_t{3} << 20, '\0'));
  const auto file = directory.open(kName);
  SegmentReader reader(**file, kName);
  ASSERT_EQ(reader.read_head(), "");
  JournalPlace place = kBeginning;
  for (std::size_t i = 0; i < payloads.size(); ++i) ASSERT_EQ(reader.next(place), Next::batch);
  std::size_t at = good.size();
  const std::string payload(50'000, 'y');
  for (int round = 0; round < 3; ++round) {
    ASSERT_EQ(reader.next(place), Next::end);
    std::string batch = segment.batch(payload, 1);
    // The last of its blocks came first, as when a write is on its way.
    std::string_view rest = std::string_view(batch).substr(kBlockBytes);
    ASSERT_FALSE((*file)->write_at(at + kBlockBytes, rest));
    const Next half = reader.next(place);
    ASSERT_TRUE(half == Next::torn || half == Next::end) << reader.error();
    ASSERT_FALSE((*file)->write_at(at, batch));
    at += batch.size();
    for (int i = 0; i < 11; ++i) {
      batch = segment.batch(payload, 1);
      ASSERT_FALSE((*file)->write_at(at, batch));
      at += batch.size();
    }
    for (int i = 0; i < 12; ++i) {
      ASSERT_EQ(reader.next(place), Next::batch) << reader.error();
      ASSERT_EQ(reader.payload(), payload);
    }
  }
  EXPECT_GT(at, std::size_t{3} << 19) << "beyond the reader's window";
  EXPECT_EQ(reader.next(place), Next::end);
}

// -- torn ---------------------------------------------------------------------------------------

TEST_F(SegmentReaderTest, OfASegmentCutAtAnyByteGivesAGapFreePrefix) {  // J6
  for (std::size_t size = 0; size < good.size(); ++size) {
    SCOPED_TRACE(fmt::format("cut at {}", size));
    const Outcome outcome = read(good.substr(0, size));
    if (size < kBlockBytes) {
      ASSERT_EQ(outcome.error, kName + " is shorter than its head");
      continue;
    }
    std::size_t whole = 0;
    while (whole < batches.size() && batches[whole].content_end <= size) ++whole;
    ASSERT_EQ(outcome.payloads.size(), whole);
    const std::size_t end = whole == batches.size() ? good.size() : batches[whole].offset;
    ASSERT_EQ(outcome.last, size > end ? Next::torn : Next::end);
    ASSERT_EQ(outcome.torn_bytes, size > end ? size - end : 0);
  }
}

// Blocks of the last write reach the disk in any order, in sectors.
TEST_F(SegmentReaderTest, TakesALastBatchWithHolesForTorn) {  // J6
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  const std::string last = segment.batch(std::string(9000, 'z'), 1);
  constexpr std::size_t kSector = FakeDisk::kSectorBytes;
  const std::size_t written = (kBatchHeadBytes + 9000 + kSector - 1) / kSector;
  for (int round = 0; round < 300; ++round) {
    std::string torn = last;
    const std::uint64_t lost = 1 + random() % ((std::uint64_t{1} << written) - 1);
    for (std::size_t s = 0; s < written; ++s) {
      if (lost >> s & 1) torn.replace(s * kSector, kSector, kSector, '\0');
    }
    const Outcome outcome = read(good + torn + std::string(kBlockBytes, '\0'));
    ASSERT_EQ(outcome.payloads, payloads) << lost;
    ASSERT_EQ(outcome.last, lost + 1 == std::uint64_t{1} << written ? Next::end : Next::torn);
  }
  EXPECT_EQ(read(good + last).payloads.size(), payloads.size() + 1);
}

TEST_F(SegmentReaderTest, CutsOffWhateverIsNoBatchOfItsOwn) {  // J6
  CraftedSegment foreign(78);
  foreign.head.nonce = {5, 6};
  const std::string tails[] = {
      std::string(1, 'x'),
      std::string(3 * kBlockBytes + 17, '\xff'),
      foreign.batch("of another segment", 1),
      good.substr(batches[0].offset),  // what it has already, once more
      good,
  };
  for (const std::string& tail : tails) {
    const Outcome outcome = read(good + tail);
    EXPECT_EQ(outcome.payloads, payloads);
    EXPECT_EQ(outcome.last, Next::torn);
    EXPECT_EQ(outcome.torn_bytes, tail.size());
  }
}

TEST_F(SegmentReaderTest, BelievesNoLengthBeforeItSawTheBytes) {  // J6
  const std::string last = segment.batch("six", 1);
  for (const std::uint32_t length : {0xffff'ffffu, kBatchBytesMax + 1, kBatchBytesMax,
                                     kBatchBytesMax - 1, 1u << 20, 1u << 16, 4096u, 4u, 2u}) {
    std::string wild = last;
    std::memcpy(wild.data() + 4, &length, sizeof length);
    const std::string bytes = good + wild;
    MemoryDirectory directory(kName, bytes);
    const auto file = directory.open(kName);
    largest_allocation = 0;
    const Outcome outcome = read(**file);
    EXPECT_LE(largest_allocation, 2 * bytes.size()) << length;
    EXPECT_EQ(outcome.payloads, payloads);
    EXPECT_EQ(outcome.last, Next::torn) << "a wild length in the end is a torn end";
  }
}

// -- damaged ------------------------------------------------------------------------------------

TEST_F(SegmentReaderTest, RefusesAnyFlippedBitBeforeTheLastBatch) {  // J7
  for (std::size_t i = 0; i < batches.size(); ++i) {
    const bool is_last = i + 1 == batches.size();
    for (std::size_t at = batches[i].offset; at < batches[i].content_end; ++at) {
      if (at > batches[i].offset + 100 && at + 100 < batches[i].content_end) continue;  // alike
      for (int bit = 0; bit < 8; ++bit) {
        std::string bytes = good;
        bytes[at] = static_cast<char>(bytes[at] ^ 1 << bit);
        const Outcome outcome = read(bytes);
        ASSERT_EQ(outcome.payloads.size(), i) << "byte " << at << " bit " << bit;
        ASSERT_EQ(outcome.last, is_last ? Next::torn : Next::failed);
        ASSERT_EQ(outcome.error, is_last ? "" : damaged(i));
      }
    }
  }
}

TEST_F(SegmentReaderTest, RefusesAHeadWithAnyFlippedBit) {  // J7
  constexpr std::size_t kWritten = kFilePrefixBytes + 7 * 8;
  for (std::size_t at = 0; at < kBlockBytes; ++at) {
    for (int bit = 0; bit < (at < kWritten ? 8 : 1); ++bit) {
      std::string bytes = good;
      bytes[at] = static_cast<char>(bytes[at] ^ 1 << bit);
      const Outcome outcome = read(bytes);
      if (at < kWritten) {
        ASSERT_EQ(outcome.error.find(kName + " "), 0u) << at;
      } else {
        ASSERT_EQ(outcome.payloads, payloads) << "padding says nothing";
      }
    }
  }
}

TEST_F(SegmentReaderTest, RefusesAZeroedOrMissingBatchBeforeTheLast) {  // J7
  for (std::size_t i = 0; i + 1 < batches.size(); ++i) {
    const std::size_t bytes = batches[i + 1].offset - batches[i].offset;
    std::string zeroed = good;
    zeroed.replace(batches[i].offset, bytes, bytes, '\0');
    EXPECT_EQ(read(zeroed).error, damaged(i));
    std::string missing = good;
    missing.erase(batches[i].offset, bytes);
    const Outcome outcome = read(missing);
    EXPECT_EQ(outcome.last, Next::failed) << i;
    EXPECT_EQ(outcome.payloads.size(), i);
  }
}

TEST_F(SegmentReaderTest, RefusesABatchThatStandsElsewhere) {  // J7
  // Not even the last one: nobody ever wrote it there.
  const std::size_t at = batches.back().offset;
  const Outcome outcome =
      read(good.substr(0, at) + std::string(kBlockBytes, '\0') + good.substr(at));
  EXPECT_EQ(outcome.error, fmt::format("{} at byte {}: batch {} stands there, and was written to "
                                       "byte {}",
                                       kName, at + kBlockBytes, batches.size(), at));
}

TEST_F(SegmentReaderTest, TakesABatchOnlyBehindTheOneThatItFollows) {
  const JournalPlace behind = segment.place;
  const struct {
    std::uint64_t number, chain, first_seq;
    Next next;
    const char* error;
  } cases[] = {
      {6, behind.chain, 11, Next::batch, ""},
      {6, behind.chain, 12, Next::failed, "batch 6 begins with record 12 instead of 11"},
      {6, behind.chain, 10, Next::failed, "batch 6 begins with record 10 instead of 11"},
      {6, behind.chain + 1, 11, Next::failed,
       "batch 6 does not follow the one before it: a segment was exchanged or is older than the "
       "others"},
      {7, behind.chain, 13, Next::failed, "batch 6 was acknowledged and is damaged or missing"},
      {5, behind.chain, 9, Next::torn, ""},  // one from before: what is there says nothing
      {0, behind.chain, 0, Next::torn, ""},
  };
  for (const auto& c : cases) {
    CraftedSegment copy = segment;
    const std::string batch = copy.batch("six", 1, [&](BatchHead& b) {
      b.number = c.number;
      b.chain = c.chain;
      b.first_seq = c.first_seq;
    });
    const Outcome outcome = read(good + batch);
    EXPECT_EQ(outcome.payloads.size(), payloads.size() + (c.next == Next::batch ? 1 : 0));
    EXPECT_EQ(outcome.last, c.next == Next::batch ? Next::end : c.next) << c.number;
    if (c.next == Next::failed) {
      EXPECT_EQ(outcome.error.find(fmt::format("{} at byte {}: {}", kName, good.size(), c.error)),
                0u)
          << outcome.error;
    }
  }
}

TEST_F(SegmentReaderTest, RefusesByNameWhatIsNoSegment) {  // J8
  const auto with_version = [&](std::uint32_t version) {
    std::string bytes = good;
    std::memcpy(bytes.data() + 16, &version, sizeof version);
    return bytes;
  };
  std::string snapshot = encode_snapshot_head({});
  const struct {
    std::string bytes;
    const char* error;
  } cases[] = {
      {"", " is shorter than its head"},
      {"#!/bin/sh\n", " is shorter than its head"},
      {std::string(kBlockBytes, '\0'), " is not a ledger file of tallygate"},
      {std::string(kBlockBytes, 'x'), " is not a ledger file of tallygate"},
      {snapshot, " is not a segment of the journal"},
      {with_version(kFormatVersion + 1),
       " has format version 3, this program knows 2: it was written by a newer tallygate"},
      {with_version(1),
       " has format version 1, this program knows 2: it was written by an older tallygate"},
  };
  for (const auto& c : cases) EXPECT_EQ(read(c.bytes).error, kName + c.error);
}

TEST_F(SegmentReaderTest, SaysWhatCannotBeRead) {
  FakeDisk disk;
  disk.put(kName, good + std::string(kBlockBytes, '\0'));
  disk.fail_nothing();
  ASSERT_EQ(read(**disk.directory()->open(kName)).last, Next::end);
  const std::uint64_t calls = disk.calls();
  ASSERT_GE(calls, 4u);
  for (std::uint64_t n = 2; n <= calls; ++n) {
    disk.fail_call(n, make_error_code(boost::system::errc::io_error), true);
    const Outcome outcome = read(**disk.directory()->open(kName));
    EXPECT_EQ(outcome.last, Next::failed);
    EXPECT_EQ(outcome.error.find(kName), 0u);
    EXPECT_NE(outcome.error.find("cannot be read: Input/output error"), std::string::npos) << n;
  }
}

}  // namespace
}  // namespace tallygate::ledger
