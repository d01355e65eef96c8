#include "core/ledger/segment_format.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <cstring>

#include "core/ledger/record.h"
#include "tests/core/ledger/bytes.h"

namespace tallygate::ledger {
namespace {

SegmentHead sample_segment() {
  SegmentHead segment;
  segment.number = 2;
  segment.ledger_id = 0x3132'3334'3536'3738;
  segment.run = 5;
  segment.length = 4 << 20;
  segment.nonce = {0x0102'0304'0506'0708, 0x1112'1314'1516'1718};
  return segment;
}

BatchHead sample_head() {
  BatchHead head;
  head.records = 1;
  head.number = 2;
  head.first_seq = 43;
  head.written_at = 1'767'225'600;
  head.chain = 0x2122'2324'2526'2728;
  return head;
}

std::string sample_payload() {
  Entries entries;
  append(entries, "i1001-7", Settled{9, 150});
  return entries.bytes;
}

std::string sealed(const SegmentHead& segment, BatchHead& head, std::string_view payload) {
  std::string bytes = std::string(kBatchHeadBytes, 'x').append(payload);
  seal_batch(segment, head, bytes);
  return bytes;
}

// Whether a reader of `bytes` would take them for a batch of the file.
bool is_batch(const SegmentHead& segment, std::string_view bytes) {
  const auto head = parse_batch_head(bytes);
  return head && bytes.size() >= kBatchHeadBytes + head->payload_bytes &&
         batch_intact(segment, bytes, *head, bytes.substr(kBatchHeadBytes, head->payload_bytes));
}

// -- the head of a segment ----------------------------------------------------------------------

TEST(SegmentHead, RoundTrips) {
  const SegmentHead segment = sample_segment();
  const std::string block = encode_segment_head(segment);
  ASSERT_EQ(block.size(), kBlockBytes);
  const auto parsed = parse_segment_head(block);
  ASSERT_TRUE(parsed) << parsed.error();
  EXPECT_EQ(*parsed, segment);
}

TEST(SegmentHead, HasTheBytesItAlwaysHad) {
  const std::string block = encode_segment_head(sample_segment());
  EXPECT_EQ(hex(block.substr(0, 80)),
            "74616c6c7967617465206c6564676572"
            "0200000001000000"
            "02000000000000003837363534333231"
            "05000000000000000000400000000000"
            "08070605040302011817161514131211"
            "372c13515917b8d2");
  EXPECT_TRUE(is_zero(block.substr(80)));
}

TEST(SegmentHead, WithAnyBitFlippedIsRefusedAndSaysWhy) {
  const std::string good = encode_segment_head(sample_segment());
  for (std::size_t bit = 0; bit < 8 * std::size_t{80}; ++bit) {
    std::string block = good;
    const std::size_t at = bit / 8;
    block[at] = static_cast<char>(block[at] ^ 1 << bit % 8);
    const auto parsed = parse_segment_head(block);
    ASSERT_FALSE(parsed) << "bit " << bit;
    const char* expected = at < 16   ? "is not a ledger file of tallygate"
                           : at < 20 ? "has format version"
                           : at < 24 ? "is not a segment of the journal"
                                     : "has a damaged head (checksum mismatch)";
    EXPECT_NE(parsed.error().find(expected), std::string::npos) << at << ": " << parsed.error();
  }
}

TEST(SegmentHead, OfAnotherFormatNamesBothVersions) {
  std::string block = encode_segment_head(sample_segment());
  block[16] = 3;
  EXPECT_EQ(parse_segment_head(block).error(),
            "has format version 3, this program knows 2: it was written by a newer tallygate");
  block[16] = 1;
  EXPECT_EQ(parse_segment_head(block).error(),
            "has format version 1, this program knows 2: it was written by an older tallygate");
}

TEST(SegmentHead, ThatIsForeignShortOrEmptyIsRefusedByName) {
  const std::string good = encode_segment_head(sample_segment());
  const struct {
    std::string block;
    const char* error;
  } cases[] = {
      {"", "is shorter than its head"},
      {good.substr(0, kBlockBytes - 1), "is shorter than its head"},
      {std::string(kBlockBytes, '\0'), "is not a ledger file of tallygate"},
      {"SQLite format 3" + std::string(kBlockBytes, '\0'), "is not a ledger file of tallygate"},
      {file_prefix(FileKind::snapshot) + std::string(kBlockBytes, '\0'),
       "is not a segment of the journal"},
  };
  for (const auto& c : cases) {
    const auto parsed = parse_segment_head(c.block);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error(), c.error);
  }
}

// -- batches ------------------------------------------------------------------------------------

TEST(SegmentBatch, RoundTrips) {
  const SegmentHead segment = sample_segment();
  for (const bool end : {false, true}) {
    BatchHead head = sample_head();
    head.end = end;
    const std::string payload = sample_payload();
    const std::string bytes = sealed(segment, head, payload);
    ASSERT_TRUE(is_batch(segment, bytes));
    const auto parsed = parse_batch_head(bytes);
    EXPECT_EQ(parsed->payload_bytes, payload.size());
    EXPECT_EQ(parsed->records, head.records);
    EXPECT_EQ(parsed->number, head.number);
    EXPECT_EQ(parsed->first_seq, head.first_seq);
    EXPECT_EQ(parsed->written_at, head.written_at);
    EXPECT_EQ(parsed->chain, head.chain);
    EXPECT_EQ(parsed->check, head.check) << "what the next one is chained to";
    EXPECT_EQ(parsed->end, end);
    EXPECT_EQ(bytes.substr(kBatchHeadBytes, payload.size()), payload);
    EXPECT_TRUE(is_zero(bytes.substr(kBatchHeadBytes + payload.size())));
  }
}

// The example of the README.
TEST(SegmentBatch, HasTheBytesItAlwaysHad) {
  BatchHead head = sample_head();
  const std::string bytes = sealed(sample_segment(), head, sample_payload());
  EXPECT_EQ(hex(bytes.substr(0, 64)),
            "01544742"
            "19000000"
            "01000000"
            "00000000"
            "0200000000000000"
            "2b00000000000000"
            "00b9556900000000"
            "2827262524232221"
            "0000000000000000"
            "2731e504fa5de44b");
  EXPECT_EQ(hex(bytes.substr(64, 25)),
            "19000000"
            "07"
            "69313030312d37"
            "07"
            "09000000"
            "9600000000000000");
  EXPECT_TRUE(is_zero(bytes.substr(89)));
  BatchHead end = sample_head();
  end.end = true;
  EXPECT_EQ(hex(sealed(sample_segment(), end, "").substr(12, 4)), "01000000");
}

TEST(SegmentBatch, HasACheckValueOverPayloadAndHeadSeededWithTheNonce) {
  const SegmentHead segment = sample_segment();
  BatchHead head = sample_head();
  const std::string bytes = sealed(segment, head, sample_payload());
  const std::uint64_t of_head = XXH3_64bits_withSeed(bytes.data(), 56, segment.nonce[0]);
  const std::uint64_t check =
      XXH3_64bits_withSeed(bytes.data() + 64, sample_payload().size(), of_head ^ segment.nonce[1]);
  EXPECT_EQ(head.check, check);
  EXPECT_EQ(std::memcmp(bytes.data() + 56, &check, 8), 0);
}

TEST(SegmentBatch, TakesWholeBlocks) {
  const struct {
    std::size_t payload, extent;
  } cases[] = {{0, 4096}, {1, 4096}, {4032, 4096}, {4033, 8192}, {8128, 8192}, {8129, 12288}};
  for (const auto& c : cases) {
    BatchHead head = sample_head();
    const std::string bytes = sealed(sample_segment(), head, std::string(c.payload, 'x'));
    EXPECT_EQ(bytes.size(), c.extent) << c.payload;
    EXPECT_EQ(batch_extent(c.payload), c.extent) << c.payload;
    EXPECT_TRUE(is_batch(sample_segment(), bytes));
  }
}

TEST(SegmentBatch, WithAnyBitFlippedIsNone) {
  const SegmentHead segment = sample_segment();
  BatchHead head = sample_head();
  const std::string payload = sample_payload();
  const std::string good = sealed(segment, head, payload);
  for (std::size_t bit = 0; bit < 8 * (kBatchHeadBytes + payload.size()); ++bit) {
    std::string bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ 1 << bit % 8);
    EXPECT_FALSE(is_batch(segment, bytes)) << "bit " << bit;
  }
}

