// Files that are not as a server left them: every way in which a disk, a copy or a person may have
// spoiled them ends with the same counts, or with a refusal that names the place.
//
// Two things cannot be told from what is legal, by the journal alone. After a crash, a last batch
// that is damaged looks like one whose write never ended: it is cut, and the cut is reported. And
// a journal whose end is missing, whole segments of it, looks like an older one: the follower
// knows.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "server/ledger/chronicle.h"
#include "tests/core/ledger/sample_records.h"
#include "tests/server/ledger/crafted_segment.h"
#include "tests/server/ledger/ledger_files.h"
#include "tests/support/seed.h"

namespace tallygate::ledger {
namespace {

// A message must say which file, and where in it: a byte, its head, or that it is not there.
bool names_a_place(const std::string& error) {
  const auto says = [&](const char* text) { return error.find(text) != std::string::npos; };
  const bool file = says("journal-0000000000000") || says("snapshot-0000000000000");
  return file &&
         (says(" at byte ") || says(" head") || says("is not a ") || says("has format version") ||
          says("belongs to another ledger") || says(" is missing"));
}

class ChronicleDamageTest : public testing::Test {
 protected:
  ChronicleDamageTest() : seed(test_seed()), trace(__FILE__, __LINE__, seed_note(seed)) {}

  void tell_a(const Story& story) {
    tell(maker, story);
    files = trimmed(maker.files());
    directory.put(files);
    naive = read_naively(maker.history());
    if (story.snapshots) {
      older =
          parse_snapshot_head(files.at(snapshot_name(3)).substr(0, kBlockBytes))->place.next_seq -
          1;
    }
  }

  // Reads as a start does: with a follower that is up to date, and with one that needs the events
  // since the older snapshot. True: it was refused.
  bool refuses(const std::string& what) {
    bool refused = false;
    for (const std::uint64_t cursor : {older, naive.next_seq - 1}) {
      if (older == 0 && cursor != 0) break;  // without snapshots, all is read in any case
      const ReadLedger read = read_with_older(directory, as_a_start(cursor));
      if (read.error.empty()) {
        EXPECT_EQ(read.links, naive.links) << what;
        EXPECT_EQ(read.chronicle.place.next_seq, naive.next_seq) << what;
        EXPECT_EQ(read.events(), events_behind(naive.events, cursor)) << what;
      } else {
        EXPECT_TRUE(names_a_place(read.error)) << what << ": " << read.error;
        refused = true;
      }
    }
    EXPECT_EQ(directory.changes(), 0u) << what;
    return refused;
  }
  // For a directory in which something is wrong now: what is said of it.
  std::string refusal() {
    EXPECT_TRUE(refuses("this"));
    return read_with_older(directory, as_a_start(older)).error;
  }
  void restore() { directory.put(files); }

  // Every bit of what was written; of the zeroes that fill the blocks, one of some.
  void flip(const std::function<void(const std::string& name, std::size_t at)>& check) {
    std::mt19937_64 random(seed);
    for (const auto& [name, good] : files) {
      std::string& bytes = directory.bytes(name);
      for (std::size_t at = 0; at < good.size(); ++at) {
        const bool padding = good.find_first_not_of('\0', at) >= at + 16;
        if (padding && random() % 16 != 0) continue;
        for (unsigned bit = 0; bit < 8; ++bit) {
          if (padding && bit != at % 8) continue;
          bytes[at] = static_cast<char>(good[at] ^ 1 << bit);
          check(name, at);
          if (HasFailure()) FAIL() << name << ", byte " << at << ", bit " << bit;
        }
        bytes[at] = good[at];
      }
    }
  }
  // Which bytes of a segment belong to a batch or the head, and to which.
  [[nodiscard]] std::optional<NaiveBatch> batch_at(const std::string& name, std::size_t at) const {
    if (!name.starts_with("journal-")) return std::nullopt;
    for (const NaiveBatch& b : batches_of(0, files.at(name))) {
      if (b.offset <= at && at < b.content_end) return b;
    }
    return std::nullopt;
  }

