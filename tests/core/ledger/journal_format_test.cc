#include "core/ledger/journal_format.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>

#include "core/ledger/record.h"

namespace tallygate::ledger {
namespace {

FileHead sample_file() {
  FileHead file;
  file.generation = 3;
  file.first_seq = 42;
  file.nonce = {0x0102'0304'0506'0708, 0x1112'1314'1516'1718};
  return file;
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
  append(entries, {link_key("i1001-7"), Settled{9, 150}});
  return entries.bytes;
}

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return text;
}

bool is_zero(std::string_view bytes) {
  return bytes.find_first_not_of('\0') == std::string_view::npos;
}

// Whether a reader of `bytes` would take them for a batch of the file.
bool is_batch(const FileHead& file, std::string_view bytes) {
  const auto head = parse_batch_head(bytes);
  return head && bytes.size() >= kBatchHeadBytes + head->payload_bytes &&
         batch_intact(file, bytes, *head, bytes.substr(kBatchHeadBytes, head->payload_bytes));
}

// -- the head of a file -------------------------------------------------------------------------

TEST(LedgerFileHead, RoundTrips) {
  const FileHead file = sample_file();
  const std::string block = encode_file_head(file);
  ASSERT_EQ(block.size(), kBlockBytes);
  const auto parsed = parse_file_head(block);
  ASSERT_TRUE(parsed) << parsed.error();
  EXPECT_EQ(parsed->version, kFormatVersion);
  EXPECT_EQ(parsed->generation, file.generation);
  EXPECT_EQ(parsed->first_seq, file.first_seq);
  EXPECT_EQ(parsed->nonce, file.nonce);
}

TEST(LedgerFileHead, HasTheBytesItAlwaysHad) {
  const std::string block = encode_file_head(sample_file());
  EXPECT_EQ(hex(block.substr(0, 64)),
            "74616c6c7967617465206c6564676572"
            "010000000000000003000000000000002a00000000000000"
            "08070605040302011817161514131211"
            "8fc202db7aaa7189");
  EXPECT_TRUE(is_zero(block.substr(64)));
}

TEST(LedgerFileHead, WithAnyByteChangedIsRefusedAndSaysWhy) {
  const std::string good = encode_file_head(sample_file());
  for (std::size_t at = 0; at < 64; ++at) {
    std::string block = good;
    block[at] = static_cast<char>(block[at] ^ 0x01);
    const auto parsed = parse_file_head(block);
    ASSERT_FALSE(parsed) << "byte " << at;
    const char* expected = at < 16   ? "is not a ledger file of tallygate"
                           : at < 20 ? "format version"
                                     : "has a damaged head (checksum mismatch)";
    if (at == 16) expected = "has format version 0";
    EXPECT_NE(parsed.error().find(expected), std::string::npos) << at << ": " << parsed.error();
  }
}

TEST(LedgerFileHead, OfANewerFormatNamesBothVersions) {
  FileHead file = sample_file();
  file.version = kFormatVersion + 1;
  const auto parsed = parse_file_head(encode_file_head(file));
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error(),
            "has format version 2, this program knows 1: it was written by a newer tallygate");
}

TEST(LedgerFileHead, OfVersionZeroNeverExisted) {
  FileHead file = sample_file();
  file.version = 0;
  EXPECT_FALSE(parse_file_head(encode_file_head(file)));
}

TEST(LedgerFileHead, ThatIsForeignShortOrEmptyIsRefusedByName) {
  const std::string good = encode_file_head(sample_file());
  const struct {
    std::string block;
    const char* error;
  } cases[] = {
      {"", "is shorter than its head"},
      {good.substr(0, kBlockBytes - 1), "is shorter than its head"},
      {std::string(kBlockBytes, '\0'), "is not a ledger file of tallygate"},
      {"SQLite format 3" + std::string(kBlockBytes, '\0'), "is not a ledger file of tallygate"},
  };
  for (const auto& c : cases) {
    const auto parsed = parse_file_head(c.block);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error(), c.error);
  }
}

// -- batches ------------------------------------------------------------------------------------

TEST(LedgerBatch, RoundTrips) {
  const FileHead file = sample_file();
  for (const bool snapshot : {false, true}) {
    for (const bool end : {false, true}) {
      BatchHead head = sample_head();
      head.snapshot = snapshot;
      head.snapshot_end = end;
      const std::string payload = sample_payload();
      const std::string bytes = encode_batch(file, head, payload);
      ASSERT_TRUE(is_batch(file, bytes));
      const auto parsed = parse_batch_head(bytes);
      EXPECT_EQ(parsed->payload_bytes, payload.size());
      EXPECT_EQ(parsed->records, head.records);
      EXPECT_EQ(parsed->number, head.number);
      EXPECT_EQ(parsed->first_seq, head.first_seq);
      EXPECT_EQ(parsed->written_at, head.written_at);
      EXPECT_EQ(parsed->chain, head.chain);
      EXPECT_EQ(parsed->check, head.check);
      EXPECT_EQ(parsed->snapshot, snapshot);
      EXPECT_EQ(parsed->snapshot_end, end);
    }
  }
}

