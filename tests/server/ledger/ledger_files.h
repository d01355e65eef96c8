// Ledgers as a server leaves them on a disk, for tests that damage them; and two ways to read them:
// the chronicle, and one that is too simple to be wrong.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/ledger/account.h"
#include "server/ledger/chronicle.h"
#include "server/ledger/files.h"
#include "tests/server/ledger/ledger_rig.h"
#include "tests/support/memory_directory.h"

namespace tallygate::ledger {

// -- what is read -------------------------------------------------------------------------------

struct ReadLink {
  std::string id;
  std::string parent_id;
  std::string path;
  std::string image;
  friend bool operator==(const ReadLink&, const ReadLink&) = default;
};
using ReadLinks = std::map<LinkKey, ReadLink>;

struct ReadLedger {
  std::string error;
  std::uint64_t damaged_snapshot = 0;
  Chronicle chronicle;
  ReadLinks links;
  [[nodiscard]] const std::vector<Event>& events() const { return chronicle.events; }
};

// How a start reads.
inline ChronicleOptions as_a_start(std::optional<std::uint64_t> cursor = 0) {
  ChronicleOptions options;
  options.from_disk = true;
  options.new_run = true;
  options.cursor = cursor;
  return options;
}

inline ReadLedger read_ledger(Directory& directory, const ChronicleOptions& options) {
  ReadLedger out;
  std::mutex mutex;
  auto read = read_chronicle(directory, options, [&](const StoredLink& link) {
    const std::lock_guard lock(mutex);
    const bool fresh =
        out.links
            .emplace(link.key, ReadLink{std::string(link.id), std::string(link.parent_id),
                                        std::string(link.path), std::string(link.image)})
            .second;
    if (!fresh) ADD_FAILURE() << link.id << " visited twice";
  });
  if (read) {
    out.chronicle = std::move(*read);
  } else {
    out.error = read.error().text;
    out.damaged_snapshot = read.error().snapshot;
  }
  return out;
}

// Passes over damaged snapshots as Ledger::open does. `error`: the first one, if nothing helped.
inline ReadLedger read_with_older(Directory& directory, ChronicleOptions options) {
  std::string first_error;
  for (;;) {
    ReadLedger out = read_ledger(directory, options);
    if (out.error.empty()) return out;
    if (first_error.empty()) first_error = out.error;
    if (out.damaged_snapshot == 0) {
      out.error = first_error;
      return out;
    }
    options.before_snapshot = out.damaged_snapshot;
  }
}

// -- the simple way: the journal from its first segment, record by record ------------------------

struct NaiveLedger {
  ReadLinks links;
  std::vector<Event> events;
  std::uint64_t next_seq = 1;
  std::uint64_t batches = 0;
};

struct NaiveBatch {
  std::uint64_t segment = 0;
  std::size_t offset = 0;
  std::size_t content_end = 0;  // of head and payload
  std::size_t end = 0;          // of the padding
  BatchHead head;
};

// Batches of a segment that is in order.
inline std::vector<NaiveBatch> batches_of(std::uint64_t number, std::string_view bytes) {
  std::vector<NaiveBatch> out;
  const auto head = parse_segment_head(bytes.substr(0, kBlockBytes));
  for (std::size_t at = kBlockBytes; head && at + kBatchHeadBytes <= bytes.size();) {
    const auto batch = parse_batch_head(bytes.substr(at));
    if (!batch) break;
    const std::size_t content_end = at + kBatchHeadBytes + batch->payload_bytes;
    if (content_end > bytes.size()) break;
    const auto payload = bytes.substr(at + kBatchHeadBytes, batch->payload_bytes);
    if (!batch_intact(*head, bytes.substr(at), *batch, payload)) break;
    const auto end = at + static_cast<std::size_t>(batch_extent(batch->payload_bytes));
    out.push_back({number, at, content_end, end, *batch});
    at = end;
  }
  return out;
}

struct NaiveOptions {
  std::uint64_t until_segment = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t batches_max = std::numeric_limits<std::uint64_t>::max();
  bool new_run = true;
};

// What a ledger with these files must be. All its segments from the first are there, snapshots are
// not looked at. The first batch that is not whole ends it.
inline NaiveLedger read_naively(const FileBytes& files, const NaiveOptions& options = {}) {
  struct Kept {
    std::unique_ptr<Account> account;
    ReadLink link;
  };
  std::map<LinkKey, Kept> kept;
  NaiveLedger out;
  Entries entries;
  const auto take_events = [&](std::uint64_t seq) {
    for (Event& event : entries.events) {
      event.seq = seq;
      out.events.push_back(std::move(event));
    }
    entries.clear();
  };
  const auto crash = [&] {
    for (auto& [key, k] : kept) {
      if (k.account->in_flight() == 0) continue;
      EXPECT_TRUE(k.account->replay(Crashed{}, entries));
      take_events(out.next_seq);
    }
    ++out.next_seq;
  };
  std::uint64_t run = 0;
  for (std::uint64_t number = 1; number < options.until_segment; ++number) {
    const auto file = files.find(segment_name(number));
    if (file == files.end()) break;
    const std::string_view bytes = file->second;
    const auto head = parse_segment_head(bytes.substr(0, kBlockBytes));
    EXPECT_TRUE(head);
    if (!head) break;
    for (const NaiveBatch& batch : batches_of(number, bytes)) {
      if (out.batches == options.batches_max) break;
      if (head->run > run && run != 0) crash();
      run = head->run;
      EXPECT_EQ(batch.head.number, ++out.batches);
      EXPECT_EQ(batch.head.first_seq, out.next_seq);
      std::string_view payload =
          bytes.substr(batch.offset + kBatchHeadBytes, batch.head.payload_bytes);
      for (std::uint32_t i = 0; i < batch.head.records; ++i) {
        const auto record = take_record(payload);
        EXPECT_TRUE(record);
        if (!record) return out;
        Kept& k = kept[link_key(record->link_id)];
        if (!k.account || std::holds_alternative<Forgotten>(record->what)) {
          k.account = std::make_unique<Account>(2000, record->link_id);
          k.link = {record->link_id, "", "", ""};
        }
        EXPECT_TRUE(k.account->replay(record->what, entries));
        take_events(out.next_seq++);
        if (const auto* used = std::get_if<Used>(&record->what)) {
          k.link.parent_id = used->parent_id;
          k.link.path = used->path;
        }
      }
    }
  }
  if (options.new_run && out.batches != 0) crash();
  for (auto& [key, k] : kept) {
    if (k.account->is_blank()) continue;
    k.account->write_image(k.link.image);
    out.links[key] = std::move(k.link);
  }
  return out;
}

inline std::vector<Event> events_behind(const std::vector<Event>& events, std::uint64_t cursor) {
  std::vector<Event> out;
  std::copy_if(events.begin(), events.end(), std::back_inserter(out),
               [&](const Event& event) { return event.seq > cursor; });
  return out;
}

// -- making them --------------------------------------------------------------------------------

// A server's life in front of a disk. Segments have room for a handful of batches.
class LedgerMaker {
 public:
  explicit LedgerMaker(std::size_t blocks_of_a_segment = 5) {
    rig.options.segment_bytes_min = rig.options.segment_bytes_max =
        blocks_of_a_segment * kBlockBytes;
  }
  void open() { ASSERT_EQ(rig.open(), ""); }
  // Everything recorded so far is in the journal, in one batch at most.
  void settle() {
    // The keeper makes a segment in one turn, and the journal takes it in the next.
    for (int i = 0; i < 3; ++i) {
      while (rig.ledger->turn()) {
      }
    }
  }
  void stop() {
    settle();
    rig.close();
    archive();
  }
  void crash() {
    settle();
    rig.crash(Crash::process, random_);
    archive();
  }
  void snapshot() {
    settle();
    archive();
    ASSERT_EQ(rig.ledger->take_snapshot(), "");
    archive();
  }
  void download(const std::string& id, Limit limit, std::uint64_t size, Span range) {
    Ask ask;
    ask.link_id = id;
    ask.limit = limit;
    ask.size = size;
    ask.range = range;
    ASSERT_TRUE(rig.download(ask)) << id;
    settle();
  }
  // Admitted, some of it settled; it goes on until somebody closes it.
  FlightRef begin(const std::string& id, std::uint64_t size, std::uint64_t window,
                  std::uint64_t settled) {
    Ask ask;
    ask.link_id = id;
    ask.limit = 3;
    ask.size = size;
    ask.window = window;
    const auto admitted = rig.admit(ask);
    EXPECT_TRUE(admitted) << id;
    const FlightRef flight{admitted->link, admitted->first_flight};
    if (settled != 0) rig.ledger->settle(flight, settled);
    settle();
    return flight;
  }

