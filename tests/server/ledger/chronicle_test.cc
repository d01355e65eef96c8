#include "server/ledger/chronicle.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "server/ledger/find_use.h"
#include "server/ledger/snapshot_file.h"
#include "tests/server/ledger/crafted_segment.h"
#include "tests/server/ledger/ledger_files.h"
#include "tests/support/forwarding_storage.h"
#include "tests/support/seed.h"

namespace tallygate::ledger {
namespace {

const Story kStories[] = {{false, true}, {false, false}, {true, true}, {true, false}};

std::string name_of(const Story& story) {
  return fmt::format("{} snapshots, {}", story.snapshots ? "with" : "without",
                     story.orderly ? "stopped" : "crashed");
}

std::uint64_t place_of(const FileBytes& files, std::uint64_t snapshot) {
  return parse_snapshot_head(files.at(snapshot_name(snapshot)).substr(0, kBlockBytes))
      ->place.next_seq;
}

// -- what is there ------------------------------------------------------------------------------

TEST(Chronicle, OfAnEmptyDirectoryIsANewLedger) {
  MemoryDirectory directory;
  directory.put("outbox.db", "not ours");
  directory.put(segment_name(1) + ".new", "never finished");
  directory.put("journal-000000000000000A.tgj", "not a name of ours");
  const ReadLedger read = read_ledger(directory, as_a_start());
  EXPECT_EQ(read.error, "");
  EXPECT_TRUE(read.links.empty());
  EXPECT_EQ(read.chronicle.next_segment, 1u);
  EXPECT_EQ(read.chronicle.place, JournalPlace());
}

TEST(Chronicle, IsWhatTheRecordsSayOneByOne) {
  for (const Story& story : kStories) {
    SCOPED_TRACE(name_of(story));
    LedgerMaker maker;
    tell(maker, story);
    const NaiveLedger naive = read_naively(maker.history());
    ASSERT_EQ(naive.links.size(), 6u);
    MemoryDirectory directory(maker.files());
    for (const bool verify : {false, true}) {
      ChronicleOptions options = as_a_start();
      options.verify_images = verify;
      const ReadLedger read = read_ledger(directory, options);
      EXPECT_EQ(read.error, "");
      EXPECT_EQ(read.links, naive.links);
      EXPECT_EQ(read.chronicle.links, naive.links.size());
      EXPECT_EQ(read.chronicle.place.next_seq, naive.next_seq);
      EXPECT_EQ(read.chronicle.place.batches, naive.batches);
      EXPECT_EQ(read.chronicle.in_flight, 1u);
      EXPECT_EQ(read.chronicle.snapshot, story.snapshots ? 5u : 0u);
      EXPECT_EQ(read.chronicle.torn_bytes, 0u);
    }
    EXPECT_EQ(directory.changes(), 0u) << "reading changes nothing";
  }
}

TEST(Chronicle, IsWhatTheServerKnew) {
  LedgerMaker maker;
  maker.open();
  maker.download("a", 3, 1000, {0, 1000});
  maker.download("b", 1, 1000, {0, 999});
  maker.snapshot();
  maker.download("a", 3, 1000, {0, 1000});
  maker.download("c", std::nullopt, 7, {0, 7});
  std::map<std::string, AccountView> known;
  for (const std::string id : {"a", "b", "c"}) known[id] = *maker.rig.ledger->view(id);
  maker.stop();
  MemoryDirectory directory(maker.files());
  const ReadLedger read = read_ledger(directory, as_a_start());
  ASSERT_EQ(read.links.size(), known.size());
  for (const auto& [key, link] : read.links) {
    Account account(2000, link.id);
    ASSERT_TRUE(account.read_image(link.image));
    EXPECT_EQ(account.view().copies, known[link.id].copies) << link.id;
    EXPECT_EQ(account.view().traffic_bytes, known[link.id].traffic_bytes) << link.id;
    EXPECT_EQ(account.view().limit, known[link.id].limit) << link.id;
    EXPECT_EQ(link.path, "/f");
  }
}

TEST(Chronicle, AsksTheDiskItself) {
  LedgerMaker maker;
  tell(maker, {});
  FakeDisk& disk = maker.rig.disk;
  const std::uint64_t before = disk.syncs();
  EXPECT_EQ(read_ledger(*disk.directory(), as_a_start()).error, "");
  EXPECT_EQ(disk.syncs() - before, maker.files().size()) << "all segments, before they are read";
}

// -- a part of it -------------------------------------------------------------------------------

TEST(Chronicle, UntilASegmentIsTheStateWhenItBegan) {
  for (const Story& story : kStories) {
    SCOPED_TRACE(name_of(story));
    LedgerMaker maker;
    tell(maker, story);
    MemoryDirectory directory(maker.files());
    for (std::uint64_t until = story.snapshots ? 3 : 1; until <= 9; ++until) {
      ChronicleOptions options;
      options.until_segment = until;
      const ReadLedger read = read_ledger(directory, options);
      ASSERT_EQ(read.error, "") << until;
      const NaiveLedger naive =
          read_naively(maker.history(), {.until_segment = until, .new_run = false});
      EXPECT_EQ(read.links, naive.links) << until;
      EXPECT_EQ(read.chronicle.place.next_seq, naive.next_seq) << until;
      EXPECT_EQ(read.chronicle.snapshot, !story.snapshots ? 0u : until < 5 ? 3u : 5u);
    }
  }
}

// The follower lacks what is in the newest snapshot: the generation before it has the events still.
TEST(Chronicle, GivesEveryEventBehindTheCursorOnce) {
  for (const Story& story : kStories) {
    SCOPED_TRACE(name_of(story));
    LedgerMaker maker;
    tell(maker, story);
    const FileBytes files = maker.files();
    MemoryDirectory directory(files);
    const NaiveLedger naive = read_naively(maker.history());
    const std::uint64_t from = story.snapshots ? place_of(files, 3) - 1 : 0;
    const std::uint64_t newest = story.snapshots ? place_of(files, 5) - 1 : 0;
    ASSERT_GT(events_behind(naive.events, from).size(),
              events_behind(naive.events, newest).size() + (story.snapshots ? 2 : 0) - 1);
    for (std::uint64_t cursor = from; cursor < naive.next_seq; ++cursor) {
      const ReadLedger read = read_ledger(directory, as_a_start(cursor));
      ASSERT_EQ(read.error, "");
      ASSERT_EQ(read.events(), events_behind(naive.events, cursor)) << cursor;
      ASSERT_EQ(read.links, naive.links);
      ASSERT_EQ(read.chronicle.snapshot, !story.snapshots ? 0u : cursor < newest ? 3u : 5u);
    }
    EXPECT_TRUE(read_ledger(directory, as_a_start(std::nullopt)).events().empty());
  }
}

// The same through a server: its follower was restored from a copy.
TEST(Chronicle, BringsAFollowerThatFellBackUpToDate) {
  LedgerMaker maker;
  tell(maker, {.snapshots = true});
  const FileBytes files = maker.files();
  const std::vector<Event> all = maker.rig.follower.events();
  const std::uint64_t last = maker.rig.follower.cursor();
  for (std::uint64_t cursor = place_of(files, 3) - 1; cursor <= last; ++cursor) {
    LedgerRig rig;
    for (const auto& [name, bytes] : files) rig.disk.put(name, bytes);
    rig.options.follower_cursor = [&] { return std::max(cursor, rig.follower.cursor()); };
    ASSERT_EQ(rig.open(), "") << cursor;
    // The transfer in flight was lost with the last run, and its end is told behind all others.
    const std::vector<Event> told = events_behind(rig.follower.events(), 0);
    const std::vector<Event> want = events_behind(all, cursor);
    ASSERT_GE(told.size(), want.size());
    EXPECT_EQ(
        std::vector<Event>(told.begin(), told.begin() + static_cast<std::ptrdiff_t>(want.size())),
        want);
    EXPECT_GT(told.size() == want.size() ? last + 1 : told[want.size()].seq, last);
  }
}

TEST(Chronicle, WithAFollowerThatLacksMoreThanThereIsBeginsWithWhatThereIs) {
  LedgerMaker maker;
  tell(maker, {.snapshots = true});
  MemoryDirectory directory(maker.files());
  ASSERT_FALSE(maker.files().contains(segment_name(1)));
  const ReadLedger read = read_ledger(directory, as_a_start(0));
  EXPECT_EQ(read.error, "");
  EXPECT_EQ(read.chronicle.snapshot, 5u);
  EXPECT_EQ(read.links, read_naively(maker.history()).links);
}

// -- runs ---------------------------------------------------------------------------------------

// What was leased and not settled when a run ended is in doubt from then on, and the crash has a
// number of its own in the journal; a run that wrote nothing leaves no trace.
TEST(Chronicle, CountsACrashOnceHoweverOftenItStarts) {  // J14
  LedgerMaker maker;
  maker.open();
  maker.download("a", 3, 1000, {0, 400});
  maker.begin("b", 1000, 600, 100);
  maker.crash();
  std::optional<NaiveLedger> first;
  for (int start = 0; start < 4; ++start) {
    const NaiveLedger naive = read_naively(maker.history());
    MemoryDirectory directory(maker.files());
    const ReadLedger read = read_ledger(directory, as_a_start());
    ASSERT_EQ(read.error, "");
    EXPECT_EQ(read.links, naive.links);
    EXPECT_EQ(read.events(), naive.events);
    EXPECT_EQ(read.chronicle.run_max, static_cast<std::uint64_t>(start) + 1);
    if (!first) first = naive;
    EXPECT_EQ(read.chronicle.place.next_seq, first->next_seq);
    maker.open();
    if (start % 2 == 0) {
      maker.stop();
    } else {
      maker.crash();
    }
  }
}

TEST(Chronicle, OfManyRunsIsWhatTheRecordsSayOneByOne) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  LedgerMaker maker;
  for (int run = 0; run < 12; ++run) {
    maker.open();
    for (int step = 0; step < 6; ++step) {
      const std::string id(1, static_cast<char>('a' + random() % 5));
      switch (random() % 5) {
        case 0:
          maker.begin(id + std::to_string(run) + std::to_string(step), 1000, 500, random() % 400);
          break;
        case 1:
          maker.snapshot();
          break;
        default: {
          Ask ask;
          ask.link_id = id;
          ask.limit = 4;
          ask.version = random() % 2;
          const std::uint64_t first = random() % 900;
          ask.range = Span{first, first + 1 + random() % 100};
          static_cast<void>(maker.rig.download(ask));
        }
      }
    }
    if (random() % 2) {
      maker.stop();
    } else {
      maker.crash();
    }
    const NaiveLedger naive = read_naively(maker.history());
    MemoryDirectory directory(maker.files());
    const ReadLedger read = read_ledger(directory, as_a_start());
    ASSERT_EQ(read.error, "");
    ASSERT_EQ(read.links, naive.links);
    ASSERT_EQ(read.chronicle.place.next_seq, naive.next_seq);
    std::vector<Event> told = naive.events;
    std::erase_if(told, [&](const Event& e) { return e.seq > maker.rig.follower.cursor(); });
    ASSERT_EQ(maker.rig.follower.events(), told);
  }
}

// What is left over of earlier runs is no part of the ledger, and the next start tidies it up.
TEST(Chronicle, PassesOverEmptySegmentsAndUnfinishedFiles) {
  LedgerMaker maker;
  tell(maker, {.snapshots = true});
  const ReadLinks links = read_naively(maker.history()).links;
  FileBytes files = maker.files();
  const std::uint64_t last = 7;  // made ahead of need
  ASSERT_TRUE(files.contains(segment_name(last)));
  ASSERT_FALSE(files.contains(segment_name(last + 1)));
  SegmentHead head = *parse_segment_head(files.at(segment_name(last)).substr(0, kBlockBytes));
  head.number = last + 1;
  head.run = 1;  // of an earlier run than the one before it: nothing was ever written to it
  files[segment_name(last + 1)] = encode_segment_head(head) + std::string(kBlockBytes, '\0');
  files[segment_name(last + 1) + ".new"] = "half a he";
  files[segment_name(last + 4) + ".new"] = "";
  files[snapshot_name(last) + ".new"] = std::string(kBlockBytes, '\0');
  MemoryDirectory directory(files);
  const ReadLedger read = read_ledger(directory, as_a_start());
  EXPECT_EQ(read.error, "");
  EXPECT_EQ(read.links, links);
  EXPECT_EQ(read.chronicle.next_segment, last);

  LedgerRig rig;
  for (const auto& [name, bytes] : files) rig.disk.put(name, bytes);
  rig.options.follower_cursor = [&] { return maker.rig.follower.cursor(); };
  ASSERT_EQ(rig.open(), "");
  for (const std::string& name : rig.disk.names()) {
    EXPECT_FALSE(name.ends_with(".new")) << name;
    EXPECT_NE(name, segment_name(last + 1));
  }
}

// -- passes and threads -------------------------------------------------------------------------

std::vector<std::uint64_t> snapshots_of(const FileBytes& files) {
  std::vector<std::uint64_t> numbers;
  for (const auto& [name, bytes] : files) {
    if (!name.starts_with("snapshot-")) continue;
    numbers.push_back(parse_snapshot_head(bytes.substr(0, kBlockBytes))->number);
  }
  return numbers;
}

// However little memory the records may take, and whoever shares the work.
void expect_the_same_in_passes_and_with_threads(Directory& directory, ChronicleOptions options) {
  const ReadLedger one = read_ledger(directory, options);
  ASSERT_EQ(one.error, "");
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  for (const std::size_t bytes_max :
       {std::size_t{1} << 30, std::size_t{300'000}, std::size_t{50'000}}) {
    for (const unsigned threads : {1u, 2u, 3u, 7u}) {
      SCOPED_TRACE(fmt::format("{} threads, {} bytes of records at a time", threads, bytes_max));
      options.threads = threads;
      options.records_bytes_max = bytes_max;
      options.progress = [&](std::uint64_t d, std::uint64_t t) {
        done = d;
        total = t;
      };
      const ReadLedger read = read_ledger(directory, options);
      ASSERT_EQ(read.error, "");
      EXPECT_EQ(read.links, one.links);
      EXPECT_EQ(read.events(), one.events());
      EXPECT_EQ(read.chronicle.links, one.chronicle.links);
      EXPECT_EQ(read.chronicle.in_flight, one.chronicle.in_flight);
      EXPECT_EQ(read.chronicle.records, one.chronicle.records);
      EXPECT_EQ(read.chronicle.place, one.chronicle.place);
      EXPECT_LE(done, total);
      EXPECT_NE(done, 0u);
    }
  }
}

TEST(Chronicle, IsTheSameInPassesAndWithThreads) {
  for (const bool snapshots : {false, true}) {
    LedgerMaker maker(16);
    maker.open();
    for (int i = 0; i < 120; ++i) {
      maker.download(fmt::format("link-{}", i % 70), 3, 1000, {0, 300});
      if (i % 20 == 7) maker.begin(fmt::format("flight-{}", i), 1000, 600, 100);
      if (snapshots && i % 40 == 30) maker.snapshot();
      if (i % 60 == 59) {
        maker.crash();
        maker.open();
      }
    }
    maker.begin("flight-last", 1000, 600, 100);
    maker.crash();
    const FileBytes files = maker.files();
    MemoryDirectory directory(files);
    const auto numbers = snapshots_of(files);
    ASSERT_EQ(numbers.size(), snapshots ? 2u : 0u);
    const std::uint64_t cursor = snapshots ? place_of(files, numbers.front()) - 1 : 0;
    EXPECT_EQ(read_ledger(directory, as_a_start(cursor)).links,
              read_naively(maker.history()).links);
    expect_the_same_in_passes_and_with_threads(directory, as_a_start(cursor));
    expect_the_same_in_passes_and_with_threads(directory, as_a_start(std::nullopt));
    expect_the_same_in_passes_and_with_threads(directory, {});
  }
}

// A snapshot of many blocks: each thread begins in the middle of one.
TEST(Chronicle, SharesTheBlocksOfASnapshotAmongThreads) {
  CraftedSegment segment;
  Entries entries;
  std::map<LinkKey, std::string> ids;
  for (int i = 0; i < 6000; ++i) {
    const std::string id = fmt::format("order-{}", i);
    ids[link_key(id)] = id;
    if (i % 3 == 0) append(entries, id, Delivered{{5}, 1000, 0, 1000, 0, true});
    if (i % 100 == 0) append(entries, "new-" + id, Used{"", "/new"});
  }
  MemoryDirectory directory;
  SnapshotWriter writer(directory, 1);
  for (const auto& [key, id] : ids) {
    Account account(2000, id);
    Entries none;
    ASSERT_TRUE(account.replay(Used{"", "/f"}, none));
    ASSERT_TRUE(account.replay(Delivered{{5}, 1000, 0, 400, 0, false}, none));
    std::string image;
    account.write_image(image);
    writer.add({key, id, "", "/f", image});
  }
  ASSERT_EQ(writer.finish(segment.place, 0), "");
  ASSERT_GT(SnapshotFile::open(directory, 1)->blocks(), 2u);
  segment.add(entries);
  directory.put(segment_name(1), segment.bytes);
  const ReadLedger read = read_ledger(directory, as_a_start(std::nullopt));
  ASSERT_EQ(read.links.size(), 6060u);
  std::uint64_t copies = 0;
  for (const auto& [key, link] : read.links) {
    Account account(2000, link.id);
    ASSERT_TRUE(account.read_image(link.image));
    copies += account.view().copies;
  }
  EXPECT_EQ(copies, 2000u);
  expect_the_same_in_passes_and_with_threads(directory, as_a_start(std::nullopt));
}

// -- beside a server ----------------------------------------------------------------------------

// Writes reach the file sector by sector, the last ones first, as a reader may see them.
class RaggedFile final : public ForwardingFile {
 public:
  using ForwardingFile::ForwardingFile;
  error_code write_at(std::uint64_t offset, std::string_view bytes) override {
    constexpr std::size_t kSector = FakeDisk::kSectorBytes;
    for (std::size_t end = bytes.size(); end != 0;) {
      const std::size_t begin = (end - 1) / kSector * kSector;
      const error_code ec =
          ForwardingFile::write_at(offset + begin, bytes.substr(begin, end - begin));
      if (ec) return ec;
      std::this_thread::yield();
      end = begin;
    }
    return {};
  }
};

class RaggedDirectory final : public ForwardingDirectory {
 public:
  using ForwardingDirectory::ForwardingDirectory;
  Result<std::unique_ptr<File>> open(const std::string& name) override {
    return ragged(ForwardingDirectory::open(name));
  }
  Result<std::unique_ptr<File>> create(const std::string& name) override {
    return ragged(ForwardingDirectory::create(name));
  }

