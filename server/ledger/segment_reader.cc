#include "server/ledger/segment_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace tallygate::ledger {
namespace {

// Most of a segment may be, at a start.
bool is_zero(std::string_view bytes) {
  return bytes.empty() || (bytes.front() == '\0' &&
                           std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace

std::string SegmentReader::read_head() {
  const auto block = reader_.view(0, kBlockBytes);
  if (!block) return fmt::format("{} cannot be read: {}", name_, block.error().message());
  const auto head = parse_segment_head(*block);
  if (!head) return name_ + " " + head.error();
  segment_ = *head;
  return {};
}

SegmentReader::Next SegmentReader::fail(std::uint64_t offset, std::string_view what) {
  error_ = fmt::format("{} at byte {}: {}", name_, offset, what);
  return Next::failed;
}

// Whatever its number: a batch of this segment begins there and is whole.
bool SegmentReader::intact_at(std::uint64_t offset, BatchHead& head) {
  const auto bytes = reader_.view(offset, kBatchHeadBytes);
  if (!bytes) {
    static_cast<void>(fail(offset, "cannot be read: " + bytes.error().message()));
    return false;
  }
  const auto parsed = parse_batch_head(*bytes);
  if (!parsed) return false;
  head = *parsed;
  if (head.payload_bytes > segment_.length) return false;
  // Head and payload together, so that both are in view.
  const auto whole = reader_.view(offset, kBatchHeadBytes + head.payload_bytes);
  if (!whole) {
    static_cast<void>(fail(offset, "cannot be read: " + whole.error().message()));
    return false;
  }
  if (whole->size() < kBatchHeadBytes) return false;
  payload_ = whole->substr(kBatchHeadBytes);
  return batch_intact(segment_, *whole, head, payload_);
}

SegmentReader::Next SegmentReader::next(JournalPlace& place) {
  offset_ = next_offset_;
  const auto follows = [&] {
    return intact_at(offset_, head_) && head_.number == place.batches + 1 &&
           head_.chain == place.chain;
  };
  if (!follows()) {
    if (!error_.empty()) return Next::failed;
    const Next rest = judge_the_rest(place);
    // A server beside us may have been writing just there: what it acknowledged is whole by now.
    reader_.forget();
    if (!follows()) return error_.empty() ? rest : Next::failed;
    error_.clear();
    torn_bytes_ = 0;
  }
  if (head_.first_seq != place.next_seq) {
    return fail(offset_, fmt::format("batch {} begins with record {} instead of {}", head_.number,
                                     head_.first_seq, place.next_seq));
  }
  place.batches = head_.number;
  place.chain = head_.check;
  place.next_seq += head_.records;
  place.clock.observe(head_.written_at, std::nullopt);
  next_offset_ = offset_ + batch_extent(head_.payload_bytes);
  return Next::batch;
}

bool SegmentReader::has_begun() {
  bool begun = false;
  // Not in its first block alone: a disk may have lost just that. What cannot be read is not taken
  // for empty either: next() says so.
  for (std::uint64_t at = kBlockBytes; !begun; at += kBlockBytes) {
    const auto block = reader_.view(at, kBlockBytes);
    if (block && block->empty()) break;
    begun = !block || !is_zero(*block);
  }
  reader_.forget();
  return begun;
}

SegmentReader::Next SegmentReader::judge_the_rest(const JournalPlace& place) {
  for (std::uint64_t at = offset_;; at += kBlockBytes) {
    const auto block = reader_.view(at, kBlockBytes);
    if (!block) return fail(at, "cannot be read: " + block.error().message());
    if (block->empty()) break;
    if (is_zero(*block)) continue;
    torn_bytes_ = at + block->size() - offset_;
    BatchHead other;
    const bool intact = intact_at(at, other);
    if (!error_.empty()) return Next::failed;
    if (!intact || other.number <= place.batches) continue;
    if (other.number == place.batches + 1 && at != offset_) {
      return fail(at, fmt::format("batch {} stands there, and was written to byte {}", other.number,
                                  offset_));
    }
    if (other.number == place.batches + 1) {
      return fail(at, fmt::format("batch {} does not follow the one before it: a segment was "
                                  "exchanged or is older than the others",
                                  other.number));
    }
    return fail(offset_,
                fmt::format("batch {} was acknowledged and is damaged or missing (batch {} stands "
                            "behind it at byte {}): records {} to {} are lost, and the counts of "
                            "the links in them cannot be trusted",
                            place.batches + 1, other.number, at, place.next_seq,
                            std::max(other.first_seq, place.next_seq + 1) - 1));
  }
  return torn_bytes_ == 0 ? Next::end : Next::torn;
}

}  // namespace tallygate::ledger
