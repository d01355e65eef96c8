#include "server/ledger/recovery.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "tests/core/ledger/account_history.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_storage.h"
#include "tests/support/seed.h"

namespace tallygate::ledger {
namespace {

const std::string kFirst = "ledger-0000000000000001.tgl";
const std::string kSecond = "ledger-0000000000000002.tgl";

struct Outcome {
  std::string error;
  Recovered recovered;
  std::vector<Event> events;
};

Outcome read(FakeDisk& disk, std::uint64_t cursor = 0) {
  Outcome out;
  auto recovered = recover(*disk.directory(), 2000, cursor, out.events);
  if (recovered) {
    out.recovered = std::move(*recovered);
  } else {
    out.error = recovered.error();
  }
  return out;
}

// One link's life in a ledger file, one batch for each step that recorded anything.
class RecoveryTest : public testing::Test {
 protected:
  struct Batch {
    std::size_t offset = 0;
    std::size_t content_end = 0;  // of head and payload
    std::uint64_t records = 0;    // up to and with it
  };

  RecoveryTest() : seed(test_seed()), trace(__FILE__, __LINE__, seed_note(seed)) {
    write_life(kSteps);
  }
  void write_life(int steps) {
    disk.remove(kFirst);
    AccountHistory history(seed, {});
    history.run(steps);
    std::string_view records = history.bytes;
    auto fresh = write_generation(*disk.directory(), {}, clock.unix_now());
    ASSERT_TRUE(fresh) << fresh.error();
    {
      Journal journal(std::move(fresh->file), fresh->end, clock, {});
      std::uint64_t at = 0;
      for (const auto& step : history.steps) {
        if (step.records == at) continue;
        Entries entries;
        for (; at < step.records; ++at) append(entries, *take_record(records));
        ASSERT_TRUE(journal.append(std::move(entries), {}));
        journal.flush();
      }
    }
    good = disk.content(kFirst);
    batches.clear();
    std::uint64_t counted = 0;
    for (std::size_t offset = kBlockBytes; offset < good.size();) {
      const auto head = parse_batch_head(std::string_view(good).substr(offset));
      if (!head->snapshot) counted += head->records;
      batches.push_back({offset, offset + kBatchHeadBytes + head->payload_bytes, counted});
      offset += batch_extent(*head);
    }
    life = history.bytes;
  }

  // What recovery must make of the first `records` records.
  struct Expected {
    std::optional<Knowledge> link;
    std::vector<Event> events;
  };
  [[nodiscard]] Expected expected(std::uint64_t records) const {
    Replayed replayed(2000);
    std::string_view bytes = life;
    while (replayed.records < records) {
      if (!replayed.take(bytes)) ADD_FAILURE();
    }
    Expected out;
    out.events = replayed.events;
    for (Event& event : out.events) event.seq += 1;  // the first record of a ledger is 1
    if (records == 0) return out;
    if (replayed.account.in_flight() != 0) {
      Entries entries;
      EXPECT_TRUE(replayed.account.replay(Crashed{}, entries));
      for (Event& event : entries.events) {
        event.seq = records + 1;
        out.events.push_back(std::move(event));
      }
    }
    out.link = knowledge(replayed.account);
    return out;
  }
  // All expectations by number of records, since the tests of every byte ask again and again.
  const Expected& after(std::uint64_t records) {
    auto it = expectations.find(records);
    if (it == expectations.end()) it = expectations.emplace(records, expected(records)).first;
    return it->second;
  }
  void expect_is(const Outcome& outcome, std::uint64_t records, const std::string& what) {
    ASSERT_EQ(outcome.error, "") << what;
    const Expected& want = after(records);
    ASSERT_EQ(outcome.recovered.records, records) << what;
    ASSERT_EQ(outcome.recovered.next_seq, records + 2) << what << ": the crash has a number too";
    ASSERT_EQ(outcome.recovered.accounts.size(), want.link ? 1u : 0u) << what;
    if (want.link) {
      ASSERT_EQ(knowledge(*outcome.recovered.accounts.begin()->second), *want.link) << what;
    }
    ASSERT_EQ(outcome.events, want.events) << what;
  }

