// What the files of a ledger say, link by link: the newest snapshot, and what the journal's
// segments have changed since.
//
// Everything that reads a ledger goes through here: the start of a server, the next snapshot, and
// the commands check, export and compact. Records are gathered by link and replayed one link after
// the other, in the order of keys, so that memory is bounded by the journal since the snapshot and
// not by the number of links. Blocking. Reads beside a running server.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "core/ledger/account.h"
#include "core/ledger/snapshot_format.h"
#include "server/ledger/storage.h"

namespace tallygate::ledger {

struct ChronicleOptions {
  std::uint32_t waste_permille = 2000;
  // Segments from this number on are not read: the state when it began.
  std::uint64_t until_segment = std::numeric_limits<std::uint64_t>::max();
  // Snapshots from this number on are not used.
  std::uint64_t before_snapshot = std::numeric_limits<std::uint64_t>::max();
  // Events behind this number are collected; a snapshot from before it is used, if there is one.
  std::optional<std::uint64_t> cursor;
  // The segments are synced, and read from the disk itself, not from what the system remembers. The
  // directory must be locked.
  bool from_disk = false;
  // A new run begins: what was in flight in the end is in doubt.
  bool new_run = false;
  // Reads every image, not only those that records change.
  bool verify_images = false;
  unsigned threads = 1;
  std::size_t records_bytes_max = std::size_t{1} << 30;  // of records held at a time
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;  // bytes; may be empty
  const std::atomic<bool>* cancel = nullptr;  // set: give up, with an error
};

// How much of a segment says something: head and whole batches.
struct SegmentExtent {
  std::uint64_t number = 0;
  std::uint64_t bytes = 0;
  friend bool operator==(const SegmentExtent&, const SegmentExtent&) = default;
};

struct Chronicle {
  std::uint64_t snapshot = 0;      // its number; 0: none
  std::uint64_t next_segment = 1;  // no segment from this number on has a batch in it
  std::uint64_t run_max = 0;       // of any segment, empty ones included
  JournalPlace place;              // behind all that was read
  std::uint64_t records = 0;
  std::uint64_t snapshot_bytes = 0;
  std::uint64_t journal_bytes = 0;  // of batches, padding included
  std::uint64_t segment_bytes = 0;  // of the segments' files
  std::uint64_t torn_bytes = 0;     // of an unfinished last write: never acknowledged, cut off
  std::string torn_file;
  std::uint64_t links = 0;              // visited
  std::uint64_t in_flight = 0;          // transfers; with `new_run`: settled as a crash leaves them
  std::vector<Event> events;            // ascending numbers
  std::vector<SegmentExtent> segments;  // that were read, those made ahead included
};

// Called for every link, in the order of keys; with several threads, each has a range of keys of
// its own. The views are valid during the call.
using VisitLink = std::function<void(const StoredLink&)>;

struct ChronicleError {
  std::string text;            // for a person: names file and offset
  std::uint64_t snapshot = 0;  // not 0: this snapshot is damaged; an older one may do
};

[[nodiscard]] Result<Chronicle, ChronicleError> read_chronicle(Directory& directory,
                                                               const ChronicleOptions& options,
                                                               const VisitLink& visit);

}  // namespace tallygate::ledger
