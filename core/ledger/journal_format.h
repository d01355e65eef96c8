// The journal file: a head, then batches. README.md in this folder gives the bytes.
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
inline constexpr std::uint32_t kFormatVersion = 1;
// Protects the reader from a wild length; a batch is closed when it grows beyond a quarter of it.
inline constexpr std::uint32_t kBatchBytesMax = 64u << 20;

struct FileHead {
  std::uint32_t version = kFormatVersion;
  std::uint64_t generation = 0;          // grows with every start; also in the file's name
  std::uint64_t first_seq = 0;           // number of the first record after the snapshot
  std::array<std::uint64_t, 2> nonce{};  // random: records of another file fail their checksum
};

struct BatchHead {
  std::uint32_t payload_bytes = 0;
  std::uint32_t records = 0;
  std::uint64_t number = 0;     // 1, 2, 3, … in this file
  std::uint64_t first_seq = 0;  // of the first record; a snapshot's records all carry the same
  std::int64_t written_at = 0;  // unix seconds; for people and for retention, never for order
  std::uint64_t chain = 0;      // the check value of the batch before; of the first: the nonce's
  bool snapshot = false;        // belongs to the snapshot at the file's head
  bool snapshot_end = false;    // its last batch
  std::uint64_t check = 0;  // XXH3-64 of the head before it and the payload, seeded by the nonce
};

[[nodiscard]] std::string encode_file_head(const FileHead& head);
// `block`: the first kBlockBytes of the file. The error says what is wrong, for a person.
[[nodiscard]] Result<FileHead, std::string> parse_file_head(std::string_view block);
[[nodiscard]] std::uint64_t first_chain(const FileHead& file) noexcept;

// Head and payload, padded to whole blocks. Fills in `head.payload_bytes` and `head.check`.
[[nodiscard]] std::string encode_batch(const FileHead& file, BatchHead& head,
                                       std::string_view payload);
// nullopt: no batch begins here. The payload is not looked at yet.
[[nodiscard]] std::optional<BatchHead> parse_batch_head(std::string_view bytes);
[[nodiscard]] bool batch_intact(const FileHead& file, std::string_view head_bytes,
                                const BatchHead& head, std::string_view payload) noexcept;
// Bytes of the file that the batch takes, padding included.
[[nodiscard]] std::uint64_t batch_extent(const BatchHead& head) noexcept;

}  // namespace tallygate::ledger
