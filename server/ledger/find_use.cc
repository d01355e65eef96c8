#include "server/ledger/find_use.h"

#include "core/ledger/snapshot_format.h"
#include "server/ledger/chronicle_files.h"
#include "server/ledger/files.h"
#include "server/ledger/segment_reader.h"

namespace tallygate::ledger {
namespace {

std::optional<Used> find_in_snapshot(const SnapshotFile& snapshot, std::string_view link_id) {
  const LinkKey key = link_key(link_id);
  const std::size_t number = snapshot.block_of(key);
  if (number == snapshot.blocks()) return std::nullopt;
  std::string space;
  const auto block = snapshot.read(number, space);
  if (!block) return std::nullopt;
  LinkBlockReader reader(block->payload, block->links);
  while (const auto link = reader.next()) {
    if (link->key != key) continue;
    if (link->path.empty()) return std::nullopt;  // the shop has spoken of it, and that is all
    return Used{std::string(link->parent_id), std::string(link->path)};
  }
  return std::nullopt;
}

}  // namespace

std::optional<Used> find_use(Directory& directory, std::string_view link_id) {
  auto files = open_files(directory, {});
  if (!files) return std::nullopt;
  std::optional<Used> found;
  JournalPlace place;
  if (files->snapshot) {
    found = find_in_snapshot(*files->snapshot, link_id);
    place = files->snapshot->head().place;
  }
  for (OpenSegment& segment : files->segments) {
    SegmentReader reader(*segment.file, segment_name(segment.number));
    if (!reader.read_head().empty()) break;
    if (place.ledger_id == 0) place.ledger_id = place.chain = reader.segment().ledger_id;
    if (reader.segment().run > place.run) {
      if (place.batches != 0) ++place.next_seq;
      place.run = reader.segment().run;
    }
    while (reader.next(place) == SegmentReader::Next::batch) {
      std::string_view payload = reader.payload();
      while (const auto head = peek_record(payload)) {
        const bool ours = head->link_id == link_id;
        std::string_view bytes = payload.substr(0, head->bytes);
        payload.remove_prefix(head->bytes);
        if (!ours) continue;
        const auto record = take_record(bytes);
        if (!record) continue;
        if (const auto* used = std::get_if<Used>(&record->what)) found = *used;
        if (std::holds_alternative<Forgotten>(record->what)) found.reset();
      }
    }
  }
  return found;
}

}  // namespace tallygate::ledger
