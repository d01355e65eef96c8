#include "core/ledger/snapshot_format.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include <random>

#include "core/ledger/segment_format.h"
#include "tests/core/ledger/bytes.h"
#include "tests/support/seed.h"

namespace tallygate::ledger {
namespace {

constexpr std::uint64_t kNonce = 0x4142'4344'4546'4748;

SnapshotHead sample_head() {
  SnapshotHead head;
  head.number = 2;
  head.place = {0x3132'3334'3536'3738,
                5,
                43,
                1,
                0x2122'2324'2526'2728,
                ClockWatch(1'767'225'599, 1'767'000'000)};
  head.written_at = 1'767'225'600;
  head.links = 3;
  head.blocks = 1;
  head.index_at = 4242;
  head.index_check = 0x5152'5354'5556'5758;
  head.nonce = kNonce;
  return head;
}

// A link with its own bytes, since StoredLink borrows.
struct OwnLink {
  std::string id, parent_id, path, image;
  [[nodiscard]] StoredLink stored() const { return {link_key(id), id, parent_id, path, image}; }
  friend bool operator==(const OwnLink&, const OwnLink&) = default;
};
void PrintTo(const OwnLink& link, std::ostream* out) {
  *out << link.id << " of " << link.parent_id << " at " << link.path << " " << hex(link.image);
}

const std::vector<OwnLink>& sample_links() {
  static const std::vector<OwnLink> links{
      {"i1001-7", "", "/a.flac", "one"},
      {"o-8:00112233aabbccdd", "o-8", "/a.flac", ""},
      {"p-5", "", "", "3"},
  };
  return links;
}

std::string block_of(const std::vector<OwnLink>& links, std::uint64_t number = 1) {
  LinkBlockWriter writer;
  for (const OwnLink& link : links) writer.add(link.stored());
  return writer.take(kNonce, number);
}

bool is_block(std::string_view bytes, std::uint64_t nonce = kNonce) {
  const auto head = parse_link_block_head(bytes);
  return head && bytes.size() >= kLinkBlockHeadBytes &&
         link_block_intact(nonce, *head, bytes.substr(kLinkBlockHeadBytes));
}

// All links of the payload; nullopt: it makes no sense.
std::optional<std::vector<OwnLink>> links_of(std::string_view payload, std::uint32_t count) {
  std::vector<OwnLink> links;
  LinkBlockReader reader(payload, count);
  while (const auto link = reader.next()) {
    EXPECT_EQ(link->key, link_key(link->id));
    links.push_back({std::string(link->id), std::string(link->parent_id), std::string(link->path),
                     std::string(link->image)});
  }
  if (!reader.ok()) return std::nullopt;
  return links;
}

// -- the head -----------------------------------------------------------------------------------

TEST(SnapshotHead, RoundTrips) {
  const std::optional<std::int64_t> times[] = {std::nullopt, 0, -1, 1'767'225'600};
  for (const auto& last : times) {
    for (const auto& doubted : times) {
      SnapshotHead head = sample_head();
      head.place.clock = ClockWatch(last, doubted);
      const std::string block = encode_snapshot_head(head);
      ASSERT_EQ(block.size(), kBlockBytes);
      const auto parsed = parse_snapshot_head(block);
      ASSERT_TRUE(parsed) << parsed.error();
      EXPECT_EQ(*parsed, head);
    }
  }
}

TEST(SnapshotHead, HasTheBytesItAlwaysHad) {
  const std::string block = encode_snapshot_head(sample_head());
  EXPECT_EQ(hex(block.substr(0, 160)),
            "74616c6c7967617465206c6564676572"
            "0200000002000000"
            "02000000000000003837363534333231"
            "05000000000000002b00000000000000"
            "01000000000000002827262524232221"
            "0100000000000000ffb8556900000000"
            "0100000000000000c047526900000000"
            "00b9556900000000"
            "03000000000000000100000000000000"
            "92100000000000005857565554535251"
            "4847464544434241"
            "daf647eaa4fdaa62");
  EXPECT_TRUE(is_zero(block.substr(160)));
}

TEST(SnapshotHead, WithAnyBitFlippedIsRefusedAndSaysWhy) {
  const std::string good = encode_snapshot_head(sample_head());
  for (std::size_t bit = 0; bit < 8 * std::size_t{160}; ++bit) {
    std::string block = good;
    const std::size_t at = bit / 8;
    block[at] = static_cast<char>(block[at] ^ 1 << bit % 8);
    const auto parsed = parse_snapshot_head(block);
    ASSERT_FALSE(parsed) << "bit " << bit;
    const char* expected = at < 16   ? "is not a ledger file of tallygate"
                           : at < 20 ? "has format version"
                           : at < 24 ? "is not a snapshot"
                                     : "has a damaged head (checksum mismatch)";
    EXPECT_NE(parsed.error().find(expected), std::string::npos) << at << ": " << parsed.error();
  }
}

TEST(SnapshotHead, ThatIsASegmentsOrTooShortIsRefusedByName) {
  EXPECT_EQ(parse_snapshot_head(encode_segment_head({})).error(), "is not a snapshot");
  EXPECT_EQ(parse_snapshot_head("").error(), "is shorter than its head");
  EXPECT_EQ(parse_snapshot_head(encode_snapshot_head({}).substr(1)).error(),
            "is shorter than its head");
}

// -- blocks of links ----------------------------------------------------------------------------

TEST(LinkBlock, RoundTrips) {
  const std::string block = block_of(sample_links(), 7);
  const auto head = parse_link_block_head(block);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->links, sample_links().size());
  EXPECT_EQ(head->number, 7u);
  EXPECT_EQ(head->payload_bytes, block.size() - kLinkBlockHeadBytes);
  EXPECT_TRUE(is_block(block));
  EXPECT_EQ(links_of(block.substr(kLinkBlockHeadBytes), head->links), sample_links());
}

TEST(LinkBlock, HasTheBytesItAlwaysHad) {
  EXPECT_EQ(hex(block_of(sample_links())),
            "0154474c"  // head
            "3a000000"
            "03000000"
            "00000000"
            "0100000000000000"
            "787ca2596fb81cbc"
            "01"  // one path
            "072f612e666c6163"
            "0769313030312d37"  // i1001-7
            "00"
            "01"
            "036f6e65"
            "146f2d383a30303131323233336161626263636464"  // o-8:…
            "036f2d38"
            "01"
            "00"
            "03702d35"  // p-5
            "00"
            "00"
            "0133");
}

TEST(LinkBlock, HasACheckValueOverPayloadAndHeadSeededWithTheNonce) {
  const std::string block = block_of(sample_links(), 7);
  const auto head = parse_link_block_head(block);
  const std::uint64_t of_head[] = {std::uint64_t{head->payload_bytes} << 32 | head->links, 7};
  EXPECT_EQ(head->check, XXH3_64bits_withSeed(block.data() + 32, block.size() - 32,
                                              XXH3_64bits_withSeed(of_head, 16, kNonce)));
}

TEST(LinkBlock, HasEachPathOnce) {
  std::vector<OwnLink> links;
  for (int i = 0; i < 1000; ++i) {
    links.push_back({fmt::format("i{}", i), "", fmt::format("/music/album-{}.zip", i % 3), "x"});
  }
  const std::string block = block_of(links);
  EXPECT_LT(block.size(), 10'000u);
  EXPECT_EQ(links_of(block.substr(kLinkBlockHeadBytes), 1000), links);
}

TEST(LinkBlock, BeginsAnewAfterEach) {
  LinkBlockWriter writer;
  writer.add(sample_links()[0].stored());
  EXPECT_EQ(writer.links(), 1u);
  EXPECT_GT(writer.bytes(), 0u);
  static_cast<void>(writer.take(kNonce, 1));
  EXPECT_EQ(writer.links(), 0u);
  EXPECT_EQ(writer.bytes(), 0u);
  writer.add(sample_links()[1].stored());
  EXPECT_EQ(writer.take(kNonce, 2), block_of({sample_links()[1]}, 2));
}

TEST(LinkBlock, WithAnyBitFlippedIsNone) {
  const std::string good = block_of(sample_links());
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string block = good;
    block[bit / 8] = static_cast<char>(block[bit / 8] ^ 1 << bit % 8);
    EXPECT_FALSE(is_block(block)) << "bit " << bit;
  }
}

TEST(LinkBlock, CutAtAnyByteIsNone) {
  const std::string good = block_of(sample_links());
  for (std::size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(is_block(good.substr(0, length))) << length;
  }
}

TEST(LinkBlock, OfAnotherFileIsNone) {
  EXPECT_FALSE(is_block(block_of(sample_links()), kNonce ^ 1));
  EXPECT_FALSE(is_block(std::string(4096, '\0'), 0));
}

TEST(LinkBlock, WithALengthThatNobodyWritesIsRefusedBeforeItIsRead) {
  std::string block = block_of(sample_links());
  const std::uint32_t longest = kBatchBytesMax;
  std::memcpy(block.data() + 4, &longest, sizeof longest);
  EXPECT_TRUE(parse_link_block_head(block));
  const std::uint32_t wild = kBatchBytesMax + 1;
  std::memcpy(block.data() + 4, &wild, sizeof wild);
  EXPECT_FALSE(parse_link_block_head(block));
}

// What a check value does not notice, because a fault of ours wrote it.
TEST(LinkBlock, ThatMakesNoSenseIsRefused) {
  const std::string paths = "\x01\x02/a";
  const struct {
    const char* what;
    std::string payload;
    std::uint32_t links;
    bool good;
  } cases[] = {
      {"no links", std::string(1, '\0'), 0, true},
      {"nothing at all", "", 0, false},
      {"one link", paths + std::string("\x01i\x00\x01\x01x", 6), 1, true},
      {"a link without a path", paths + std::string("\x01i\x00\x00\x01x", 6), 1, true},
      {"a path that is not there", paths + std::string("\x01i\x00\x02\x01x", 6), 1, false},
      {"no id", paths + std::string("\x00\x00\x01\x01x", 5), 1, false},
      {"an id of 255 bytes",
       paths + "\xff\x01" + std::string(255, 'i') + std::string("\x00\x01\x01x", 4), 1, true},
      {"an id too long",
       paths + "\x80\x02" + std::string(256, 'i') + std::string("\x00\x01\x01x", 4), 1, false},
      {"more than it says", paths + std::string("\x01i\x00\x01\x01xy", 7), 1, false},
      {"fewer links than it says", paths + std::string("\x01i\x00\x01\x01x", 6), 2, false},
      {"more links than it says", paths + std::string("\x01i\x00\x01\x01x", 6), 0, false},
      {"more paths than bytes", "\xff\xff\xff\xff\x0f", 0, false},
      {"a path that is cut", "\x01\x03/a", 0, false},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(links_of(c.payload, c.links).has_value(), c.good) << c.what;
  }
}

TEST(LinkBlock, WithAnyByteChangedIsReadOrRefused) {
  const std::string payload = block_of(sample_links()).substr(kLinkBlockHeadBytes);
  std::size_t refused = 0;
  for (std::size_t at = 0; at < payload.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string changed = payload;
      changed[at] = static_cast<char>(value);
      for (std::uint32_t links = 2; links <= 4; ++links) {
        refused += !links_of(changed, links).has_value();
      }
    }
  }
  EXPECT_GT(refused, 0u);
}

TEST(LinkBlock, OfAnyLinksRoundTrips) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  const auto text = [&](std::size_t least, std::size_t most) {
    std::string bytes(least + random() % (most - least + 1), '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    return bytes;
  };
  for (int round = 0; round < 200; ++round) {
    std::vector<OwnLink> links;
    std::vector<std::string> paths{"", text(1, 300), text(1, 5000)};
    for (auto n = random() % 20; n != 0; --n) {
      links.push_back({text(1, 255), text(0, 96), paths[random() % paths.size()], text(0, 400)});
    }
    const std::string block = block_of(links);
    EXPECT_TRUE(is_block(block));
    EXPECT_EQ(links_of(block.substr(kLinkBlockHeadBytes), static_cast<std::uint32_t>(links.size())),
              links);
  }
}

// -- the index ----------------------------------------------------------------------------------

TEST(SnapshotIndex, HasTheBytesItAlwaysHad) {
  const std::vector<IndexEntry> index{{{0x0102'0304'0506'0708, 0x1112'1314'1516'1718}, 4096},
                                      {{0x2122'2324'2526'2728, 0x3132'3334'3536'3738}, 70'000}};
  const std::string bytes = encode_index(index);
  EXPECT_EQ(hex(bytes),
            "080706050403020118171615141312110010000000000000"
            "282726252423222138373635343332317011010000000000");
  const auto parsed = parse_index(bytes);
  ASSERT_EQ(parsed.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(parsed[i].first, index[i].first);
    EXPECT_EQ(parsed[i].offset, index[i].offset);
  }
  EXPECT_EQ(index_check(kNonce, bytes), XXH3_64bits_withSeed(bytes.data(), bytes.size(), kNonce));
  EXPECT_TRUE(parse_index("").empty());
  EXPECT_EQ(parse_index(bytes.substr(0, 47)).size(), 1u) << "whole entries only";
}

TEST(SnapshotIndex, WithAnyBitFlippedHasAnotherCheckValue) {
  const std::string good = encode_index({{{1, 2}, 4096}, {{3, 4}, 8192}});
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ 1 << bit % 8);
    EXPECT_NE(index_check(kNonce, bytes), index_check(kNonce, good)) << "bit " << bit;
  }
}

}  // namespace
}  // namespace tallygate::ledger