  static constexpr int kSteps = 12;
  const std::uint64_t seed;
  const testing::ScopedTrace trace;
  FakeDisk disk;
  FakeClock clock;
  std::string good;  // the file
  std::string life;  // its records
  std::vector<Batch> batches;
  std::map<std::uint64_t, Expected> expectations;
};

// -- good files ---------------------------------------------------------------------------------

TEST(Recovery, OfAnEmptyDirectoryIsANewLedger) {
  FakeDisk disk;
  disk.put("outbox.db", "not ours");
  disk.put("ledger-0000000000000001.tgl.new", "never finished");
  disk.put("ledger-000000000000000A.tgl", "not a name of ours");
  const Outcome outcome = read(disk);
  EXPECT_EQ(outcome.error, "");
  EXPECT_EQ(outcome.recovered.file, "");
  EXPECT_EQ(outcome.recovered.next_seq, 1u);
}

TEST_F(RecoveryTest, OfAGoodFileIsWhatWasWritten) {
  const Outcome outcome = read(disk);
  expect_is(outcome, batches.back().records, "whole");
  EXPECT_EQ(outcome.recovered.file, kFirst);
  EXPECT_EQ(outcome.recovered.generation, 1u);
  EXPECT_EQ(outcome.recovered.batches, batches.size());
  EXPECT_EQ(outcome.recovered.file_bytes, good.size());
  EXPECT_EQ(outcome.recovered.torn_bytes, 0u);
}

TEST_F(RecoveryTest, ThroughAFreshFileIsTheSame) {
  const Outcome first = read(disk);
  ASSERT_TRUE(write_generation(*disk.directory(), first.recovered, clock.unix_now()));
  const Outcome second = read(disk);
  ASSERT_EQ(second.error, "");
  EXPECT_EQ(second.recovered.file, kSecond);
  EXPECT_EQ(knowledge(*second.recovered.accounts.begin()->second),
            *after(batches.back().records).link);
  EXPECT_EQ(second.recovered.next_seq, first.recovered.next_seq + 1);
  EXPECT_TRUE(second.events.empty()) << "all of them were of the file before";
}

TEST_F(RecoveryTest, GivesTheEventsBehindTheCursor) {
  const auto& all = after(batches.back().records).events;
  for (std::uint64_t cursor = 0; cursor <= batches.back().records + 1; ++cursor) {
    std::vector<Event> rest;
    for (const Event& event : all) {
      if (event.seq > cursor) rest.push_back(event);
    }
    EXPECT_EQ(read(disk, cursor).events, rest) << cursor;
  }
}

TEST_F(RecoveryTest, KeepsTheFileBeforeAndRemovesWhatIsOlder) {
  disk.put("ledger-0000000000000007.tgl.new", "abandoned");
  disk.put("outbox.db", "not ours");
  for (int i = 0; i < 3; ++i) {
    const Outcome outcome = read(disk);
    ASSERT_EQ(outcome.error, "");
    ASSERT_TRUE(write_generation(*disk.directory(), outcome.recovered, clock.unix_now()));
  }
  EXPECT_EQ(disk.names(), (std::vector<std::string>{"ledger-0000000000000003.tgl",
                                                    "ledger-0000000000000004.tgl", "outbox.db"}));
}

TEST_F(RecoveryTest, RemembersTheLongestPauseInEitherDirection) {
  for (const std::int64_t step : {86'400, -86'400}) {
    FakeDisk other;
    FakeClock stepped;
    auto fresh = write_generation(*other.directory(), {}, stepped.unix_now());
    {
      Journal journal(std::move(fresh->file), fresh->end, stepped, {});
      for (const std::int64_t by : {std::int64_t{10}, step, -step}) {
        stepped.set_unix(stepped.unix_now() + by);
        Entries entries;
        append(entries, {link_key("a"), Identity{"a", "", "", false}});
        ASSERT_TRUE(journal.append(std::move(entries), {}));
        journal.flush();
      }
    }
    EXPECT_EQ(read(other).recovered.longest_pause, 86'400) << step;
  }
}

// -- cut ----------------------------------------------------------------------------------------

TEST_F(RecoveryTest, OfAFileCutAtAnyByteIsAGapFreePrefix) {
  const std::size_t snapshot_end = batches.front().content_end;
  for (std::size_t size = 0; size < good.size(); ++size) {
    disk.put(kFirst, good.substr(0, size));
    const Outcome outcome = read(disk);
    const std::string what = fmt::format("cut at {}", size);
    if (size < snapshot_end) {
      ASSERT_NE(outcome.error.find(kFirst), std::string::npos) << what;
      continue;
    }
    const auto last = std::find_if(batches.rbegin(), batches.rend(),
                                   [&](const Batch& b) { return b.content_end <= size; });
    ASSERT_NO_FATAL_FAILURE(expect_is(outcome, last->records, what));
    const std::size_t end = last == batches.rbegin() ? good.size() : last.base()->offset;
    ASSERT_EQ(outcome.recovered.torn_bytes, size > end ? size - end : 0) << what;
  }
}

// -- damaged ------------------------------------------------------------------------------------

TEST_F(RecoveryTest, NeverTakesAFlippedByteForAnotherCount) {
  const Batch last = batches.back();
  const std::uint64_t all = last.records;
  std::mt19937_64 random(seed);
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ static_cast<char>(1 + random() % 255));
    disk.put(kFirst, bytes);
    const Outcome outcome = read(disk);
    const std::string what = fmt::format("byte {}", at);
    const bool in_content = std::any_of(batches.begin(), batches.end(), [&](const Batch& b) {
      return b.offset <= at && at < b.content_end;
    });
    if (at < 64) {
      ASSERT_EQ(outcome.error.find(kFirst), 0u) << what;
    } else if (!in_content) {
      ASSERT_NO_FATAL_FAILURE(expect_is(outcome, all, what)) << "padding says nothing";
    } else if (at >= last.offset) {
      ASSERT_NO_FATAL_FAILURE(expect_is(outcome, batches[batches.size() - 2].records, what));
      ASSERT_EQ(outcome.recovered.torn_bytes, good.size() - last.offset);
    } else {
      const auto hit = std::find_if(batches.rbegin(), batches.rend(),
                                    [&](const Batch& b) { return b.offset <= at; });
      ASSERT_EQ(outcome.error.find(fmt::format("{} at byte {}: batch {} was acknowledged and is "
                                               "damaged",
                                               kFirst, hit->offset, batches.rend() - hit)),
                0u)
          << what << ": " << outcome.error;
    }
  }
}

TEST_F(RecoveryTest, RefusesAFileThatLacksABatchInItsMiddle) {
  for (std::size_t i = 0; i + 1 < batches.size(); ++i) {
    std::string bytes = good;
    bytes.erase(batches[i].offset, batches[i + 1].offset - batches[i].offset);
    disk.put(kFirst, bytes);
    // Of the last two, what remains might be torn: nothing valid follows.
    const Outcome outcome = read(disk);
    if (i + 2 < batches.size()) {
      EXPECT_NE(outcome.error, "") << "without batch " << i + 1;
    } else {
      expect_is(outcome, batches[i - 1].records, "without the one before the last");
    }
  }
}

TEST_F(RecoveryTest, RefusesAFileWhoseBlocksWereZeroedOrSwapped) {
  for (std::size_t i = 1; i + 1 < batches.size(); ++i) {
    const std::size_t bytes_of_batch = batches[i + 1].offset - batches[i].offset;
    std::string zeroed = good;
    zeroed.replace(batches[i].offset, bytes_of_batch, bytes_of_batch, '\0');
    disk.put(kFirst, zeroed);
    EXPECT_NE(read(disk).error, "") << "zeroed " << i;
  }
  for (std::size_t i = 1; i + 2 < batches.size(); ++i) {
    std::string swapped = good.substr(0, batches[i].offset);
    swapped += good.substr(batches[i + 1].offset, batches[i + 2].offset - batches[i + 1].offset);
    swapped += good.substr(batches[i].offset, batches[i + 1].offset - batches[i].offset);
    swapped += good.substr(batches[i + 2].offset);
    disk.put(kFirst, swapped);
    EXPECT_NE(read(disk).error, "") << "swapped " << i;
  }
}

TEST_F(RecoveryTest, CutsOffWhateverIsNoBatch) {
  BatchHead wild;
  wild.number = batches.size() + 1;
  FileHead foreign;
  foreign.nonce = {1, 2};
  std::string long_one = encode_batch(foreign, wild, std::string(3 * kBlockBytes, 'x'));
  const std::uint32_t length = kBatchBytesMax;
  std::string wild_length = long_one;
  std::memcpy(wild_length.data() + 4, &length, sizeof length);
  const std::string tails[] = {
      std::string(1, '\0'),
      std::string(5 * kBlockBytes, '\0'),
      std::string(3 * kBlockBytes + 17, '\xff'),
      long_one,
      wild_length,
      good.substr(batches[1].offset),  // what an earlier use of the blocks has left
      good,
  };
  for (const std::string& tail : tails) {
    disk.put(kFirst, good + tail);
    const Outcome outcome = read(disk);
    expect_is(outcome, batches.back().records, "tail");
    EXPECT_EQ(outcome.recovered.torn_bytes, tail.size());
  }
}

TEST_F(RecoveryTest, CutsALastBatchThatHasAHole) {
  // A batch of several blocks, which reach the disk in any order.
  const Outcome before = read(disk);
  const FileHead head = *parse_file_head(std::string_view(good).substr(0, kBlockBytes));
  BatchHead batch;
  batch.number = batches.size() + 1;
  batch.first_seq = before.recovered.next_seq - 1;
  batch.chain = parse_batch_head(std::string_view(good).substr(batches.back().offset))->check;
  Entries entries;
  for (int i = 0; i < 200; ++i) {
    append(entries, {link_key("i1001-7"), TransferEnded{}});
  }
  batch.records = entries.records;
  const std::string bytes = encode_batch(head, batch, entries.bytes);
  ASSERT_GT(bytes.size(), 4 * kBlockBytes);
  for (std::size_t hole = 0; hole < bytes.size(); hole += FakeDisk::kSectorBytes) {
    std::string torn = bytes;
    torn.replace(hole, FakeDisk::kSectorBytes, FakeDisk::kSectorBytes, '\0');
    if (torn == bytes) continue;  // padding
    disk.put(kFirst, good + torn);
    expect_is(read(disk), batches.back().records, fmt::format("hole at {}", hole));
  }
  disk.put(kFirst, good + bytes);
  EXPECT_EQ(read(disk).recovered.records, batches.back().records + 200) << "without a hole";
}

TEST_F(RecoveryTest, TakesABatchOnlyBehindTheOneThatItFollows) {
  const FileHead head = *parse_file_head(std::string_view(good).substr(0, kBlockBytes));
  const BatchHead last = *parse_batch_head(std::string_view(good).substr(batches.back().offset));
  const struct {
    std::uint64_t number, chain;
    bool good;
  } cases[] = {
      {last.number + 1, last.check, true},  {last.number + 1, last.check + 1, false},
      {last.number + 1, last.chain, false}, {last.number, last.check, false},
      {last.number + 2, last.check, false},
  };
  for (const auto& c : cases) {
    BatchHead batch;
    batch.number = c.number;
    batch.chain = c.chain;
    disk.put(kFirst, good + encode_batch(head, batch, ""));
    const Outcome outcome = read(disk);
    ASSERT_EQ(outcome.error, "");
    EXPECT_EQ(outcome.recovered.batches, batches.size() + (c.good ? 1 : 0)) << c.number;
  }
}

TEST_F(RecoveryTest, RefusesByNameWhatIsNotALedger) {
  FileHead newer;
  newer.version = 9;
  const struct {
    std::string bytes;
    const char* error;
  } cases[] = {
      {"", "ledger-0000000000000002.tgl is shorter than its head"},
      {std::string(kBlockBytes, '\0'),
       "ledger-0000000000000002.tgl is not a ledger file of tallygate"},
      {encode_file_head(newer),
       "ledger-0000000000000002.tgl has format version 9, this program knows 1: it was written by "
       "a newer tallygate"},
      {encode_file_head({}),
       "ledger-0000000000000002.tgl at byte 4096: the snapshot is not complete"},
  };
  for (const auto& c : cases) {
    disk.put(kSecond, c.bytes);
    EXPECT_EQ(read(disk).error, c.error) << "and never falls back to the file before";
  }
}

TEST_F(RecoveryTest, RefusesRecordsThatMakeNoSense) {
  const FileHead head = *parse_file_head(std::string_view(good).substr(0, kBlockBytes));
  const auto with = [&](std::string payload, std::uint32_t records) {
    BatchHead batch;
    batch.number = batches.size() + 1;
    batch.chain = parse_batch_head(std::string_view(good).substr(batches.back().offset))->check;
    batch.records = records;
    disk.put(kFirst, good + encode_batch(head, batch, payload));
    return read(disk).error;
  };
  Entries crashed;
  append(crashed, {link_key("i1001-7"), TransferEnded{}});
  EXPECT_EQ(with(crashed.bytes, 1), "");
  const std::string at = fmt::format("{} at byte {}: ", kFirst, good.size());
  const std::string batch = fmt::format("batch {}", batches.size() + 1);
  EXPECT_EQ(with(crashed.bytes, 2), at + "record 1 of " + batch + " is unreadable");
  EXPECT_EQ(with("garbage that is long enough", 1), at + "record 0 of " + batch + " is unreadable");
  EXPECT_EQ(with(crashed.bytes + "x", 1), at + "bytes behind the last record of the batch");
  Entries nobody;
  append(nobody, {link_key("b"), LimitSet{1}});
  EXPECT_EQ(with(nobody.bytes, 1), at + "record 0 of " + batch + " contradicts those before it");
}

// -- failing disks ------------------------------------------------------------------------------

TEST_F(RecoveryTest, ThatCannotReadSaysWhich) {
  read(disk);
  disk.fail_nothing();
  read(disk);
  const std::uint64_t calls = disk.calls();
  ASSERT_GT(calls, 10u);
  for (std::uint64_t n = 1; n <= calls; ++n) {
    disk.fail_call(n, make_error_code(boost::system::errc::io_error), false);
    const Outcome outcome = read(disk);
    EXPECT_NE(outcome.error.find("Input/output error"), std::string::npos) << n;
    if (n > 1) {
      EXPECT_EQ(outcome.error.find(kFirst), 0u) << outcome.error;
    }
  }
}

TEST_F(RecoveryTest, OfAFreshFileThatCouldNotBeWrittenIsRepeatable) {
  const Outcome before = read(disk);
  disk.fail_nothing();
  ASSERT_TRUE(write_generation(*disk.directory(), before.recovered, clock.unix_now()));
  const std::uint64_t calls = disk.calls();
  for (const Crash how : {Crash::process, Crash::all_lost, Crash::sectors}) {
    for (std::uint64_t n = 1; n <= calls; ++n) {
      SCOPED_TRACE(fmt::format("call {}", n));
      disk.remove(kSecond);
      disk.remove(kSecond + ".new");
      disk.put(kFirst, good);
      disk.crash_at_call(n);
      static_cast<void>(write_generation(*disk.directory(), before.recovered, clock.unix_now()));
      std::mt19937_64 random(seed + n);
      disk.crash(how, random);
      const Outcome after_crash = read(disk);
      ASSERT_EQ(after_crash.error, "");
      ASSERT_FALSE(after_crash.recovered.file.empty()) << "the file before is still there";
      EXPECT_EQ(knowledge(*after_crash.recovered.accounts.begin()->second),
                *after(batches.back().records).link);
    }
  }
}

}  // namespace
}  // namespace tallygate::ledger
