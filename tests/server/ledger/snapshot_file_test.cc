#include "server/ledger/snapshot_file.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "server/ledger/files.h"
#include "tests/server/ledger/largest_allocation.h"
#include "tests/support/fake_storage.h"
#include "tests/support/memory_directory.h"
#include "tests/support/seed.h"

namespace tallygate::ledger {
namespace {

const std::string kName = snapshot_name(3);
const JournalPlace kPlace{
    77, 4, 1001, 52, 0x1122334455667788, ClockWatch(1'767'225'600, 1'700'000'000)};

struct Link {
  std::string id;
  std::string parent_id;
  std::string path;
  std::string image;
  friend bool operator==(const Link&, const Link&) = default;
};
using Links = std::map<LinkKey, Link>;  // in the order of the file

Links some_links(std::size_t count, std::size_t image_bytes = 20) {
  Links links;
  for (std::size_t i = 0; i < count; ++i) {
    Link link{fmt::format("order-{}", i), i % 3 ? "" : "folder",
              fmt::format("/music/{}.flac", i % 7),
              std::string(image_bytes, static_cast<char>('a' + i % 26))};
    if (i % 5 == 0) link.path.clear();
    links[link_key(link.id)] = link;
  }
  return links;
}

std::string write(Directory& directory, const Links& links, std::uint64_t number = 3) {
  SnapshotWriter writer(directory, number);
  for (const auto& [key, link] : links) {
    writer.add({key, link.id, link.parent_id, link.path, link.image});
  }
  return writer.finish(kPlace, 1'767'000'000);
}

struct Outcome {
  std::string error;
  SnapshotHead head;
  std::size_t blocks = 0;
  Links links;
};

Outcome read(Directory& directory, std::uint64_t number = 3) {
  Outcome out;
  const auto snapshot = SnapshotFile::open(directory, number);
  if (!snapshot) {
    out.error = snapshot.error();
    return out;
  }
  out.head = snapshot->head();
  out.blocks = snapshot->blocks();
  std::string space;
  for (std::size_t i = 0; i < snapshot->blocks(); ++i) {
    const auto block = snapshot->read(i, space);
    if (!block) {
      out.error = block.error();
      return out;
    }
    LinkBlockReader reader(block->payload, block->links);
    while (const auto link = reader.next()) {
      out.links[link->key] = {std::string(link->id), std::string(link->parent_id),
                              std::string(link->path), std::string(link->image)};
    }
    if (!reader.ok()) out.error = snapshot->at(i, "makes no sense");
  }
  return out;
}

std::string bytes_of(const Links& links, std::uint64_t number = 3) {
  MemoryDirectory directory;
  EXPECT_EQ(write(directory, links, number), "");
  return directory.bytes(snapshot_name(number));
}

Outcome read_bytes(const std::string& bytes) {
  MemoryDirectory directory(kName, bytes);
  return read(directory);
}

// `bytes` with another head, and the check value that belongs to it.
std::string with_head(std::string bytes, const SnapshotHead& head) {
  return bytes.replace(0, kBlockBytes, encode_snapshot_head(head));
}
SnapshotHead head_of(const std::string& bytes) {
  return *parse_snapshot_head(std::string_view(bytes).substr(0, kBlockBytes));
}
// `bytes` with another index, and the check values that belong to it.
std::string with_index(const std::string& bytes, const std::vector<IndexEntry>& index) {
  SnapshotHead head = head_of(bytes);
  const std::string encoded = encode_index(index);
  head.blocks = index.size();
  head.index_check = index_check(head.nonce, encoded);
  return with_head(bytes.substr(0, head.index_at) + encoded, head);
}
std::vector<IndexEntry> index_of(const std::string& bytes) {
  return parse_index(std::string_view(bytes).substr(head_of(bytes).index_at));
}

// -- in order -----------------------------------------------------------------------------------

TEST(SnapshotFile, GivesBackWhatWasWritten) {
  for (const std::size_t count : {0u, 1u, 2u, 100u, 5000u, 50'000u}) {
    const Links links = some_links(count);
    MemoryDirectory directory;
    ASSERT_EQ(write(directory, links), "");
    const Outcome outcome = read(directory);
    EXPECT_EQ(outcome.error, "");
    EXPECT_EQ(outcome.links, links);
    EXPECT_EQ(outcome.head.place, kPlace);
    EXPECT_EQ(outcome.head.number, 3u);
    EXPECT_EQ(outcome.head.written_at, 1'767'000'000);
    EXPECT_EQ(outcome.head.links, count);
    EXPECT_EQ(outcome.head.blocks, outcome.blocks);
    EXPECT_EQ(outcome.blocks == 0, count == 0);
    EXPECT_EQ(outcome.blocks > 20, count == 50'000) << outcome.blocks;
  }
}

TEST(SnapshotFile, FindsTheBlockOfAKey) {
  const Links links = some_links(10'000);
  MemoryDirectory directory(kName, bytes_of(links));
  const auto snapshot = SnapshotFile::open(directory, 3);
  ASSERT_TRUE(snapshot);
  ASSERT_GT(snapshot->blocks(), 3u);
  for (std::size_t i = 0; i < snapshot->blocks(); ++i) {
    LinkKey key = snapshot->first(i);
    EXPECT_EQ(snapshot->block_of(key), i);
    --key.low;
    EXPECT_EQ(snapshot->block_of(key), i == 0 ? snapshot->blocks() : i - 1);
  }
  EXPECT_EQ(snapshot->block_of({0, 0}), snapshot->blocks());
  EXPECT_EQ(snapshot->block_of({UINT64_MAX, UINT64_MAX}), snapshot->blocks() - 1);
}

TEST(SnapshotFile, HasOneLinkThatIsLongerThanABlock) {
  const Links links = some_links(3, 3 * kLinkBlockBytes);
  MemoryDirectory directory(kName, bytes_of(links));
  const Outcome outcome = read(directory);
  EXPECT_EQ(outcome.blocks, 3u);
  EXPECT_EQ(outcome.links, links);
}

TEST(SnapshotFile, HasItsNameWhenItIsWhole) {
  MemoryDirectory directory;
  {
    SnapshotWriter writer(directory, 3);
    const auto names = directory.list();
    EXPECT_EQ(*names, std::vector<std::string>{kName + ".new"});
  }
  EXPECT_TRUE(directory.files().empty()) << "dropped before it was finished";
  {
    SnapshotWriter writer(directory, 3);
    ASSERT_EQ(writer.finish(kPlace, 0), "");
  }
  EXPECT_EQ(*directory.list(), std::vector<std::string>{kName});
}

// -- failing disks ------------------------------------------------------------------------------

TEST(SnapshotFile, ThatCannotBeWrittenSaysWhyAndLeavesNothing) {  // J15
  const Links links = some_links(80'000);                         // several writes
  FakeDisk disk;
  ASSERT_EQ(write(*disk.directory(), links), "");
  const std::uint64_t calls = disk.calls();
  ASSERT_GT(calls, 6u);
  for (std::uint64_t n = 1; n <= calls; ++n) {
    SCOPED_TRACE(fmt::format("call {} of {}", n, calls));
    FakeDisk other;
    other.fail_call(n, make_error_code(boost::system::errc::no_space_on_device), false);
    const std::string wrong = write(*other.directory(), links);
    EXPECT_NE(wrong.find(kName), std::string::npos);
    EXPECT_NE(wrong.find("No space left on device"), std::string::npos) << wrong;
    // The last call is the sync of the directory: the name is there, and may go again.
    const std::vector<std::string> named{kName};
    EXPECT_EQ(other.names(), n == calls ? named : std::vector<std::string>());
  }
}

TEST(SnapshotFile, IsWholeOrAbsentAfterAPowerCutAtAnyCall) {  // J2
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  const Links links = some_links(300);
  FakeDisk disk;
  ASSERT_EQ(write(*disk.directory(), links), "");
  const std::uint64_t calls = disk.calls();
  for (const Crash how : {Crash::process, Crash::all_lost, Crash::sectors}) {
    for (std::uint64_t n = 1; n <= 20 * calls; ++n) {
      FakeDisk other;
      other.crash_at_call(1 + n % calls);
      static_cast<void>(write(*other.directory(), links));
      std::mt19937_64 random(seed + n);
      other.crash(how, random);
      const auto names = other.names();
      if (std::find(names.begin(), names.end(), kName) == names.end()) continue;
      const Outcome outcome = read(*other.directory());
      ASSERT_EQ(outcome.error, "") << "call " << 1 + n % calls;
      ASSERT_EQ(outcome.links, links);
    }
  }
}

TEST(SnapshotFile, ThatCannotBeReadSaysWhy) {
  FakeDisk disk;
  disk.put(kName, bytes_of(some_links(5000)));
  disk.fail_nothing();
  ASSERT_EQ(read(*disk.directory()).error, "");
  const std::uint64_t calls = disk.calls();
  ASSERT_GT(calls, 4u);
  for (std::uint64_t n = 1; n <= calls; ++n) {
    disk.fail_call(n, make_error_code(boost::system::errc::io_error), false);
    const std::string error = read(*disk.directory()).error;
    EXPECT_EQ(error.find(kName), 0u) << error;
    EXPECT_NE(error.find("Input/output error"), std::string::npos) << error;
  }
}

// -- damaged ------------------------------------------------------------------------------------

TEST(SnapshotFile, IsRefusedWhenCutAtAnyByte) {  // J6
  const std::string good = bytes_of(some_links(60));
  for (std::size_t size = 0; size < good.size(); ++size) {
    const Outcome outcome = read_bytes(good.substr(0, size));
    ASSERT_EQ(outcome.error,
              kName + (size < kBlockBytes ? " is shorter than its head" : " ends within its index"))
        << size;
  }
}

TEST(SnapshotFile, IsRefusedWithAnyFlippedBit) {  // J7
  const Links links = some_links(60);
  const std::string good = bytes_of(links);
  constexpr std::size_t kHead = kFilePrefixBytes + 17 * 8;
  const std::size_t index_at = head_of(good).index_at;
  std::string bytes = good;
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (int bit = 0; bit < (at < kHead || at >= kBlockBytes ? 8 : 1); ++bit) {
      bytes[at] = static_cast<char>(good[at] ^ 1 << bit);
      const Outcome outcome = read_bytes(bytes);
      bytes[at] = good[at];
      if (at >= kHead && at < kBlockBytes) {
        ASSERT_EQ(outcome.error, "") << "padding says nothing";
        ASSERT_EQ(outcome.links, links);
      } else if (at < kHead) {
        ASSERT_EQ(outcome.error.find(kName + " "), 0u) << at << ": " << outcome.error;
      } else {
        ASSERT_EQ(outcome.error,
                  at < index_at
                      ? kName + " at byte 4096: block 1 of 1 is damaged (checksum mismatch)"
                      : fmt::format("{} at byte {}: the index is damaged (checksum mismatch)",
                                    kName, index_at));
      }
    }
  }
}

TEST(SnapshotFile, IsRefusedWithABlockOfAnotherPlaceOrFile) {
  Links links;  // each a block of its own, all of one length
  for (const char* id : {"order-1", "order-2", "order-3", "order-4"}) {
    links[link_key(id)] = {id, "", "", std::string(kLinkBlockBytes, id[6])};
  }
  const std::string good = bytes_of(links);
  const std::vector<IndexEntry> index = index_of(good);
  ASSERT_EQ(index.size(), 4u);
  const std::size_t length = index[1].offset - index[0].offset;
  ASSERT_EQ(length, index[2].offset - index[1].offset);
  const std::string other = bytes_of(links);
  const auto block = [&](const std::string& bytes, std::size_t i) {
    return bytes.substr(index[i].offset, length);
  };
  std::string swapped = good;
  swapped.replace(index[0].offset, length, block(good, 1));
  swapped.replace(index[1].offset, length, block(good, 0));
  std::string doubled = good;
  doubled.replace(index[1].offset, length, block(good, 0));
  std::string foreign = good;
  foreign.replace(index[1].offset, length, block(other, 1));
  std::string zeroed = good;
  zeroed.replace(index[1].offset, length, length, '\0');
  for (const std::string& bytes : {swapped, doubled, foreign, zeroed}) {
    const std::string error = read_bytes(bytes).error;
    EXPECT_NE(error.find("is damaged (checksum mismatch)"), std::string::npos) << error;
    EXPECT_EQ(error.find(kName + " at byte "), 0u);
  }
}

TEST(SnapshotFile, IsRefusedByNameWhenItIsNone) {  // J8
  const std::string good = bytes_of(some_links(3));
  const auto with_version = [&](std::uint32_t version) {
    std::string bytes = good;
    std::memcpy(bytes.data() + 16, &version, sizeof version);
    return bytes;
  };
  const struct {
    std::string bytes;
    const char* error;
  } cases[] = {
      {"", " is shorter than its head"},
      {std::string(kBlockBytes, '\0'), " is not a ledger file of tallygate"},
      {encode_segment_head({}), " is not a snapshot"},
      {with_version(kFormatVersion + 1),
       " has format version 3, this program knows 2: it was written by a newer tallygate"},
      {with_version(1),
       " has format version 1, this program knows 2: it was written by an older tallygate"},
      {bytes_of(some_links(3), 4), " is number 4 by its head"},
  };
  for (const auto& c : cases) EXPECT_EQ(read_bytes(c.bytes).error, kName + c.error);
  MemoryDirectory empty;
  EXPECT_EQ(read(empty).error, kName + " cannot be opened: No such file or directory");
}

// Check values are no protection from a program that was wrong: what they seal is not believed.
TEST(SnapshotFile, BelievesNoLengthBeforeItSawTheBytes) {  // J6
  const std::string good = bytes_of(some_links(5000));
  const SnapshotHead head = head_of(good);
  const std::vector<IndexEntry> index = index_of(good);
  ASSERT_GT(index.size(), 2u);
  std::vector<std::string> wild;
  for (const std::uint64_t n :
       {std::uint64_t{1} << 20, std::uint64_t{1} << 40, UINT64_MAX / 24, UINT64_MAX}) {
    SnapshotHead h = head;
    h.blocks = n;
    wild.push_back(with_head(good, h));
    h = head;
    h.index_at = n;
    wild.push_back(with_head(good, h));
    for (std::size_t i = 0; i < index.size(); ++i) {
      auto other = index;
      other[i].offset = n;
      wild.push_back(with_index(good, other));
    }
  }
  auto other = index;
  std::swap(other[0].offset, other[1].offset);
  wild.push_back(with_index(good, other));
  other = index;
  other[1].offset = other[0].offset;
  wild.push_back(with_index(good, other));
  other = index;
  other[0].offset = 0;
  wild.push_back(with_index(good, other));
  other.push_back({{UINT64_MAX, 0}, head.index_at - 1});
  wild.push_back(with_index(good, other));
  for (const std::string& bytes : wild) {
    MemoryDirectory directory(kName, bytes);
    largest_allocation = 0;
    const std::string error = read(directory).error;
    EXPECT_LE(largest_allocation, std::size_t{4} << 20);
    EXPECT_EQ(error.find(kName + " "), 0u) << error;
  }
}

}  // namespace
}  // namespace tallygate::ledger