 private:
  static Result<std::unique_ptr<File>> ragged(Result<std::unique_ptr<File>> file) {
    if (!file) return file.error();
    return std::unique_ptr<File>(std::make_unique<RaggedFile>(std::move(*file)));
  }
};

TEST(Chronicle, IsReadBesideAServerThatWritesAndTidiesUp) {
  LedgerRig rig;
  rig.options.segment_bytes_min = rig.options.segment_bytes_max = 32 << 10;
  auto opened = Ledger::open(
      std::make_unique<RaggedDirectory>(rig.disk.directory()), rig.options, rig.clock,
      [&](const std::vector<Event>& events) { rig.follower.take(events); },
      [](const std::string& line) { ADD_FAILURE() << line; });
  ASSERT_TRUE(opened) << opened.error();
  rig.ledger = std::move(*opened);
  const auto directory = rig.disk.directory();

  std::atomic<bool> done{false};
  std::atomic<int> reads{0};
  std::thread reader([&] {
    std::map<LinkKey, std::uint64_t> before;
    std::uint64_t next_seq = 0;
    for (bool last = false; !last && !testing::Test::HasFailure();) {
      last = done;
      ChronicleOptions options;
      options.verify_images = true;
      options.threads = 1 + static_cast<unsigned>(reads % 2);
      const ReadLedger read = read_ledger(*directory, options);
      ASSERT_EQ(read.error, "");
      ASSERT_GE(read.chronicle.place.next_seq, next_seq);
      next_seq = read.chronicle.place.next_seq;
      for (const auto& [key, traffic] : before) {
        ASSERT_TRUE(read.links.contains(key)) << "a link was there, and is no more";
      }
      for (const auto& [key, link] : read.links) {
        Account account(2000, link.id);
        ASSERT_TRUE(account.read_image(link.image));
        std::uint64_t& traffic = before[key];
        ASSERT_GE(account.view().traffic_bytes, traffic) << link.id;
        traffic = account.view().traffic_bytes;
      }
      ++reads;
    }
  });
  for (int i = 0; i < 2000 || reads < 20; ++i) {
    if (testing::Test::HasFailure()) break;
    Ask ask;
    ask.link_id = fmt::format("link-{}", i % 10);
    ask.limit = std::nullopt;
    ask.size = 10;
    if (i % 3 == 0) ask.limit = UINT32_MAX / 4;
    if (!rig.download(ask)) ADD_FAILURE() << i;
    if (i % 2 == 0) rig.ledger->turn();
    if (i % 100 == 99) {
      EXPECT_EQ(rig.ledger->take_snapshot(), "");
    }
  }
  rig.close();
  done = true;
  reader.join();
  EXPECT_GE(reads, 20);
}

TEST(Chronicle, IsGivenUpWhenAsked) {
  LedgerMaker maker;
  tell(maker, {.snapshots = true});
  MemoryDirectory directory(maker.files());
  std::atomic<bool> cancel{true};
  ChronicleOptions options = as_a_start();
  options.cancel = &cancel;
  for (const unsigned threads : {1u, 3u}) {
    options.threads = threads;
    const ReadLedger read = read_ledger(directory, options);
    EXPECT_EQ(read.error, "given up");
    EXPECT_EQ(read.damaged_snapshot, 0u) << "an older one would be given up too";
  }
  cancel = false;
  EXPECT_EQ(read_ledger(directory, options).error, "");
}

TEST(Chronicle, SaysWhatCannotBeRead) {
  LedgerMaker maker;
  tell(maker, {.snapshots = true});
  FakeDisk disk;
  for (const auto& [name, bytes] : trimmed(maker.files())) disk.put(name, bytes);
  disk.fail_nothing();
  const ReadLedger good = read_ledger(*disk.directory(), as_a_start());
  ASSERT_EQ(good.error, "");
  const std::uint64_t calls = disk.calls();
  ASSERT_GT(calls, 20u);
  std::size_t refused = 0;
  for (std::uint64_t n = 1; n <= calls; ++n) {
    disk.fail_call(n, make_error_code(boost::system::errc::io_error), false);
    const ReadLedger read = read_ledger(*disk.directory(), as_a_start());
    if (read.error.empty()) {
      ASSERT_EQ(read.links, good.links) << n;
      ASSERT_EQ(read.chronicle.place, good.chronicle.place);
      continue;
    }
    ++refused;
    EXPECT_NE(read.error.find("Input/output error"), std::string::npos) << read.error;
    EXPECT_NE(read.error.find(n == 1 ? "directory" : "-000000000000000"), std::string::npos)
        << read.error;
  }
  EXPECT_GT(refused, calls / 2);
}

TEST(FindUse, KnowsThePathOfALinkInJournalOrSnapshot) {
  for (const Story& story : kStories) {
    LedgerMaker maker;
    tell(maker, story);
    MemoryDirectory directory(maker.files());
    for (const char* id : {"a", "b", "c", "d", "u"}) {
      EXPECT_EQ(find_use(directory, id), (Used{"", "/f"})) << id;
    }
    EXPECT_EQ(find_use(directory, "nobody"), std::nullopt);
  }
}

}  // namespace
}  // namespace tallygate::ledger
