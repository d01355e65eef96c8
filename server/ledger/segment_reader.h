// Reads one segment of the journal, batch by batch, and tells a torn end from a damaged middle.
//
// One batch is written at a time, and the next only after it was synced. So whatever is intact
// behind a broken batch proves that the broken one had been acknowledged: that is damage. With
// nothing behind it, it is a write that never ended, and nobody was told of it. Blocking; one
// thread at a time.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "core/ledger/segment_format.h"
#include "core/ledger/snapshot_format.h"
#include "server/ledger/files.h"
#include "server/ledger/storage.h"

namespace tallygate::ledger {

class SegmentReader {
 public:
  enum class Next : std::uint8_t {
    batch,   // `head` and `payload` have it
    end,     // nothing more was written
    torn,    // an unfinished last write stands there
    failed,  // `error` says why: unreadable, damaged, or contradicting what came before
  };

  // `file` is borrowed. `name` is for messages.
  SegmentReader(File& file, std::string name) : reader_(file), name_(std::move(name)) {}

  // Empty: `head` has it. Else what is wrong.
  [[nodiscard]] std::string read_head();
  [[nodiscard]] const SegmentHead& segment() const { return segment_; }

  // Something was written behind the head. Reads an empty segment to its end.
  [[nodiscard]] bool has_begun();

  // The batch that follows `place`, which moves behind it. May be asked again after `end` or
  // `torn`: a server beside us may have written more.
  [[nodiscard]] Next next(JournalPlace& place);
  [[nodiscard]] const BatchHead& head() const { return head_; }
  [[nodiscard]] std::string_view payload() const { return payload_; }  // until the next call
  // Where the batch begins that `next` gave or did not give.
  [[nodiscard]] std::uint64_t offset() const { return offset_; }
  [[nodiscard]] std::uint64_t torn_bytes() const { return torn_bytes_; }
  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  [[nodiscard]] bool intact_at(std::uint64_t offset, BatchHead& head);
  [[nodiscard]] Next judge_the_rest(const JournalPlace& place);
  [[nodiscard]] Next fail(std::uint64_t offset, std::string_view what);

  WindowedReader reader_;
  const std::string name_;
  SegmentHead segment_;
  BatchHead head_;
  std::string_view payload_;
  std::uint64_t offset_ = kBlockBytes;
  std::uint64_t next_offset_ = kBlockBytes;
  std::uint64_t torn_bytes_ = 0;
  std::string error_;
};

}  // namespace tallygate::ledger