TEST(LedgerBatch, HasTheBytesItAlwaysHad) {
  BatchHead head = sample_head();
  const std::string bytes = encode_batch(sample_file(), head, sample_payload());
  EXPECT_EQ(hex(bytes.substr(0, 64)),
            "01544742"
            "21000000"
            "01000000"
            "00000000"
            "0200000000000000"
            "2b00000000000000"
            "00b9556900000000"
            "2827262524232221"
            "0000000000000000"
            "c7a58234c784502d");
  EXPECT_EQ(hex(bytes.substr(64, 33)),
            "21000000"
            "07"
            "0b9c748052b1aeb0400bde227a48f900"
            "09000000"
            "9600000000000000");
  EXPECT_TRUE(is_zero(bytes.substr(97)));
  BatchHead snapshot = sample_head();
  snapshot.snapshot = snapshot.snapshot_end = true;
  EXPECT_EQ(hex(encode_batch(sample_file(), snapshot, "").substr(12, 4)), "03000000");
}

TEST(LedgerBatch, TakesWholeBlocks) {
  const struct {
    std::size_t payload, extent;
  } cases[] = {{0, 4096}, {1, 4096}, {4032, 4096}, {4033, 8192}, {8128, 8192}, {8129, 12288}};
  for (const auto& c : cases) {
    BatchHead head = sample_head();
    const std::string bytes = encode_batch(sample_file(), head, std::string(c.payload, 'x'));
    EXPECT_EQ(bytes.size(), c.extent) << c.payload;
    EXPECT_EQ(batch_extent(head), c.extent) << c.payload;
    EXPECT_TRUE(is_batch(sample_file(), bytes));
  }
}

TEST(LedgerBatch, WithAnyBitFlippedIsNone) {
  const FileHead file = sample_file();
  BatchHead head = sample_head();
  const std::string payload = sample_payload();
  const std::string good = encode_batch(file, head, payload);
  for (std::size_t bit = 0; bit < 8 * (kBatchHeadBytes + payload.size()); ++bit) {
    std::string bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ 1 << bit % 8);
    EXPECT_FALSE(is_batch(file, bytes)) << "bit " << bit;
  }
}

TEST(LedgerBatch, CutAtAnyByteOfItsContentIsNone) {
  BatchHead head = sample_head();
  const std::string payload = sample_payload();
  const std::string good = encode_batch(sample_file(), head, payload);
  for (std::size_t length = 0; length < kBatchHeadBytes + payload.size(); ++length) {
    EXPECT_FALSE(is_batch(sample_file(), good.substr(0, length))) << length;
  }
}

TEST(LedgerBatch, ThatIsAllZeroIsNone) {
  FileHead file;  // even where the nonce is zero as well
  EXPECT_FALSE(is_batch(file, std::string(kBlockBytes, '\0')));
  EXPECT_FALSE(is_batch(sample_file(), std::string(kBlockBytes, '\0')));
}

TEST(LedgerBatch, OfAnotherFileIsNone) {
  BatchHead head = sample_head();
  const std::string bytes = encode_batch(sample_file(), head, sample_payload());
  FileHead other = sample_file();
  other.nonce[0] ^= 1;
  EXPECT_FALSE(is_batch(other, bytes));
}

TEST(LedgerBatch, WithALengthThatNobodyWritesIsRefusedBeforeItIsRead) {
  BatchHead head = sample_head();
  std::string bytes = encode_batch(sample_file(), head, sample_payload());
  const std::uint32_t longest = kBatchBytesMax;
  std::memcpy(bytes.data() + 4, &longest, sizeof longest);
  EXPECT_TRUE(parse_batch_head(bytes));
  const std::uint32_t wild = kBatchBytesMax + 1;
  std::memcpy(bytes.data() + 4, &wild, sizeof wild);
  EXPECT_FALSE(parse_batch_head(bytes));
}

TEST(LedgerBatch, WithAFlagThatNobodyKnowsIsRefused) {
  BatchHead head = sample_head();
  std::string bytes = encode_batch(sample_file(), head, sample_payload());
  bytes[12] = 4;
  EXPECT_FALSE(parse_batch_head(bytes));
}

TEST(LedgerBatch, OfTheFirstNumberIsChainedToTheNonce) {
  EXPECT_EQ(first_chain(sample_file()), sample_file().nonce[1]);
}

}  // namespace
}  // namespace tallygate::ledger
