#include "core/ledger/segment_format.h"

#include <fmt/format.h>
#include <xxhash.h>

#include "core/ledger/codec.h"

namespace tallygate::ledger {
namespace {

constexpr std::string_view kFileMagic = "tallygate ledger";  // 16 bytes
constexpr std::uint32_t kBatchMagic = 0x42'47'54'01;         // never 0: zeroed blocks are no batch
constexpr std::size_t kCheckedHeadBytes = kBatchHeadBytes - 8;

constexpr std::uint32_t kEnd = 1;

std::uint64_t check_of(const SegmentHead& segment, std::string_view head_bytes,
                       std::string_view payload) noexcept {
  // Two parts, one hash: the payload's is seeded by the head's.
  const std::uint64_t of_head =
      XXH3_64bits_withSeed(head_bytes.data(), kCheckedHeadBytes, segment.nonce[0]);
  return XXH3_64bits_withSeed(payload.data(), payload.size(), of_head ^ segment.nonce[1]);
}

}  // namespace

std::string file_prefix(FileKind kind) {
  std::string bytes(kFileMagic);
  ByteWriter w(bytes);
  w.put(kFormatVersion);
  w.put(static_cast<std::uint32_t>(kind));
  return bytes;
}

std::string check_file_prefix(std::string_view block, FileKind kind) {
  if (block.size() < kFilePrefixBytes) return "is shorter than its head";
  if (block.substr(0, kFileMagic.size()) != kFileMagic) {
    return "is not a ledger file of tallygate";
  }
  ByteReader r(block.substr(kFileMagic.size()));
  const auto version = r.get<std::uint32_t>();
  if (version != kFormatVersion) {
    return fmt::format("has format version {}, this program knows {}{}", version, kFormatVersion,
                       version > kFormatVersion ? ": it was written by a newer tallygate"
                                                : ": it was written by an older tallygate");
  }
  if (r.get<std::uint32_t>() != static_cast<std::uint32_t>(kind)) {
    return kind == FileKind::segment ? "is not a segment of the journal" : "is not a snapshot";
  }
  return {};
}

std::string encode_segment_head(const SegmentHead& head) {
  std::string block = file_prefix(FileKind::segment);
  block.reserve(kBlockBytes);
  ByteWriter w(block);
  for (const std::uint64_t n :
       {head.number, head.ledger_id, head.run, head.length, head.nonce[0], head.nonce[1]}) {
    w.put(n);
  }
  w.put(static_cast<std::uint64_t>(XXH3_64bits(block.data(), block.size())));
  block.resize(kBlockBytes, '\0');
  return block;
}

Result<SegmentHead, std::string> parse_segment_head(std::string_view block) {
  if (block.size() < kBlockBytes) return std::string("is shorter than its head");
  if (std::string wrong = check_file_prefix(block, FileKind::segment); !wrong.empty()) return wrong;
  ByteReader r(block.substr(kFilePrefixBytes));
  SegmentHead head;
  for (std::uint64_t* n :
       {&head.number, &head.ledger_id, &head.run, &head.length, &head.nonce[0], &head.nonce[1]}) {
    *n = r.get<std::uint64_t>();
  }
  const std::size_t checked = block.size() - r.left();
  if (r.get<std::uint64_t>() != XXH3_64bits(block.data(), checked)) {
    return std::string("has a damaged head (checksum mismatch)");
  }
  return head;
}

void seal_batch(const SegmentHead& segment, BatchHead& head, std::string& bytes) {
  const std::size_t payload = bytes.size() - kBatchHeadBytes;
  head.payload_bytes = static_cast<std::uint32_t>(payload);
  static thread_local std::string of_head;  // its memory is used again
  of_head.clear();
  ByteWriter w(of_head);
  w.put(kBatchMagic);
  w.put(head.payload_bytes);
  w.put(head.records);
  w.put(head.end ? kEnd : 0u);
  w.put(head.number);
  w.put(head.first_seq);
  w.put(head.written_at);
  w.put(head.chain);
  w.put(std::uint64_t{0});
  static_assert(4 * 4 + 5 * 8 == kCheckedHeadBytes);
  head.check = check_of(segment, of_head, std::string_view(bytes).substr(kBatchHeadBytes));
  w.put(head.check);
  std::memcpy(bytes.data(), of_head.data(), kBatchHeadBytes);
  bytes.resize(batch_extent(payload), '\0');
}

std::optional<BatchHead> parse_batch_head(std::string_view bytes) {
  ByteReader r(bytes);
  if (bytes.size() < kBatchHeadBytes || r.get<std::uint32_t>() != kBatchMagic) return std::nullopt;
  BatchHead head;
  head.payload_bytes = r.get<std::uint32_t>();
  head.records = r.get<std::uint32_t>();
  const auto flags = r.get<std::uint32_t>();
  head.end = (flags & kEnd) != 0;
  head.number = r.get<std::uint64_t>();
  head.first_seq = r.get<std::uint64_t>();
  head.written_at = r.get<std::int64_t>();
  head.chain = r.get<std::uint64_t>();
  r.get<std::uint64_t>();
  head.check = r.get<std::uint64_t>();
  if (head.payload_bytes > kBatchBytesMax || flags > kEnd) return std::nullopt;
  return head;
}

bool batch_intact(const SegmentHead& segment, std::string_view head_bytes, const BatchHead& head,
                  std::string_view payload) noexcept {
  return head_bytes.size() >= kBatchHeadBytes && payload.size() == head.payload_bytes &&
         check_of(segment, head_bytes, payload) == head.check;
}

std::uint64_t batch_extent(std::uint64_t payload_bytes) noexcept {
  const std::uint64_t bytes = kBatchHeadBytes + payload_bytes;
  return (bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
}

}  // namespace tallygate::ledger
