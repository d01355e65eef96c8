// A segment of the journal: a head, then batches of records. README.md in this folder gives the
// bytes.
//
// Pure: bytes in, bytes out. Reading and writing files is server/ledger's business.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace tallygate::ledger {

// Every batch begins on a block, so that a block once acknowledged is never written again.
inline constexpr std::size_t kBlockBytes = 4096;
inline constexpr std::size_t kBatchHeadBytes = 64;
inline constexpr std::uint32_t kFormatVersion = 2;
// Protects the reader from a wild length. The journal closes a batch long before.
inline constexpr std::uint32_t kBatchBytesMax = 64u << 20;

enum class FileKind : std::uint32_t { segment = 1, snapshot = 2 };

// What both kinds of file begin with.
inline constexpr std::size_t kFilePrefixBytes = 24;
[[nodiscard]] std::string file_prefix(FileKind kind);
// Empty: `block` begins with it. Else what the file is instead, for a person.
[[nodiscard]] std::string check_file_prefix(std::string_view block, FileKind kind);

struct SegmentHead {
  std::uint64_t number = 0;     // 1, 2, 3, … in this ledger; also in the file's name
  std::uint64_t ledger_id = 0;  // random: segments of another ledger are refused
  std::uint64_t run = 0;        // grows with every start; where it does, what was in flight is lost
  std::uint64_t length = 0;     // bytes of the file, allocated in advance
  std::array<std::uint64_t, 2> nonce{};  // random: what another file has left fails its checksum
  friend bool operator==(const SegmentHead&, const SegmentHead&) = default;
};

struct BatchHead {
  std::uint32_t payload_bytes = 0;
  std::uint32_t records = 0;
  std::uint64_t number = 0;     // 1, 2, 3, … over all segments
  std::uint64_t first_seq = 0;  // number of its first record
  std::int64_t written_at = 0;  // unix seconds; for people and for retention, never for order
  std::uint64_t chain = 0;  // the check value of the batch before; of the first: the ledger's id
  bool end = false;         // an orderly stop; nothing follows in this run
  std::uint64_t check = 0;  // XXH3-64 of the head before it and the payload, seeded by the nonce
};

[[nodiscard]] std::string encode_segment_head(const SegmentHead& head);
// `block`: the first kBlockBytes of the file. The error says what is wrong, for a person.
[[nodiscard]] Result<SegmentHead, std::string> parse_segment_head(std::string_view block);

// Turns kBatchHeadBytes of anything and a payload into a batch, padded to whole blocks. Fills in
// `head.payload_bytes` and `head.check`.
void seal_batch(const SegmentHead& segment, BatchHead& head, std::string& bytes);
// nullopt: no batch begins here. The payload is not looked at yet.
[[nodiscard]] std::optional<BatchHead> parse_batch_head(std::string_view bytes);
[[nodiscard]] bool batch_intact(const SegmentHead& segment, std::string_view head_bytes,
                                const BatchHead& head, std::string_view payload) noexcept;
// Bytes of the file that the batch takes, padding included.
[[nodiscard]] std::uint64_t batch_extent(std::uint64_t payload_bytes) noexcept;

}  // namespace tallygate::ledger
