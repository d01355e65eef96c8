#include "core/ledger/journal_format.h"

#include <xxhash.h>

#include "core/ledger/codec.h"

namespace tallygate::ledger {
namespace {

constexpr std::string_view kFileMagic = "tallygate ledger";  // 16 bytes
constexpr std::uint32_t kBatchMagic = 0x42'47'54'01;         // never 0: zeroed blocks are no batch
constexpr std::size_t kCheckedHeadBytes = kBatchHeadBytes - 8;

constexpr std::uint32_t kSnapshot = 1;
constexpr std::uint32_t kSnapshotEnd = 2;

std::uint64_t seed_of(const FileHead& file) noexcept {
  return file.nonce[0];
}

std::uint64_t check_of(const FileHead& file, std::string_view head_bytes,
                       std::string_view payload) noexcept {
  // Two parts, one hash: the payload's is seeded by the head's.
  const std::uint64_t of_head =
      XXH3_64bits_withSeed(head_bytes.data(), kCheckedHeadBytes, seed_of(file));
  return XXH3_64bits_withSeed(payload.data(), payload.size(), of_head);
}

}  // namespace

std::string encode_file_head(const FileHead& head) {
  std::string block;
  block.reserve(kBlockBytes);
  block.append(kFileMagic);
  ByteWriter w(block);
  w.put(head.version);
  w.put(std::uint32_t{0});
  w.put(head.generation);
  w.put(head.first_seq);
  w.put(head.nonce[0]);
  w.put(head.nonce[1]);
  w.put(static_cast<std::uint64_t>(XXH3_64bits(block.data(), block.size())));
  block.resize(kBlockBytes, '\0');
  return block;
}

Result<FileHead, std::string> parse_file_head(std::string_view block) {
  if (block.size() < kBlockBytes) return std::string("is shorter than its head");
  if (block.substr(0, kFileMagic.size()) != kFileMagic) {
    return std::string("is not a ledger file of tallygate");
  }
  ByteReader r(block.substr(kFileMagic.size()));
  FileHead head;
  head.version = r.get<std::uint32_t>();
  if (head.version != kFormatVersion) {
    return "has format version " + std::to_string(head.version) + ", this program knows " +
           std::to_string(kFormatVersion) +
           (head.version > kFormatVersion ? ": it was written by a newer tallygate" : "");
  }
  r.get<std::uint32_t>();
  head.generation = r.get<std::uint64_t>();
  head.first_seq = r.get<std::uint64_t>();
  head.nonce[0] = r.get<std::uint64_t>();
  head.nonce[1] = r.get<std::uint64_t>();
  const std::size_t checked = block.size() - r.left();
  const auto check = r.get<std::uint64_t>();
  if (check != XXH3_64bits(block.data(), checked)) {
    return std::string("has a damaged head (checksum mismatch)");
  }
  return head;
}

std::uint64_t first_chain(const FileHead& file) noexcept {
  return file.nonce[1];
}

std::string encode_batch(const FileHead& file, BatchHead& head, std::string_view payload) {
  head.payload_bytes = static_cast<std::uint32_t>(payload.size());
  std::string bytes;
  bytes.reserve(batch_extent(head));
  ByteWriter w(bytes);
  w.put(kBatchMagic);
  w.put(head.payload_bytes);
  w.put(head.records);
  w.put((head.snapshot ? kSnapshot : 0u) | (head.snapshot_end ? kSnapshotEnd : 0u));
  w.put(head.number);
  w.put(head.first_seq);
  w.put(head.written_at);
  w.put(head.chain);
  w.put(std::uint64_t{0});
  static_assert(4 * 4 + 5 * 8 == kCheckedHeadBytes);
  head.check = check_of(file, bytes, payload);
  w.put(head.check);
  bytes.append(payload);
  bytes.resize(batch_extent(head), '\0');
  return bytes;
}

std::optional<BatchHead> parse_batch_head(std::string_view bytes) {
  ByteReader r(bytes);
  if (bytes.size() < kBatchHeadBytes || r.get<std::uint32_t>() != kBatchMagic) return std::nullopt;
  BatchHead head;
  head.payload_bytes = r.get<std::uint32_t>();
  head.records = r.get<std::uint32_t>();
  const auto flags = r.get<std::uint32_t>();
  head.snapshot = (flags & kSnapshot) != 0;
  head.snapshot_end = (flags & kSnapshotEnd) != 0;
  head.number = r.get<std::uint64_t>();
  head.first_seq = r.get<std::uint64_t>();
  head.written_at = r.get<std::int64_t>();
  head.chain = r.get<std::uint64_t>();
  r.get<std::uint64_t>();
  head.check = r.get<std::uint64_t>();
  if (head.payload_bytes > kBatchBytesMax || flags > (kSnapshot | kSnapshotEnd))
    return std::nullopt;
  return head;
}

bool batch_intact(const FileHead& file, std::string_view head_bytes, const BatchHead& head,
                  std::string_view payload) noexcept {
  return head_bytes.size() >= kBatchHeadBytes && payload.size() == head.payload_bytes &&
         check_of(file, head_bytes, payload) == head.check;
}

std::uint64_t batch_extent(const BatchHead& head) noexcept {
  const std::uint64_t bytes = kBatchHeadBytes + head.payload_bytes;
  return (bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
}

}  // namespace tallygate::ledger
