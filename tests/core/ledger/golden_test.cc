// A small ledger as it is on disks: golden/ has its files, made once and kept. What is written
// today must be the same bytes, and what was written then must be read as what it was.
//
// A change that this notices needs a new kFormatVersion, and then new files: those that today's
// code would write are left in the temporary directory, under the same names.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <map>

#include "core/ledger/account.h"
#include "core/ledger/segment_format.h"
#include "core/ledger/snapshot_format.h"
#include "tests/core/ledger/bytes.h"

namespace tallygate::ledger {
namespace {

constexpr const char* kSegmentName = "journal-0000000000000002.tgj";
constexpr const char* kSnapshotName = "snapshot-0000000000000002.tgs";
constexpr std::int64_t kTime = 1'767'225'600;
constexpr std::uint32_t kWaste = 2000;
constexpr VersionKey kMusic{0x1111'2222'3333'4444};
constexpr VersionKey kGame{0x5555'6666'7777'8888};

// -- what stands in them ------------------------------------------------------------------------

SegmentHead segment_head() {
  SegmentHead segment;
  segment.number = 2;
  segment.ledger_id = 0x3132'3334'3536'3738;
  segment.run = 5;
  segment.length = 4 * kBlockBytes;
  segment.nonce = {0x0102'0304'0506'0708, 0x1112'1314'1516'1718};
  return segment;
}

JournalPlace place() {
  return {segment_head().ledger_id,
          segment_head().run,
          43,
          1,
          0x2122'2324'2526'2728,
          ClockWatch(kTime - 1, kTime - 86'400)};
}

struct Link {
  const char* id;
  const char* parent_id;
  const char* path;
  std::vector<Change> changes;
};

// In the order of their keys.
std::vector<Link> links() {
  std::vector<Link> all{
      {"i1001-7",
       "",
       "/music/a.flac",
       {Used{}, Signed{true, 3, kTime + 86'400}, LimitSet{3}, Spoken{true, {}},
        Opened{kMusic, 1000, 9, 100, 300, 900, false}}},
      {"i1002-1",
       "",
       "/music/a.flac",
       {Used{}, Signed{true, 1, kTime - 365 * 86'400}, LimitSet{1}, Spoken{true, {}},
        Opened{kMusic, 1000, 1, 0, 1000, 1000, false}, Closed{1, 1000, 0, true}}},
      {"o-881-3:a4418ddf532ebec0",
       "o-881-3",
       "/dl/game-7/disk1.iso",
       {Used{}, Signed{true, 1, kTime + 7 * 86'400}, LimitSet{2},
        Opened{kGame, 640'000'000, 1, 0, 10'000'000, 640'000'000, false},
        Closed{1, 9'000'000, 500'000, false}}},
      {"p-5", "", "", {Spoken{true, {5, {}, kTime + 1, shop::State::held, 1, 2}}, LimitSet{3}}},
  };
  std::sort(all.begin(), all.end(),
            [](const Link& a, const Link& b) { return link_key(a.id) < link_key(b.id); });
  return all;
}

// What the segment adds to that: every type of record that is ever written.
std::vector<std::vector<Record>> batches() {
  TransferEnded ended;
  ended.started_at = kTime - 8;
  ended.ended_at = kTime;
  ended.first = 100;
  ended.last = 900;
  ended.bytes_sent = 230;
  ended.bytes_acked = 210;
  ended.file_size = 1000;
  ended.version = kMusic.hash;
  ended.client_ip = "2001:db8::1";
  ended.user_agent = "curl/8";
  const std::string free = "h.405ae141d1ad80810f26bd268ce29cba";
  return {
      {{"i1001-7", Settled{9, 150}}},  // the example of the README
      {
          {"i1001-7", Leased{9, 500}},
          {"i1001-7", Closed{9, 60, 20, false}},
          {"i1001-7", ended},
          {"i1003-1", Signed{true, 1, kTime + 86'400}},
          {"i1003-1", LimitSet{1}},
          {"i1003-1", Used{"", "/music/a.flac"}},
          {"i1003-1", Opened{kMusic, 1000, 1, 0, 1000, 1000, false}},
          {free, Signed{true, {}, {}}},
          {free, Used{"", "/free/leaflet.pdf"}},
          {free, Delivered{kGame, 2000, 0, 2000, 0, true}},
          {"p-5", Spoken{true, {6, {}, kTime + 2, shop::State::active, 1, 2}}},
          {"p-5", LimitSet{4}},
          {"i1002-1", Forgotten{}},
      },
      {},  // the mark of an orderly stop
  };
}

// -- writing them -------------------------------------------------------------------------------

std::string write_segment() {
  const SegmentHead segment = segment_head();
  std::string file = encode_segment_head(segment);
  BatchHead head;
  head.number = place().batches + 1;
  head.first_seq = place().next_seq;
  head.written_at = kTime;
  head.chain = place().chain;
  for (const auto& batch : batches()) {
    Entries entries;
    for (const Record& record : batch) {
      std::visit([&](const auto& what) { append(entries, record.link_id, what); }, record.what);
    }
    std::string bytes = std::string(kBatchHeadBytes, '\0') + entries.bytes;
    head.records = entries.records;
    head.end = batch.empty();
    seal_batch(segment, head, bytes);
    file += bytes;
    ++head.number;
    head.first_seq += head.records;
    head.chain = head.check;
    ++head.written_at;
  }
  return file;
}

std::string write_snapshot() {
  SnapshotHead head;
  head.number = segment_head().number;
  head.place = place();
  head.written_at = kTime;
  head.nonce = 0x4142'4344'4546'4748;
  LinkBlockWriter writer;
  for (const Link& link : links()) {
    Account account(kWaste, link.id);
    Entries entries;
    for (const Change& change : link.changes) EXPECT_TRUE(account.replay(change, entries));
    std::string image;
    account.write_image(image);
    writer.add({link_key(link.id), link.id, link.parent_id, link.path, image});
    ++head.links;
  }
  const std::string block = writer.take(head.nonce, 1);
  const std::string index = encode_index({{link_key(links().front().id), kBlockBytes}});
  head.blocks = 1;
  head.index_at = kBlockBytes + block.size();
  head.index_check = index_check(head.nonce, index);
  return encode_snapshot_head(head) + block + index;
}

std::string golden(const char* name) {
  std::ifstream file(std::string(TALLYGATE_GOLDEN_LEDGER "/") + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void expect_same_bytes(const std::string& written, const char* name) {
  const std::string kept = golden(name);
  if (written == kept) return;
  std::ofstream(testing::TempDir() + name, std::ios::binary) << written;
  const auto differ = std::mismatch(written.begin(), written.end(), kept.begin(), kept.end());
  ADD_FAILURE() << name << " differs from byte " << differ.first - written.begin() << " on ("
                << written.size() << " bytes instead of " << kept.size() << "); it is left in "
                << testing::TempDir();
}

TEST(GoldenLedger, IsWrittenAsItAlwaysWas) {
  expect_same_bytes(write_segment(), kSegmentName);
  expect_same_bytes(write_snapshot(), kSnapshotName);
}

// -- reading them -------------------------------------------------------------------------------

TEST(GoldenLedger, HasASegmentThatIsReadAsWhatItIs) {
  const std::string file = golden(kSegmentName);
  const auto segment = parse_segment_head(file);
  ASSERT_TRUE(segment) << segment.error();
  EXPECT_EQ(*segment, segment_head());
  EXPECT_EQ(file.size(), segment->length);
  std::string_view rest = std::string_view(file).substr(kBlockBytes);
  std::uint64_t number = place().batches;
  std::uint64_t seq = place().next_seq;
  std::uint64_t chain = place().chain;
  for (const auto& batch : batches()) {
    const auto head = parse_batch_head(rest);
    ASSERT_TRUE(head);
    std::string_view payload = rest.substr(kBatchHeadBytes, head->payload_bytes);
    ASSERT_TRUE(batch_intact(*segment, rest, *head, payload));
    EXPECT_EQ(head->number, ++number);
    EXPECT_EQ(head->first_seq, seq);
    EXPECT_EQ(head->chain, chain);
    EXPECT_EQ(head->records, batch.size());
    EXPECT_EQ(head->end, batch.empty());
    for (const Record& record : batch) EXPECT_EQ(take_record(payload), record) << seq;
    EXPECT_TRUE(payload.empty());
    seq += head->records;
    chain = head->check;
    rest.remove_prefix(batch_extent(head->payload_bytes));
  }
  EXPECT_TRUE(rest.empty());
}

TEST(GoldenLedger, HasASnapshotThatIsReadAsWhatItIs) {
  const std::string file = golden(kSnapshotName);
  const auto head = parse_snapshot_head(file);
  ASSERT_TRUE(head) << head.error();
  EXPECT_EQ(head->number, segment_head().number);
  EXPECT_EQ(head->place, place());
  EXPECT_EQ(head->written_at, kTime);
  EXPECT_EQ(head->links, links().size());
  ASSERT_EQ(head->blocks, 1u);
  const std::string_view index = std::string_view(file).substr(head->index_at);
  EXPECT_EQ(index_check(head->nonce, index), head->index_check);
  const auto entries = parse_index(index);
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].first, link_key(links().front().id));
  ASSERT_EQ(entries[0].offset, kBlockBytes);
  const std::string_view block =
      std::string_view(file).substr(kBlockBytes, head->index_at - kBlockBytes);
  const auto block_head = parse_link_block_head(block);
  ASSERT_TRUE(block_head);
  EXPECT_EQ(block_head->number, 1u);
  ASSERT_TRUE(link_block_intact(head->nonce, *block_head, block.substr(kLinkBlockHeadBytes)));
  LinkBlockReader reader(block.substr(kLinkBlockHeadBytes), block_head->links);
  for (const Link& link : links()) {
    const auto stored = reader.next();
    ASSERT_TRUE(stored) << link.id;
    EXPECT_EQ(stored->key, link_key(link.id));
    EXPECT_EQ(stored->id, link.id);
    EXPECT_EQ(stored->parent_id, link.parent_id);
    EXPECT_EQ(stored->path, link.path);
  }
  EXPECT_FALSE(reader.next());
  EXPECT_TRUE(reader.ok());
}

// What the two come to: by hand, not by the code that wrote them.
TEST(GoldenLedger, KnowsOfItsLinksWhatHappenedToThem) {
  const std::string snapshot = golden(kSnapshotName);
  const std::string segment = golden(kSegmentName);
  std::map<std::string, Account, std::less<>> accounts;
  const auto account = [&](std::string_view id) -> Account& {
    return accounts.try_emplace(std::string(id), kWaste, id).first->second;
  };
  const auto head = parse_snapshot_head(snapshot);
  ASSERT_TRUE(head);
  const auto block = std::string_view(snapshot).substr(kBlockBytes);
  const auto block_head = parse_link_block_head(block);
  ASSERT_TRUE(block_head);
  LinkBlockReader reader(block.substr(kLinkBlockHeadBytes, block_head->payload_bytes),
                         block_head->links);
  while (const auto link = reader.next()) ASSERT_TRUE(account(link->id).read_image(link->image));
  ASSERT_EQ(accounts.size(), 4u);
  EXPECT_EQ(account("i1001-7").in_flight(), 1u);
  EXPECT_EQ(account("i1002-1").view().blocked, Blocked::copies);

  for (std::string_view rest = std::string_view(segment).substr(kBlockBytes); !rest.empty();) {
    const auto batch = parse_batch_head(rest);
    ASSERT_TRUE(batch);
    std::string_view payload = rest.substr(kBatchHeadBytes, batch->payload_bytes);
    while (const auto record = take_record(payload)) {
      Entries entries;
      ASSERT_TRUE(account(record->link_id).replay(record->what, entries));
      if (std::holds_alternative<Forgotten>(record->what)) {
        accounts.erase(accounts.find(record->link_id));
      }
    }
    ASSERT_TRUE(payload.empty());
    rest.remove_prefix(batch_extent(batch->payload_bytes));
  }
  ASSERT_EQ(accounts.size(), 5u);
  EXPECT_FALSE(accounts.contains("i1002-1"));

  const struct {
    const char* id;
    Limit limit;
    std::uint64_t copies, traffic;
    std::size_t in_flight;
    bool unfinished;
    shop::State state;
  } expected[] = {
      {"i1001-7", 3, 0, 230, 0, true, shop::State::active},
      {"i1003-1", 1, 0, 0, 1, false, shop::State::active},
      {"o-881-3:a4418ddf532ebec0", 2, 0, 9'500'000, 0, true, shop::State::active},
      {"h.405ae141d1ad80810f26bd268ce29cba", {}, 1, 2000, 0, false, shop::State::active},
      {"p-5", 4, 0, 0, 0, false, shop::State::active},
  };
  for (const auto& e : expected) {
    const AccountView v = account(e.id).view();
    EXPECT_EQ(v.limit, e.limit) << e.id;
    EXPECT_EQ(v.copies, e.copies) << e.id;
    EXPECT_EQ(v.traffic_bytes, e.traffic) << e.id;
    EXPECT_EQ(v.in_flight, e.in_flight) << e.id;
    EXPECT_EQ(v.unfinished_copy, e.unfinished) << e.id;
    EXPECT_EQ(v.spoken.word.state, e.state) << e.id;
  }
  EXPECT_EQ(account("i1001-7").signed_terms(), (Signed{true, 3, kTime + 86'400}));
  EXPECT_EQ(account("p-5").spoken().word.max_copies, 6);
}

}  // namespace
}  // namespace tallygate::ledger
