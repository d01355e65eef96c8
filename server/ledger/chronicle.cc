#include "server/ledger/chronicle.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "server/ledger/chronicle_files.h"
#include "server/ledger/files.h"
#include "server/ledger/segment_reader.h"
#include "server/ledger/snapshot_file.h"

namespace tallygate::ledger {
namespace {

using Error = ChronicleError;
constexpr LinkKey kLastKey{UINT64_MAX, UINT64_MAX};

std::uint64_t size_of(File& file) {
  const auto size = file.size();
  return size ? *size : 0;
}

// -- the journal --------------------------------------------------------------------------------

// A record that was read and waits for its link's turn.
struct HeldRecord {
  LinkKey key;
  std::uint64_t seq = 0;
  const char* bytes = nullptr;
  std::uint32_t length = 0;
};

// For messages: where the records of a batch stand.
struct BatchMark {
  std::uint64_t first_seq = 0;
  std::uint64_t segment = 0;
  std::uint64_t offset = 0;
};

// Bytes that stay where they are.
class Arena {
 public:
  const char* keep(std::string_view bytes) {
    if (chunks_.empty() || used_ + bytes.size() > kChunkBytes) {
      chunks_.push_back(
          std::make_unique_for_overwrite<char[]>(std::max(kChunkBytes, bytes.size())));
      used_ = 0;
    }
    char* place = chunks_.back().get() + used_;
    bytes.copy(place, bytes.size());
    used_ += bytes.size();
    return place;
  }
  void clear() { chunks_.clear(); }

 private:
  static constexpr std::size_t kChunkBytes = 1 << 20;
  std::vector<std::unique_ptr<char[]>> chunks_;
  std::size_t used_ = 0;
};

// A half-open range of keys; the last one is closed.
struct KeyRange {
  LinkKey first;
  LinkKey last;
  bool is_last = false;
  [[nodiscard]] bool holds(const LinkKey& key) const {
    return first <= key && (key < last || is_last);
  }
};

KeyRange key_range(std::size_t index, std::size_t count) {
  const auto border = [&](std::size_t i) {
    return LinkKey{static_cast<std::uint64_t>((Uint128{i} << 64) / count), 0};
  };
  if (index + 1 == count) return {border(index), kLastKey, true};
  return {border(index), border(index + 1), false};
}

class Reading {
 public:
  Reading(Directory& directory, const ChronicleOptions& options, const VisitLink& visit)
      : directory_(directory), options_(options), visit_(visit) {}

  Result<Chronicle, Error> run();

 private:
  [[nodiscard]] std::string read_segments(const KeyRange& keep, bool first_pass);
  [[nodiscard]] std::string read_segment(SegmentReader& reader, std::uint64_t number,
                                         const KeyRange& keep, bool first_pass);
  [[nodiscard]] std::string hold_records(const SegmentReader& reader, std::uint64_t first_seq,
                                         const KeyRange& keep);
  [[nodiscard]] std::string enter(const SegmentReader& reader, std::uint64_t number,
                                  const std::string& name);
  [[nodiscard]] std::string where(std::uint64_t seq) const;
  void advance(std::uint64_t bytes);
  // A run that wrote nothing at all leaves no trace.
  [[nodiscard]] bool ends_a_run() const { return options_.new_run && out_.place.batches != 0; }

  friend class Merge;
  Directory& directory_;
  const ChronicleOptions& options_;
  const VisitLink& visit_;
  LedgerFiles files_;
  Chronicle out_;
  JournalPlace begin_;
  std::vector<std::uint64_t> crashes_;  // numbers at which runs ended
  std::vector<BatchMark> marks_;
  Arena arena_;
  std::vector<HeldRecord> held_;
  std::uint64_t bytes_total_ = 0;
  std::atomic<std::uint64_t> bytes_done_{0};
  std::mutex progress_mutex_;
};

// -- one range of keys: snapshot and records, link by link --------------------------------------

class Merge {
 public:
  Merge(Reading& reading, const KeyRange& range, std::span<const HeldRecord> records)
      : reading_(reading), range_(range), records_(records) {}

  void run();

  std::string error;
  std::uint64_t damaged_snapshot = 0;
  std::uint64_t links = 0;
  std::uint64_t in_flight = 0;
  std::vector<Event> events;

 private:
  // The next link of the snapshot in the range, or nullopt.
  [[nodiscard]] std::optional<StoredLink> next_stored();
  void replay(const std::optional<StoredLink>& stored, std::span<const HeldRecord> records);
  // Crashes up to record `seq`.
  void crash_before(std::uint64_t seq);
  void take_events(Entries& entries, std::uint64_t seq);
  void visit(const StoredLink& link) {
    ++links;
    reading_.visit_(link);
  }
  void image_failed(std::string_view link_id) {
    snapshot_failed(reading_.files_.snapshot->at(
        block_, fmt::format("has an image of link {} that makes no sense", link_id)));
  }
  void snapshot_failed(std::string text) {
    error = std::move(text);
    damaged_snapshot = reading_.out_.snapshot;
  }

