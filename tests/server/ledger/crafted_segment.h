// Segments of a journal made by hand, batch by batch, with good check values: what no server wrote.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "core/ledger/record.h"
#include "core/ledger/segment_format.h"
#include "core/ledger/snapshot_format.h"

namespace tallygate::ledger {

// Where a journal stands after a segment's batches, and what its next batch must be.
class CraftedSegment {
 public:
  CraftedSegment(SegmentHead segment_head, JournalPlace where)
      : head(segment_head), place(where), bytes(encode_segment_head(segment_head)) {
    place.run = head.run;
  }
  // The first segment of a new ledger.
  explicit CraftedSegment(std::uint64_t ledger_id = 77)
      : CraftedSegment({1, ledger_id, 1, 1 << 20, {0x0102, 0x0304}},
                       {ledger_id, 1, 1, 0, ledger_id, {}}) {}

  // The one that goes on where this one ends; in a later run, behind the record of the crash.
  [[nodiscard]] CraftedSegment next(std::uint64_t run) const {
    SegmentHead h = head;
    ++h.number;
    h.run = run;
    h.nonce = {head.nonce[0] + 2, head.nonce[1] + 2};
    JournalPlace p = place;
    if (run > head.run) ++p.next_seq;
    return {h, p};
  }

  // The batch that follows; `place` moves behind it. `edit` may spoil its head before it is sealed.
  template <class Edit>
  std::string batch(std::string_view payload, std::uint32_t records, Edit&& edit) {
    BatchHead b;
    b.records = records;
    b.number = place.batches + 1;
    b.first_seq = place.next_seq;
    b.written_at = 1'767'225'600;
    b.chain = place.chain;
    edit(b);
    std::string out(kBatchHeadBytes, '\0');
    out += payload;
    seal_batch(head, b, out);
    place.batches = b.number;
    place.chain = b.check;
    place.next_seq = b.first_seq + records;
    return out;
  }
  std::string batch(std::string_view payload, std::uint32_t records) {
    return batch(payload, records, [](BatchHead&) {});
  }
  void add(std::string_view payload, std::uint32_t records) { bytes += batch(payload, records); }
  void add(const Entries& entries) { add(entries.bytes, entries.records); }
  void end() {
    bytes += batch({}, 0, [](BatchHead& b) { b.end = true; });
  }

  SegmentHead head;
  JournalPlace place;
  std::string bytes;  // without the empty rest of the file
};

}  // namespace tallygate::ledger