TEST(SegmentBatch, CutAtAnyByteOfItsContentIsNone) {
  BatchHead head = sample_head();
  const std::string payload = sample_payload();
  const std::string good = sealed(sample_segment(), head, payload);
  for (std::size_t length = 0; length < kBatchHeadBytes + payload.size(); ++length) {
    EXPECT_FALSE(is_batch(sample_segment(), good.substr(0, length))) << length;
  }
}

TEST(SegmentBatch, ThatIsAllZeroIsNone) {
  SegmentHead segment;  // even where the nonce is zero as well
  EXPECT_FALSE(is_batch(segment, std::string(kBlockBytes, '\0')));
  EXPECT_FALSE(is_batch(sample_segment(), std::string(kBlockBytes, '\0')));
}

TEST(SegmentBatch, OfAnotherFileIsNone) {
  BatchHead head = sample_head();
  const std::string bytes = sealed(sample_segment(), head, sample_payload());
  for (const std::size_t half : {0u, 1u}) {
    SegmentHead other = sample_segment();
    other.nonce[half] ^= 1;
    EXPECT_FALSE(is_batch(other, bytes)) << half;
  }
}

TEST(SegmentBatch, WithALengthThatNobodyWritesIsRefusedBeforeItIsRead) {
  BatchHead head = sample_head();
  std::string bytes = sealed(sample_segment(), head, sample_payload());
  const std::uint32_t longest = kBatchBytesMax;
  std::memcpy(bytes.data() + 4, &longest, sizeof longest);
  EXPECT_TRUE(parse_batch_head(bytes));
  const std::uint32_t wild = kBatchBytesMax + 1;
  std::memcpy(bytes.data() + 4, &wild, sizeof wild);
  EXPECT_FALSE(parse_batch_head(bytes));
}

TEST(SegmentBatch, WithAFlagThatNobodyKnowsIsRefused) {
  BatchHead head = sample_head();
  std::string bytes = sealed(sample_segment(), head, sample_payload());
  for (const int flags : {2, 3, 0x80}) {
    bytes[12] = static_cast<char>(flags);
    EXPECT_FALSE(parse_batch_head(bytes)) << flags;
  }
}

}  // namespace
}  // namespace tallygate::ledger
