// Writes and reads a snapshot. Blocking; one thread at a time, except where it says otherwise.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/ledger/snapshot_format.h"
#include "server/ledger/storage.h"

namespace tallygate::ledger {

// A snapshot in the making. It gets its name when it is whole, synced and read back; until then,
// and if it is dropped, it is a file *.new.
class SnapshotWriter {
 public:
  SnapshotWriter(Directory& directory, std::uint64_t number);
  ~SnapshotWriter();
  SnapshotWriter(const SnapshotWriter&) = delete;
  SnapshotWriter& operator=(const SnapshotWriter&) = delete;

  // In ascending order of keys. After a failure it does nothing; finish() says why.
  void add(const StoredLink& link);
  // `place`: where the segment `number` begins. Empty: it is there; else why not.
  [[nodiscard]] std::string finish(const JournalPlace& place, std::int64_t unix_now);

  [[nodiscard]] std::uint64_t links() const { return links_; }
  [[nodiscard]] std::uint64_t bytes() const { return offset_; }

 private:
  void write_block();
  void fail(const char* what, const error_code& ec);

  Directory& directory_;
  const std::uint64_t number_;
  const std::string name_;
  const std::string temporary_;
  const std::uint64_t nonce_;
  std::unique_ptr<File> file_;
  LinkBlockWriter block_;
  LinkKey block_first_;
  std::vector<IndexEntry> index_;
  std::string ready_;  // blocks on their way to the file
  std::uint64_t offset_;
  std::uint64_t links_ = 0;
  bool named_ = false;
  std::string error_;
};

class SnapshotFile {
 public:
  // Reads and checks head and index. The error is for a person.
  [[nodiscard]] static Result<SnapshotFile, std::string> open(Directory& directory,
                                                              std::uint64_t number);

  [[nodiscard]] const SnapshotHead& head() const { return head_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::size_t blocks() const { return index_.size(); }
  // The first key of the block.
  [[nodiscard]] const LinkKey& first(std::size_t block) const { return index_[block].first; }
  // The block that has `key`, if any has; blocks() where all begin behind it.
  [[nodiscard]] std::size_t block_of(const LinkKey& key) const;
  [[nodiscard]] std::uint64_t bytes() const { return head_.index_at; }

  // Reads a block into `space` and checks it. Any number of threads, each with its own space.
  struct Block {
    std::uint32_t links = 0;
    std::uint64_t bytes = 0;  // of the file
    std::string_view payload;
  };
  [[nodiscard]] Result<Block, std::string> read(std::size_t block, std::string& space) const;
  // What is wrong with a block that was read.
  [[nodiscard]] std::string at(std::size_t block, std::string_view what) const;

 private:
  SnapshotFile() = default;
  std::string name_;
  std::unique_ptr<File> file_;
  SnapshotHead head_;
  std::vector<IndexEntry> index_;
};

}  // namespace tallygate::ledger