  Reading& reading_;
  const KeyRange range_;
  const std::span<const HeldRecord> records_;
  std::string space_;
  std::size_t block_ = 0;
  std::optional<LinkBlockReader> reader_;
  std::optional<LinkKey> last_key_;
  std::optional<Account> account_;
  std::size_t crash_ = 0;
  std::string image_;
};

std::optional<StoredLink> Merge::next_stored() {
  if (!reading_.files_.snapshot) return std::nullopt;
  const SnapshotFile& snapshot = *reading_.files_.snapshot;
  for (;;) {
    if (!reader_) {
      if (block_ >= snapshot.blocks()) return std::nullopt;
      if (!range_.is_last && snapshot.first(block_) >= range_.last) return std::nullopt;
      const auto block = snapshot.read(block_, space_);
      if (!block) {
        snapshot_failed(block.error());
        return std::nullopt;
      }
      reading_.advance(block->bytes);
      reader_.emplace(block->payload, block->links);
    }
    while (const auto link = reader_->next()) {
      if (last_key_ && link->key <= *last_key_) {
        snapshot_failed(snapshot.at(block_, "is not in the order of its keys"));
        return std::nullopt;
      }
      last_key_ = link->key;
      if (link->key < range_.first) continue;
      if (!range_.holds(link->key)) {
        block_ = snapshot.blocks();
        reader_.reset();
        return std::nullopt;
      }
      return link;
    }
    if (!reader_->ok()) {
      snapshot_failed(snapshot.at(block_, "makes no sense"));
      return std::nullopt;
    }
    reader_.reset();
    ++block_;
  }
}

void Merge::run() {
  if (reading_.files_.snapshot) {
    const std::size_t block = reading_.files_.snapshot->block_of(range_.first);
    block_ = block == reading_.files_.snapshot->blocks() ? 0 : block;
  }
  auto stored = next_stored();
  std::size_t at = 0;
  const std::atomic<bool>* cancel = reading_.options_.cancel;
  while (error.empty() && (stored || at < records_.size())) {
    if (cancel != nullptr && *cancel) {
      error = "given up";
      return;
    }
    const bool has_records = at < records_.size() && (!stored || records_[at].key <= stored->key);
    std::size_t end = at;
    if (has_records) {
      while (end < records_.size() && records_[end].key == records_[at].key) ++end;
    }
    const bool same = stored && (!has_records || stored->key == records_[at].key);
    const auto records = records_.subspan(at, end - at);
    if (!has_records && !reading_.options_.verify_images) {
      const auto terms = image_terms(stored->image);
      if (!terms) {
        image_failed(stored->id);
      } else if (terms->in_flight) {
        replay(stored, {});
      } else {
        visit(*stored);
      }
    } else {
      replay(same ? stored : std::nullopt, records);
    }
    at = end;
    if (same && error.empty()) stored = next_stored();
  }
}

void Merge::take_events(Entries& entries, std::uint64_t seq) {
  if (reading_.options_.cursor && seq > *reading_.options_.cursor) {
    for (Event& event : entries.events) {
      event.seq = seq;
      events.push_back(std::move(event));
    }
  }
  entries.clear();
}

void Merge::crash_before(std::uint64_t seq) {
  const auto& crashes = reading_.crashes_;
  for (; crash_ < crashes.size() && crashes[crash_] < seq; ++crash_) {
    if (account_->in_flight() == 0) continue;
    const bool last = reading_.ends_a_run() && crash_ + 1 == crashes.size();
    if (last) in_flight += account_->in_flight();
    Entries entries;
    static_cast<void>(account_->replay(Crashed{}, entries));
    take_events(entries, crashes[crash_]);
  }
}

void Merge::replay(const std::optional<StoredLink>& stored, std::span<const HeldRecord> records) {
  StoredLink link;
  if (stored) {
    link = *stored;
  } else {
    link.key = records.front().key;
    link.id = peek_record({records.front().bytes, records.front().length})->link_id;
  }
  account_.emplace(reading_.options_.waste_permille, link.id);
  crash_ = 0;
  if (stored && !account_->read_image(stored->image)) {
    return image_failed(link.id);
  }
  Entries entries;
  entries.wants_events = reading_.options_.cursor.has_value();
  std::string parent_id(link.parent_id);
  std::string path(link.path);
  for (const HeldRecord& held : records) {
    std::string_view bytes(held.bytes, held.length);
    const auto record = take_record(bytes);
    if (!record || !bytes.empty()) {
      error = fmt::format("{}: record {}, of link {}, is unreadable", reading_.where(held.seq),
                          held.seq, link.id);
      return;
    }
    crash_before(held.seq);
    if (!account_->replay(record->what, entries)) {
      error = fmt::format("{}: record {}, of link {}, contradicts those before it",
                          reading_.where(held.seq), held.seq, link.id);
      return;
    }
    take_events(entries, held.seq);
    if (const auto* used = std::get_if<Used>(&record->what)) {
      parent_id = used->parent_id;
      path = used->path;
    } else if (std::holds_alternative<Forgotten>(record->what)) {
      account_.emplace(reading_.options_.waste_permille, link.id);
      parent_id.clear();
      path.clear();
    }
  }
  crash_before(UINT64_MAX);
  if (!reading_.options_.new_run) in_flight += account_->in_flight();
  if (account_->is_blank()) return;
  image_.clear();
  account_->write_image(image_);
  link.parent_id = parent_id;
  link.path = path;
  link.image = image_;
  visit(link);
}

// -- Reading ------------------------------------------------------------------------------------

void Reading::advance(std::uint64_t bytes) {
  const std::uint64_t done = bytes_done_ += bytes;
  if (!options_.progress) return;
  const std::lock_guard lock(progress_mutex_);
  options_.progress(std::min(done, bytes_total_), bytes_total_);
}

std::string Reading::where(std::uint64_t seq) const {
  const auto behind =
      std::upper_bound(marks_.begin(), marks_.end(), seq,
                       [](std::uint64_t s, const BatchMark& mark) { return s < mark.first_seq; });
  if (behind == marks_.begin()) return "the journal";
  const BatchMark& mark = *std::prev(behind);
  return fmt::format("{} at byte {}", segment_name(mark.segment), mark.offset);
}

std::string Reading::hold_records(const SegmentReader& reader, std::uint64_t first_seq,
                                  const KeyRange& keep) {
  std::string_view payload = reader.payload();
  std::uint64_t seq = first_seq;
  for (std::uint32_t i = 0; i < reader.head().records; ++i, ++seq) {
    const auto head = peek_record(payload);
    if (!head) return fmt::format("record {} is unreadable", seq);
    const LinkKey key = link_key(head->link_id);
    if (keep.holds(key)) {
      held_.push_back({key, seq, arena_.keep(payload.substr(0, head->bytes)),
                       static_cast<std::uint32_t>(head->bytes)});
    }
    payload.remove_prefix(head->bytes);
  }
  return payload.empty() ? std::string() : "bytes behind the last record of the batch";
}

// A segment is believed when its first batch is; then, if a run began there, what was in flight
// before it had been lost.
std::string Reading::enter(const SegmentReader& reader, std::uint64_t number,
                           const std::string& name) {
  const SegmentHead& head = reader.segment();
  if (head.number != number) {
    return fmt::format("{} is number {} by its head", name, head.number);
  }
  if (out_.place.ledger_id == 0) {
    out_.place.ledger_id = head.ledger_id;
    out_.place.chain = head.ledger_id;
    out_.place.run = head.run;
  }
  if (head.ledger_id != out_.place.ledger_id) {
    return fmt::format("{} belongs to another ledger", name);
  }
  out_.run_max = std::max(out_.run_max, head.run);
  return {};
}

std::string Reading::read_segment(SegmentReader& reader, std::uint64_t number, const KeyRange& keep,
                                  bool first_pass) {
  const std::string name = segment_name(number);
  JournalPlace place = out_.place;
  const bool run_begins = reader.segment().run > place.run;
  if (run_begins) {
    place.run = reader.segment().run;
    ++place.next_seq;  // the crash has a number of its own
  }
  for (bool any = false;; any = true) {
    const std::uint64_t first_seq = place.next_seq;
    switch (reader.next(place)) {
      case SegmentReader::Next::failed:
        return reader.error();
      case SegmentReader::Next::torn:
      case SegmentReader::Next::end:
        out_.torn_bytes = reader.torn_bytes();
        out_.torn_file = name;
        return {};
      case SegmentReader::Next::batch:
        break;
    }
    if (reader.segment().run < place.run) {
      return fmt::format("{} was written by run {}, and run {} had begun before", name,
                         reader.segment().run, place.run);
    }
    if (first_pass) {
      if (!any && run_begins) crashes_.push_back(first_seq - 1);
      marks_.push_back({first_seq, number, reader.offset()});
      out_.records += reader.head().records;
      out_.journal_bytes += batch_extent(reader.head().payload_bytes);
      out_.next_segment = number + 1;
    }
    out_.place = place;
    if (std::string wrong = hold_records(reader, first_seq, keep); !wrong.empty()) {
      return fmt::format("{} at byte {}: {}", name, reader.offset(), wrong);
    }
  }
}

std::string Reading::read_segments(const KeyRange& keep, bool first_pass) {
  out_.place = begin_;
  held_.clear();
  arena_.clear();
  std::unique_ptr<SegmentReader> before;
  for (OpenSegment& segment : files_.segments) {
    const std::string name = segment_name(segment.number);
    auto reader = std::make_unique<SegmentReader>(*segment.file, name);
    if (std::string wrong = reader->read_head(); !wrong.empty()) return wrong;
    if (std::string wrong = enter(*reader, segment.number, name); !wrong.empty()) return wrong;
    // One that was only made ahead of need. Once a segment has begun, the one before it is
    // complete, and a server beside us may have written more to it.
    if (first_pass) out_.segments.push_back({segment.number, kBlockBytes});
    if (!reader->has_begun()) continue;
    if (before) {
      if (std::string wrong = read_segment(*before, segment.number - 1, keep, first_pass);
          !wrong.empty()) {
        return wrong;
      }
      if (first_pass) out_.segments.rbegin()[1].bytes = before->offset();
    }
    const std::string ended =
        before ? fmt::format("; {} ends at byte {}", out_.torn_file, before->offset())
               : std::string();
    if (std::string wrong = read_segment(*reader, segment.number, keep, first_pass);
        !wrong.empty()) {
      return wrong + ended;
    }
    if (first_pass) out_.segments.back().bytes = reader->offset();
    before = std::move(reader);
    advance(size_of(*segment.file));
  }
  std::sort(held_.begin(), held_.end(), [](const HeldRecord& a, const HeldRecord& b) {
    return a.key != b.key ? a.key < b.key : a.seq < b.seq;
  });
  return {};
}

Result<Chronicle, Error> Reading::run() {
  auto opened = open_files(directory_, options_);
  if (!opened) return opened.error();
  files_ = std::move(*opened);
  if (files_.snapshot) {
    out_.snapshot = files_.snapshot->head().number;
    out_.snapshot_bytes = files_.snapshot->bytes();
    begin_ = files_.snapshot->head().place;
    out_.next_segment = out_.snapshot;
    out_.run_max = begin_.run;
  }
  // How many records there will be is known by the allocated length only; most of it may be empty.
  for (OpenSegment& segment : files_.segments) {
    if (options_.from_disk) {
      if (const error_code ec = segment.file->sync()) {
        return Error{segment_name(segment.number) + " cannot be synced: " + ec.message(), 0};
      }
      segment.file->drop_cache();
    }
    out_.segment_bytes += size_of(*segment.file);
  }
  const std::size_t threads = std::max(1u, options_.threads);
  const auto passes = static_cast<std::size_t>(1 + out_.segment_bytes / options_.records_bytes_max);
  bytes_total_ = out_.snapshot_bytes + out_.segment_bytes * passes;

  for (std::size_t pass = 0; pass < passes; ++pass) {
    const KeyRange all{key_range(pass, passes)};
    if (std::string wrong = read_segments(all, pass == 0); !wrong.empty()) {
      return Error{std::move(wrong), 0};
    }
    if (pass == 0 && ends_a_run()) crashes_.push_back(out_.place.next_seq);
    std::vector<std::unique_ptr<Merge>> merges;
    for (std::size_t i = 0; i < threads; ++i) {
      const KeyRange range = key_range(pass * threads + i, passes * threads);
      const auto by_key = [](const HeldRecord& r, const LinkKey& key) { return r.key < key; };
      const auto first = std::lower_bound(held_.begin(), held_.end(), range.first, by_key);
      const auto last =
          range.is_last ? held_.end() : std::lower_bound(first, held_.end(), range.last, by_key);
      merges.push_back(std::make_unique<Merge>(*this, range, std::span(first, last)));
    }
    std::vector<std::thread> others;
    for (std::size_t i = 1; i < threads; ++i) {
      others.emplace_back([merge = merges[i].get()] { merge->run(); });
    }
    merges.front()->run();
    for (std::thread& thread : others) thread.join();
    for (const auto& merge : merges) {
      if (!merge->error.empty()) return Error{merge->error, merge->damaged_snapshot};
      out_.links += merge->links;
      out_.in_flight += merge->in_flight;
      std::move(merge->events.begin(), merge->events.end(), std::back_inserter(out_.events));
    }
  }
  if (ends_a_run()) ++out_.place.next_seq;
  std::stable_sort(out_.events.begin(), out_.events.end(),
                   [](const Event& a, const Event& b) { return a.seq < b.seq; });
  return std::move(out_);
}

}  // namespace

Result<Chronicle, ChronicleError> read_chronicle(Directory& directory,
                                                 const ChronicleOptions& options,
                                                 const VisitLink& visit) {
  return Reading(directory, options, visit).run();
}

}  // namespace tallygate::ledger