  const std::uint64_t seed;
  const testing::ScopedTrace trace;
  LedgerMaker maker;
  FileBytes files;
  MemoryDirectory directory;
  NaiveLedger naive;
  std::uint64_t older = 0;  // a cursor
};

// -- cut ----------------------------------------------------------------------------------------

TEST_F(ChronicleDamageTest, AJournalCutAtAnyByteIsAGapFreePrefixOrRefused) {  // J6
  tell_a({});
  std::vector<NaiveBatch> batches;
  for (std::uint64_t number = 1; number <= 5; ++number) {
    const auto more = batches_of(number, files.at(segment_name(number)));
    batches.insert(batches.end(), more.begin(), more.end());
  }
  std::map<std::uint64_t, NaiveLedger> prefixes;
  const auto cut = [&](std::uint64_t number, std::size_t size, bool is_last) {
    directory.bytes(segment_name(number)).assign(files.at(segment_name(number)), 0, size);
    const ReadLedger read = read_ledger(directory, as_a_start());
    SCOPED_TRACE(fmt::format("segment {} cut at {}", number, size));
    std::uint64_t whole = 0;
    bool loses = size < kBlockBytes;
    for (const NaiveBatch& b : batches) {
      if (b.segment > number) break;
      const bool there = b.segment < number || b.content_end <= size;
      whole += there ? 1 : 0;
      loses |= !there;
    }
    if (size < kBlockBytes || (loses && !is_last)) {
      ASSERT_TRUE(names_a_place(read.error)) << read.error;
      // One of which nothing is left is passed over, and the next one does not follow.
      if (size == kBlockBytes) return;
      ASSERT_NE(read.error.find(segment_name(number)), std::string::npos) << read.error;
      return;
    }
    if (!is_last) {
      whole = static_cast<std::uint64_t>(
          std::count_if(batches.begin(), batches.end(),
                        [&](const NaiveBatch& b) { return b.segment <= number + 1; }));
    }
    auto it = prefixes.find(whole);
    if (it == prefixes.end()) {
      it = prefixes.emplace(whole, read_naively(files, {.batches_max = whole})).first;
    }
    ASSERT_EQ(read.error, "");
    ASSERT_EQ(read.chronicle.place.batches, whole);
    ASSERT_EQ(read.chronicle.place.next_seq, it->second.next_seq);
    ASSERT_EQ(read.links, it->second.links);
    ASSERT_EQ(read.events(), it->second.events);
  };
  // In the middle, then at the end: each segment was the last one once.
  for (std::uint64_t number = 5; number >= 1; --number) {
    for (const bool is_last : {false, true}) {
      if (is_last) {
        for (std::uint64_t n = number + 1; n <= 6; ++n) {
          static_cast<void>(directory.remove(segment_name(n)));
        }
      } else if (number == 5) {
        continue;  // only an empty one follows
      }
      const std::string& good = files.at(segment_name(number));
      for (std::size_t size = 0; size <= good.size(); ++size) {
        // Among the zeroes that fill the blocks, not everywhere once more.
        if (number != 5 && size % 16 != 0 && good.find_first_not_of('\0', size) > size + 16)
          continue;
        cut(number, size, is_last);
        if (HasFatalFailure()) return;
      }
    }
  }
}

// -- flipped ------------------------------------------------------------------------------------

TEST_F(ChronicleDamageTest, AFlippedBitAfterAnOrderlyStopNeverMakesAnotherCount) {  // J7
  tell_a({});
  flip([&](const std::string& name, std::size_t at) {
    const bool refused = refuses("flipped");
    const auto batch = batch_at(name, at);
    if (batch) {
      // The mark of the orderly stop has no records: without it, nothing is lost.
      EXPECT_EQ(refused, !batch->head.end);
    } else {
      EXPECT_EQ(refused, at < kFilePrefixBytes + 7 * 8);
    }
  });
}

TEST_F(ChronicleDamageTest, AFlippedBitBesideSnapshotsNeverMakesAnotherCount) {  // J7
  tell_a({.snapshots = true});
  flip([&](const std::string&, std::size_t) { refuses("flipped"); });
}

TEST_F(ChronicleDamageTest, AFlippedBitAfterACrashMayCutTheVeryLastBatchAndNoOther) {  // J6, J7
  tell_a({.orderly = false});
  const std::uint64_t all = naive.batches;
  const NaiveLedger cut = read_naively(files, {.batches_max = all - 1});
  ASSERT_NE(cut.links, naive.links);
  flip([&](const std::string& name, std::size_t at) {
    const auto batch = batch_at(name, at);
    if (!batch || batch->head.number != all) {
      refuses("flipped");
      return;
    }
    const ReadLedger read = read_ledger(directory, as_a_start());
    EXPECT_EQ(read.error, "");
    EXPECT_EQ(read.links, cut.links);
    EXPECT_EQ(read.events(), cut.events);
    EXPECT_NE(read.chronicle.torn_bytes, 0u) << "and it is said";
    EXPECT_EQ(read.chronicle.torn_file, name);
  });
}

// The same through a server's start, for some of them: what is refused stays as it is.
TEST_F(ChronicleDamageTest, AStartThatRefusesChangesNothing) {
  std::mt19937_64 random(seed);
  int refused = 0;
  int opened = 0;
  for (const bool snapshots : {false, true}) {
    LedgerMaker made;
    tell(made, {.snapshots = snapshots});
    const FileBytes good = made.files();
    const NaiveLedger want = read_naively(made.history());
    for (int round = 0; round < 60; ++round) {
      auto damaged = good;
      auto& [name, bytes] =
          *std::next(damaged.begin(), static_cast<std::ptrdiff_t>(random() % damaged.size()));
      std::size_t at = 0;
      do {
        at = random() % bytes.size();
      } while (bytes[at] == '\0');
      bytes[at] = static_cast<char>(bytes[at] ^ 1 << random() % 8);
      LedgerRig rig;
      for (const auto& [n, b] : damaged) rig.disk.put(n, b);
      rig.options.follower_cursor = [&] { return made.rig.follower.cursor(); };
      const std::string error = rig.open();
      SCOPED_TRACE(fmt::format("{}, byte {}: {}", name, at, error));
      if (!error.empty()) {
        ++refused;
        EXPECT_TRUE(names_a_place(error));
        FileBytes now;
        for (const std::string& n : rig.disk.names()) now[n] = rig.disk.content(n);
        EXPECT_EQ(now, damaged);
        continue;
      }
      ++opened;
      for (const auto& [key, link] : want.links) {
        Account account(2000, link.id);
        ASSERT_TRUE(account.read_image(link.image));
        const auto view = rig.ledger->view(link.id);
        ASSERT_TRUE(view) << link.id;
        EXPECT_EQ(view->copies, account.view().copies) << link.id;
        EXPECT_EQ(view->traffic_bytes, account.view().traffic_bytes) << link.id;
      }
    }
  }
  EXPECT_GT(refused, 20);
  EXPECT_GT(opened, 5);
}

// -- missing, exchanged, foreign, old -----------------------------------------------------------

TEST_F(ChronicleDamageTest, AMissingSegmentIsRefusedByName) {  // J7
  tell_a({});
  for (std::uint64_t number = 1; number <= 5; ++number) {
    restore();
    static_cast<void>(directory.remove(segment_name(number)));
    EXPECT_EQ(read_ledger(directory, as_a_start()).error,
              fmt::format("{} is missing, and {} is there", segment_name(number), segment_name(6)));
  }
}

TEST_F(ChronicleDamageTest, AMissingSegmentBehindASnapshotIsRefusedByName) {  // J7
  tell_a({.snapshots = true});
  const auto without = [&](std::initializer_list<std::uint64_t> numbers) {
    restore();
    for (const std::uint64_t n : numbers) static_cast<void>(directory.remove(segment_name(n)));
    return read_ledger(directory, as_a_start(naive.next_seq - 1)).error;
  };
  EXPECT_EQ(without({5}), segment_name(5) + " is missing, and " + segment_name(7) + " is there");
  EXPECT_EQ(without({6}), segment_name(6) + " is missing, and " + segment_name(7) + " is there");
  EXPECT_EQ(without({5, 6, 7}), segment_name(5) + " is missing: it follows " + snapshot_name(5));
  EXPECT_EQ(without({3, 4}), "") << "they are the older generation's";
  restore();
  static_cast<void>(directory.remove(snapshot_name(3)));
  static_cast<void>(directory.remove(snapshot_name(5)));
  EXPECT_EQ(read_ledger(directory, as_a_start()).error,
            segment_name(1) + " is missing, and " + segment_name(7) + " is there");
}

TEST_F(ChronicleDamageTest, ExchangedSegmentsAreRefused) {  // J7
  tell_a({});
  for (std::uint64_t a = 1; a <= 6; ++a) {
    for (std::uint64_t b = 1; b <= 6; ++b) {
      if (a == b) continue;
      restore();
      std::swap(directory.bytes(segment_name(a)), directory.bytes(segment_name(b)));
      EXPECT_TRUE(refuses(fmt::format("{} and {}", a, b)));
      EXPECT_EQ(
          read_ledger(directory, as_a_start()).error,
          fmt::format("{} is number {} by its head", segment_name(std::min(a, b)), std::max(a, b)));
    }
  }
}

TEST_F(ChronicleDamageTest, ASegmentOfAnotherLedgerIsRefused) {  // J8
  tell_a({});
  LedgerMaker other;
  tell(other, {});
  for (std::uint64_t number = 1; number <= 5; ++number) {
    restore();
    directory.bytes(segment_name(number)) = other.files().at(segment_name(number));
    // The first one says which ledger it is; then it is the second that does not belong to it.
    EXPECT_EQ(refusal(),
              segment_name(std::max<std::uint64_t>(number, 2)) + " belongs to another ledger");
  }
}

TEST_F(ChronicleDamageTest, ASegmentOfAnOlderCopyIsRefused) {  // J8
  // A copy is made while the second segment is being written; later it is put back.
  LedgerMaker first;
  first.open();
  for (int i = 0; i < 3; ++i) first.download("a", 9, 1000, {0, 500});
  const FileBytes copy = first.files();
  ASSERT_TRUE(copy.contains(segment_name(2)));
  const std::size_t copied = batches_of(2, copy.at(segment_name(2))).size();
  ASSERT_GE(copied, 1u);
  for (int i = 0; i < 5; ++i) first.download("b", 9, 1000, {0, 500});
  first.stop();
  files = trimmed(first.files());
  naive = read_naively(files);
  ASSERT_GT(batches_of(2, files.at(segment_name(2))).size(), copied);
  restore();
  directory.bytes(segment_name(2)) = copy.at(segment_name(2));
  const std::string error = refusal();
  EXPECT_EQ(error.find(fmt::format("{} at byte 4096: batch {} was acknowledged and is damaged or "
                                   "missing (batch {} stands behind it at byte 4096)",
                                   segment_name(3), 4 + copied + 1, 9)),
            0u)
      << error;
  EXPECT_NE(error.find(fmt::format("; {} ends at byte {}", segment_name(2), (1 + copied) * 4096)),
            std::string::npos)
      << error;

  // The copy was started as well, and went on in its own way.
  LedgerMaker second;
  for (const auto& [name, bytes] : copy) second.rig.disk.put(name, bytes);
  second.rig.options.follower_cursor = [&] { return second.rig.follower.cursor(); };
  second.open();
  for (int i = 0; i < 8; ++i) second.download("c", 9, 1000, {0, 500});
  second.stop();
  for (const auto& [name, bytes] : second.files()) {
    if (!files.contains(name) || name == segment_name(1)) continue;
    restore();
    directory.bytes(name) = bytes;
    EXPECT_TRUE(refuses(name)) << name;
  }
}

// -- blocks -------------------------------------------------------------------------------------

TEST_F(ChronicleDamageTest, BlocksZeroedSwappedOrDoubledNeverMakeAnotherCount) {  // J7
  for (const bool snapshots : {false, true}) {
    LedgerMaker made;
    tell(made, {.snapshots = snapshots});
    files = trimmed(made.files());
    naive = read_naively(made.history());
    older = snapshots ? parse_snapshot_head(files.at(snapshot_name(3)).substr(0, kBlockBytes))
                                ->place.next_seq -
                            1
                      : 0;
    // Segments get an empty block behind what was written.
    std::vector<std::pair<std::string, std::size_t>> blocks;
    for (auto& [name, bytes] : files) {
      bytes.resize((bytes.size() + 2 * kBlockBytes - 1) / kBlockBytes * kBlockBytes);
      for (std::size_t at = 0; at < bytes.size(); at += kBlockBytes) blocks.emplace_back(name, at);
    }
    std::size_t refused = 0;
    const auto block = [&](const auto& where) {
      return files.at(where.first).substr(where.second, kBlockBytes);
    };
    for (const auto& a : blocks) {
      for (const auto& b : blocks) {
        restore();
        std::string what = fmt::format("{} {} and {} {}", a.first, a.second, b.first, b.second);
        if (a == b) {
          directory.bytes(a.first).replace(a.second, kBlockBytes, kBlockBytes, '\0');
          refused += refuses("zeroed: " + what);
          continue;
        }
        directory.bytes(b.first).replace(b.second, kBlockBytes, block(a));
        refused += refuses("doubled: " + what);
        if (a < b) {
          directory.bytes(a.first).replace(a.second, kBlockBytes, block(b));
          refused += refuses("swapped: " + what);
        }
      }
    }
    EXPECT_GT(refused, blocks.size() * blocks.size() / 2);
  }
}

TEST_F(ChronicleDamageTest, ABatchThatIsMissingIsRefused) {  // J7
  tell_a({});
  for (std::uint64_t number = 1; number <= 5; ++number) {
    for (const NaiveBatch& batch : batches_of(number, files.at(segment_name(number)))) {
      restore();
      directory.bytes(segment_name(number)).erase(batch.offset, batch.end - batch.offset);
      EXPECT_EQ(refuses(fmt::format("without batch {}", batch.head.number)), !batch.head.end);
    }
  }
}

// -- torn and gone on ---------------------------------------------------------------------------

TEST_F(ChronicleDamageTest, ATornEndOfAnEarlierRunIsLegalAndDamageThereIsNot) {  // J6
  maker.open();
  maker.download("a", 9, 1000, {0, 500});
  maker.crash();
  // The last write of the first run reached the disk in part.
  files = maker.files();
  const auto batches = batches_of(1, files.at(segment_name(1)));
  CraftedSegment rest(*parse_segment_head(files.at(segment_name(1)).substr(0, kBlockBytes)),
                      {0,
                       1,
                       batches.back().head.first_seq + batches.back().head.records,
                       batches.back().head.number,
                       batches.back().head.check,
                       {}});
  Entries entries;
  for (int i = 0; i < 60; ++i) append(entries, "a", TransferEnded{});
  std::string torn = rest.batch(entries.bytes, entries.records);
  ASSERT_EQ(torn.size(), 2 * kBlockBytes);
  torn.replace(kBlockBytes, 512, 512, '\0');
  std::string& segment = files.at(segment_name(1));
  segment.replace(batches.back().end, torn.size(), torn);
  maker.rig.disk.put(segment_name(1), segment);
  ASSERT_TRUE(read_naively(files).batches == batches.size());

  maker.open();
  EXPECT_EQ(maker.rig.notes.front(),
            fmt::format("{}: cut 8192 bytes of an unfinished last write", segment_name(1)));
  maker.download("a", 9, 1000, {0, 500});
  maker.stop();
  files = trimmed(maker.files());
  naive = read_naively(files);
  restore();
  EXPECT_FALSE(refuses("torn, and gone on"));

  for (const NaiveBatch& batch : batches) {
    restore();
    char& byte = directory.bytes(segment_name(1))[batch.content_end - 1];
    byte = static_cast<char>(byte ^ 1);
    const std::string error = refusal();
    const bool last = batch.head.number == batches.size();
    EXPECT_EQ(error.find(last ? fmt::format("{} at byte 4096: batch {} was acknowledged",
                                            segment_name(2), batch.head.number)
                              : fmt::format("{} at byte {}: batch {} was acknowledged",
                                            segment_name(1), batch.offset, batch.head.number)),
              0u)
        << error;
    if (last) {
      EXPECT_NE(error.find(fmt::format("; {} ends at byte {}", segment_name(1), batch.offset)),
                std::string::npos)
          << error;
    }
  }
}

// -- records ------------------------------------------------------------------------------------

TEST(ChronicleRecords, ThatMakeNoSenseAreRefusedWithTheirPlace) {  // J7
  Entries good;
  append(good, "a", Used{"", "/f"});
  Entries leased;
  append(leased, "a", Leased{9, 500});
  Entries wrong_type;
  append(wrong_type, "a", Crashed{});
  wrong_type.bytes.back() = 77;
  Entries nothing;
  std::string cut = good.bytes.substr(0, good.bytes.size() - 1);
  std::string wild = good.bytes;
  const std::uint32_t length = 0xffff'fff0;
  std::memcpy(wild.data(), &length, sizeof length);
  std::string no_id = good.bytes;
  no_id[4] = 0;
  const struct {
    std::string payload;
    std::uint32_t records;
    const char* error;
  } cases[] = {
      {good.bytes, 1, ""},
      {std::string(16, '\0'), 1, "record 2 is unreadable"},
      {std::string(16, '\0'), 0, "bytes behind the last record of the batch"},
      {good.bytes, 2, "record 3 is unreadable"},
      {good.bytes, 0xffff'ffff, "record 3 is unreadable"},
      {good.bytes + good.bytes, 1, "bytes behind the last record of the batch"},
      {cut, 1, "record 2 is unreadable"},
      {wild, 1, "record 2 is unreadable"},
      {no_id, 1, "record 2 is unreadable"},
      {wrong_type.bytes, 1, "record 2, of link a, is unreadable"},
      {leased.bytes, 1, "record 2, of link a, contradicts those before it"},
  };
  for (const auto& c : cases) {
    CraftedSegment segment;
    segment.add(good);
    const std::size_t at = segment.bytes.size();
    segment.add(c.payload, c.records);
    segment.end();
    MemoryDirectory directory(segment_name(1), segment.bytes);
    const ReadLedger read = read_ledger(directory, as_a_start());
    EXPECT_EQ(read.error, *c.error == '\0'
                              ? ""
                              : fmt::format("{} at byte {}: {}", segment_name(1), at, c.error));
  }
}

TEST(ChronicleRecords, OfARunBeforeTheCurrentOneAreRefused) {
  CraftedSegment first;
  first.add(encoded({"a", Used{"", "/f"}}), 1);
  CraftedSegment second = first.next(3);
  second.add(encoded({"a", Used{"", "/g"}}), 1);
  CraftedSegment third = second.next(2);
  third.add(encoded({"a", Used{"", "/h"}}), 1);
  MemoryDirectory directory({{segment_name(1), first.bytes},
                             {segment_name(2), second.bytes},
                             {segment_name(3), third.bytes}});
  EXPECT_EQ(read_ledger(directory, as_a_start()).error,
            fmt::format("{} was written by run 2, and run 3 had begun before; {} ends at byte 8192",
                        segment_name(3), segment_name(2)));
}

// -- other files --------------------------------------------------------------------------------

TEST_F(ChronicleDamageTest, AFileThatIsNoneOfItsKindIsRefusedByName) {  // J8
  tell_a({.snapshots = true});
  const auto with_version = [&](std::string bytes, std::uint32_t version) {
    std::memcpy(bytes.data() + 16, &version, sizeof version);
    return bytes;
  };
  const std::string segment = files.at(segment_name(6));
  const std::string snapshot = files.at(snapshot_name(5));
  for (const bool is_segment : {true, false}) {
    const std::string name = is_segment ? segment_name(6) : snapshot_name(5);
    const std::string& good = is_segment ? segment : snapshot;
    const struct {
      std::string bytes;
      std::string error;
    } cases[] = {
        {"", " is shorter than its head"},
        {"<html>", " is shorter than its head"},
        {std::string(3 * kBlockBytes, '\0'), " is not a ledger file of tallygate"},
        {std::string(3 * kBlockBytes, 'x'), " is not a ledger file of tallygate"},
        {is_segment ? snapshot : segment,
         is_segment ? " is not a segment of the journal" : " is not a snapshot"},
        {is_segment ? files.at(segment_name(5)) : files.at(snapshot_name(3)),
         is_segment ? " is number 5 by its head" : " is number 3 by its head"},
        {with_version(good, 3),
         " has format version 3, this program knows 2: it was written by a newer tallygate"},
        {with_version(good, 1),
         " has format version 1, this program knows 2: it was written by an older tallygate"},
    };
    for (const auto& c : cases) {
      restore();
      directory.bytes(name) = c.bytes;
      const ReadLedger read = read_ledger(directory, as_a_start(naive.next_seq - 1));
      EXPECT_EQ(read.error, name + c.error);
      EXPECT_EQ(read.damaged_snapshot, is_segment ? 0u : 5u);
      EXPECT_EQ(refuses(name + c.error), is_segment) << "a snapshot has an older one behind it";
    }
  }
}

// -- snapshots ----------------------------------------------------------------------------------

TEST_F(ChronicleDamageTest, ADamagedSnapshotIsReplacedByTheOlderOneAndTheJournal) {
  tell_a({.snapshots = true});
  std::string bytes = files.at(snapshot_name(5));
  bytes[kBlockBytes + 50] = static_cast<char>(bytes[kBlockBytes + 50] ^ 4);
  maker.rig.disk.put(snapshot_name(5), bytes);
  maker.rig.notes.clear();
  maker.open();
  ASSERT_FALSE(maker.rig.notes.empty());
  EXPECT_EQ(maker.rig.notes.front(),
            snapshot_name(5) +
                " at byte 4096: block 1 of 1 is damaged (checksum mismatch); an older snapshot and "
                "the journal since have replaced it, nothing is lost");
  for (const auto& [key, link] : naive.links) {
    Account account(2000, link.id);
    ASSERT_TRUE(account.read_image(link.image));
    EXPECT_EQ(maker.rig.ledger->view(link.id)->copies, account.view().copies) << link.id;
  }
  // And the next snapshot makes up for it.
  maker.snapshot();
  maker.stop();
  naive = read_naively(maker.history());
  files = trimmed(maker.files());
  restore();
  const ReadLedger read = read_ledger(directory, as_a_start(naive.next_seq - 1));
  EXPECT_EQ(read.error, "");
  EXPECT_GT(read.chronicle.snapshot, 5u);
  EXPECT_EQ(read.links, naive.links);
}

TEST_F(ChronicleDamageTest, ADamagedSnapshotWithoutAnOlderOneIsRefused) {
  tell_a({.snapshots = true});
  std::string& bytes = directory.bytes(snapshot_name(5));
  bytes[kBlockBytes + 50] = static_cast<char>(bytes[kBlockBytes + 50] ^ 4);
  const std::string error =
      snapshot_name(5) + " at byte 4096: block 1 of 1 is damaged (checksum mismatch)";
  const auto last = as_a_start(naive.next_seq - 1);
  EXPECT_EQ(read_with_older(directory, last).error, "");

  static_cast<void>(directory.remove(snapshot_name(3)));
  EXPECT_EQ(read_with_older(directory, last).error, error);
  directory.put(snapshot_name(3), files.at(snapshot_name(3)));
  // The older one is there, and the journal does not go on from it.
  static_cast<void>(directory.remove(segment_name(4)));
  EXPECT_EQ(read_with_older(directory, last).error, error);
}

TEST_F(ChronicleDamageTest, ADamagedSnapshotIsReplacedByTheWholeJournalWhileThatIsThere) {
  maker.open();
  maker.download("a", 9, 1000, {0, 1000});
  maker.snapshot();
  maker.download("a", 9, 1000, {0, 1000});
  maker.stop();
  files = maker.files();
  naive = read_naively(maker.history());
  const std::string name = files.rbegin()->first;
  ASSERT_TRUE(name.starts_with("snapshot-"));
  restore();
  directory.bytes(name).resize(100);
  EXPECT_FALSE(refuses("no snapshot is left"));
}

// Nothing needs the older generation as long as the newest can be read and the follower is not
// behind it.
TEST_F(ChronicleDamageTest, ADamagedOlderGenerationIsMissedWhenItIsNeeded) {
  tell_a({.snapshots = true});
  for (const std::string& name : {snapshot_name(3), segment_name(3), segment_name(4)}) {
    restore();
    directory.bytes(name)[20] ^= 1;
    EXPECT_EQ(read_with_older(directory, as_a_start(naive.next_seq - 1)).error, "");
    const ReadLedger behind = read_with_older(directory, as_a_start(older));
    EXPECT_EQ(behind.error.find(name), 0u) << behind.error;
  }
}

}  // namespace
}  // namespace tallygate::ledger