  // As the disk has them now.
  [[nodiscard]] FileBytes files() const {
    FileBytes files;
    for (const std::string& name : rig.disk.names()) files[name] = rig.disk.content(name);
    return files;
  }
  // With every segment that there ever was, as it was last.
  [[nodiscard]] const FileBytes& history() const { return history_; }

  LedgerRig rig;

 private:
  void archive() {
    for (auto& [name, bytes] : files()) history_[name] = std::move(bytes);
  }
  FileBytes history_;
  std::mt19937_64 random_{1};
};

// Segments without the empty rest that was allocated: there is less to read, and nothing missing.
inline FileBytes trimmed(FileBytes files) {
  for (auto& [name, bytes] : files) {
    if (!name.starts_with("journal-")) continue;
    const std::size_t content = bytes.find_last_not_of('\0') + 1;
    bytes.resize((content + kBlockBytes - 1) / kBlockBytes * kBlockBytes);
  }
  return files;
}

// Two runs, the first of which crashed with transfers in flight; segments of four batches, without
// snapshots or with two. The last run stopped in good order, or crashed too.
struct Story {
  bool snapshots = false;
  bool orderly = true;
};
inline void tell(LedgerMaker& maker, const Story& story) {
  maker.open();
  maker.download("a", 2, 1000, {0, 1000});
  maker.download("folder:0123456789abcdef", 1, 1000, {0, 400});
  maker.download("u", std::nullopt, 500, {0, 500});
  maker.rig.ledger->hear("a", {.max_copies = 5, .expires_at = 1'900'000'000}, true);
  if (story.snapshots) maker.snapshot();
  maker.begin("b", 4000, 3000, 1000);
  maker.begin("u", 500, 500, 0);
  TransferEnded ended;
  ended.file_size = 1000;
  ended.user_agent = "curl";
  maker.rig.ledger->ended("a", ended);
  maker.crash();
  maker.open();
  maker.download("a", 2, 1000, {200, 700});
  maker.download("c", 1, 0, {0, 0});
  if (story.snapshots) maker.snapshot();
  maker.download("b", 3, 4000, {100, 200});
  maker.rig.ledger->hear("a", {.max_copies = 5, .reset_gen = 1}, true);
  maker.settle();
  maker.begin("d", 1000, 600, 100);
  if (story.orderly) {
    maker.stop();
  } else {
    maker.crash();
  }
}

}  // namespace tallygate::ledger
