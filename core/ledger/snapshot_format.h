// A snapshot: every link as it stood when a segment began, in the order of their keys. README.md in
// this folder gives the bytes.
//
// A head of one block, then blocks of links, then an index with the first key of each block. Pure:
// bytes in, bytes out.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/ledger/clock_watch.h"
#include "core/ledger/record.h"

namespace tallygate::ledger {

// Bytes of links at which a block is closed.
inline constexpr std::size_t kLinkBlockBytes = 64 << 10;
inline constexpr std::size_t kLinkBlockHeadBytes = 32;

// Where the journal stands between two batches.
struct JournalPlace {
  std::uint64_t ledger_id = 0;
  std::uint64_t run = 0;       // that wrote what comes before
  std::uint64_t next_seq = 1;  // number of the next record
  std::uint64_t batches = 0;   // so many were written before
  std::uint64_t chain = 0;     // check value of the last of them; of none: the ledger's id
  ClockWatch clock;
  friend bool operator==(const JournalPlace&, const JournalPlace&) = default;
};

struct SnapshotHead {
  std::uint64_t number = 0;  // of the segment that it comes before
  JournalPlace place;        // where that segment begins
  std::int64_t written_at = 0;
  std::uint64_t links = 0;
  std::uint64_t blocks = 0;
  std::uint64_t index_at = 0;     // bytes from the beginning of the file
  std::uint64_t index_check = 0;  // XXH3-64 of the index, seeded by the nonce
  std::uint64_t nonce = 0;
  friend bool operator==(const SnapshotHead&, const SnapshotHead&) = default;
};
[[nodiscard]] std::string encode_snapshot_head(const SnapshotHead& head);
[[nodiscard]] Result<SnapshotHead, std::string> parse_snapshot_head(std::string_view block);

// A link in the files. The views are borrowed.
struct StoredLink {
  LinkKey key;
  std::string_view id;
  std::string_view parent_id;
  std::string_view path;
  std::string_view image;
};

// Gathers links into one block. Paths are written once for each block.
class LinkBlockWriter {
 public:
  void add(const StoredLink& link);
  [[nodiscard]] std::size_t bytes() const { return links_.size() + paths_.size(); }
  [[nodiscard]] std::uint32_t links() const { return count_; }
  // The block, the `number`th of its file from 1; begins the next.
  [[nodiscard]] std::string take(std::uint64_t nonce, std::uint64_t number);

 private:
  std::string paths_;
  std::string links_;
  std::map<std::string, std::uint64_t, std::less<>> path_numbers_;
  std::uint32_t count_ = 0;
};

struct LinkBlockHead {
  std::uint32_t payload_bytes = 0;
  std::uint32_t links = 0;
  std::uint64_t number = 0;
  std::uint64_t check = 0;
};
[[nodiscard]] std::optional<LinkBlockHead> parse_link_block_head(std::string_view bytes);
[[nodiscard]] bool link_block_intact(std::uint64_t nonce, const LinkBlockHead& head,
                                     std::string_view payload) noexcept;

// Takes the links of a block one by one. The payload is borrowed.
class LinkBlockReader {
 public:
  explicit LinkBlockReader(std::string_view payload, std::uint32_t links);
  // nullopt: that was the last one, or the block makes no sense: then `ok` is false.
  [[nodiscard]] std::optional<StoredLink> next();
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  std::string_view rest_;
  std::vector<std::string_view> paths_;
  std::uint32_t left_;
  bool ok_ = true;
};

struct IndexEntry {
  LinkKey first;
  std::uint64_t offset = 0;
};
[[nodiscard]] std::string encode_index(const std::vector<IndexEntry>& index);
[[nodiscard]] std::vector<IndexEntry> parse_index(std::string_view bytes);  // 24 bytes for each
[[nodiscard]] std::uint64_t index_check(std::uint64_t nonce, std::string_view bytes) noexcept;

}  // namespace tallygate::ledger
