#include "server/ledger/snapshot_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/ledger/segment_format.h"
#include "server/ledger/files.h"

namespace tallygate::ledger {
namespace {

constexpr std::size_t kWriteBytes = 1 << 20;
constexpr std::size_t kIndexEntryBytes = 24;

}  // namespace

// -- writing ------------------------------------------------------------------------------------

SnapshotWriter::SnapshotWriter(Directory& directory, std::uint64_t number)
    : directory_(directory),
      number_(number),
      name_(snapshot_name(number)),
      temporary_(name_ + ".new"),
      nonce_(random_number()),
      offset_(kBlockBytes) {
  auto file = directory_.create(temporary_);
  if (file) {
    file_ = std::move(*file);
  } else {
    fail("create", file.error());
  }
}

SnapshotWriter::~SnapshotWriter() {
  if (!named_ && file_) static_cast<void>(directory_.remove(temporary_));
}

void SnapshotWriter::fail(const char* what, const error_code& ec) {
  if (error_.empty()) error_ = fmt::format("cannot {} {}: {}", what, temporary_, ec.message());
}

void SnapshotWriter::add(const StoredLink& link) {
  if (!error_.empty()) return;
  if (block_.links() == 0) block_first_ = link.key;
  block_.add(link);
  ++links_;
  if (block_.bytes() >= kLinkBlockBytes) write_block();
}

void SnapshotWriter::write_block() {
  index_.push_back({block_first_, offset_ + ready_.size()});
  ready_ += block_.take(nonce_, index_.size());
  if (ready_.size() < kWriteBytes) return;
  if (const error_code ec = file_->write_at(offset_, ready_)) fail("write", ec);
  offset_ += ready_.size();
  ready_.clear();
}

std::string SnapshotWriter::finish(const JournalPlace& place, std::int64_t unix_now) {
  if (block_.links() != 0 && error_.empty()) write_block();
  if (!error_.empty()) return error_;
  SnapshotHead head;
  head.number = number_;
  head.place = place;
  head.written_at = unix_now;
  head.links = links_;
  head.blocks = index_.size();
  head.index_at = offset_ + ready_.size();
  head.nonce = nonce_;
  const std::string index = encode_index(index_);
  head.index_check = index_check(nonce_, index);
  ready_ += index;
  if (const error_code ec = file_->write_at(offset_, ready_)) fail("write", ec);
  offset_ += ready_.size();
  if (!error_.empty()) return error_;
  if (const error_code ec = file_->write_at(0, encode_snapshot_head(head))) fail("write", ec);
  if (!error_.empty()) return error_;
  if (const error_code ec = file_->sync()) fail("sync", ec);
  if (!error_.empty()) return error_;
  file_->drop_cache();
  if (const error_code ec = directory_.rename(temporary_, name_)) fail("rename", ec);
  if (!error_.empty()) return error_;
  named_ = true;
  if (const error_code ec = directory_.sync()) fail("sync the directory of", ec);
  return error_;
}

// -- reading ------------------------------------------------------------------------------------

Result<SnapshotFile, std::string> SnapshotFile::open(Directory& directory, std::uint64_t number) {
  SnapshotFile snapshot;
  snapshot.name_ = snapshot_name(number);
  auto file = directory.open(snapshot.name_);
  if (!file) return fmt::format("{} cannot be opened: {}", snapshot.name_, file.error().message());
  snapshot.file_ = std::move(*file);
  std::string bytes(kBlockBytes, '\0');
  const auto unreadable = [&](const error_code& ec) {
    return fmt::format("{} cannot be read: {}", snapshot.name_, ec.message());
  };
  const auto got = snapshot.file_->read_at(0, bytes);
  if (!got) return unreadable(got.error());
  bytes.resize(*got);
  const auto head = parse_snapshot_head(bytes);
  if (!head) return snapshot.name_ + " " + head.error();
  snapshot.head_ = *head;
  if (head->number != number) {
    return fmt::format("{} is number {} by its head", snapshot.name_, head->number);
  }
  // Read in steps: a wild count meets the end of the file before it meets the memory's.
  std::string index;
  for (std::uint64_t left = head->blocks; left != 0;) {
    const auto step = std::min<std::uint64_t>(left, 1 << 16);
    const std::size_t have = index.size();
    index.resize(have + static_cast<std::size_t>(step) * kIndexEntryBytes);
    const auto read = snapshot.file_->read_at(head->index_at + have,
                                              std::span(index.data() + have, index.size() - have));
    if (!read) return unreadable(read.error());
    if (*read != index.size() - have) return snapshot.name_ + " ends within its index";
    left -= step;
  }
  if (index_check(head->nonce, index) != head->index_check) {
    return fmt::format("{} at byte {}: the index is damaged (checksum mismatch)", snapshot.name_,
                       head->index_at);
  }
  snapshot.index_ = parse_index(index);
  // Each block begins behind the one before it and ends before the index, which was there to read:
  // none is longer than the file.
  std::uint64_t end = kBlockBytes;
  for (const IndexEntry& entry : snapshot.index_) {
    if (entry.offset < end || entry.offset > head->index_at) {
      return fmt::format("{} at byte {}: the index makes no sense", snapshot.name_, head->index_at);
    }
    end = entry.offset + kLinkBlockHeadBytes;
  }
  return snapshot;
}

std::size_t SnapshotFile::block_of(const LinkKey& key) const {
  const auto behind =
      std::upper_bound(index_.begin(), index_.end(), key,
                       [](const LinkKey& k, const IndexEntry& entry) { return k < entry.first; });
  if (behind == index_.begin()) return index_.size();
  return static_cast<std::size_t>(behind - index_.begin()) - 1;
}

std::string SnapshotFile::at(std::size_t block, std::string_view what) const {
  return fmt::format("{} at byte {}: block {} of {} {}", name_, index_[block].offset, block + 1,
                     index_.size(), what);
}

Result<SnapshotFile::Block, std::string> SnapshotFile::read(std::size_t block,
                                                            std::string& space) const {
  const std::uint64_t begin = index_[block].offset;
  const std::uint64_t end = block + 1 < index_.size() ? index_[block + 1].offset : head_.index_at;
  if (end < begin + kLinkBlockHeadBytes || end - begin > kBatchBytesMax) {
    return at(block, "has an impossible length");
  }
  space.resize(static_cast<std::size_t>(end - begin));
  const auto got = file_->read_at(begin, space);
  if (!got) return at(block, "cannot be read: " + got.error().message());
  if (*got != space.size()) return at(block, "is cut off");
  const auto head = parse_link_block_head(space);
  const auto payload = std::string_view(space).substr(kLinkBlockHeadBytes);
  if (!head || head->number != block + 1 || !link_block_intact(head_.nonce, *head, payload)) {
    return at(block, "is damaged (checksum mismatch)");
  }
  return Block{head->links, end - begin, payload};
}

}  // namespace tallygate::ledger
