// The journal: one thread that writes what all workers hand it, in groups, each with one fdatasync.
//
// A batch forms while the one before it is being synced: no timer, so a lone change waits for
// nothing but the disk. A sync that failed once, or a write that failed for anything but want of
// space, ends the journal for good: what the file holds is unknown until a restart reads it back.
// A full disk endangers nothing that was acknowledged: the journal waits, and goes on by itself.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/ledger/record.h"
#include "core/ledger/segment_format.h"
#include "core/ledger/snapshot_format.h"
#include "server/ledger/files.h"
#include "server/ledger/waiting_room.h"
#include "server/metrics/journal_counters.h"
#include "server/net/clock.h"

namespace tallygate::ledger {

class Journal {
 public:
  // Called on the journal's thread with what became durable, in order.
  using Follower = std::function<void(std::vector<Event>)>;
  // Called on the journal's thread when the next segment is needed soon.
  using NeedSegment = std::function<void()>;
  // Takes what another process is to write. Called with a lock held, in order; must not block.
  using Successor = std::function<void(std::string_view records)>;

  // `segment` is fresh. `place` is where it begins. Each segment that was filled is followed by one
  // of twice its length, up to `segment_bytes_max`.
  Journal(Segment segment, JournalPlace place, std::uint64_t segment_bytes_max, const Clock& clock,
          Follower follower, NeedSegment need_segment);
  ~Journal();  // stop()
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // Runs the thread. Without it, turn() does the work: for tests that decide on every step.
  void start();
  // Writes what waits, as far as the disk takes it, and a mark of the orderly stop; ends the
  // thread.
  void stop();
  // Another process writes from now on, in the same run: what waits is written, the thread ends,
  // and what is appended later goes to `successor`. False: not all could be written.
  bool hand_over(Successor successor);
  // Writes one group. False: there is none, or no room for it.
  bool turn();

  // -- any thread; never waits for the disk
  // 0: the journal has failed. `entries` is emptied, and keeps its memory.
  // Without `kick_now` somebody has to kick() soon: a worker does so once it has done all that was
  // ready, so that one batch takes all of it.
  [[nodiscard]] Ticket append(Entries& entries, bool kick_now = true);
  // What was appended is to be written.
  void kick();
  // Everything up to this ticket is on disk, and the follower has been told.
  [[nodiscard]] Ticket durable() const { return durable_.load(); }
  // Behind all that was appended so far.
  [[nodiscard]] Ticket last() const;
  // For good.
  [[nodiscard]] bool has_failed() const { return failed_.load(); }
  // Nobody should be admitted who needs a lease: it has failed, waits for space, the disk has not
  // answered for a while, or too much waits for it already. Appending works all the same, since
  // what is appended then is bounded by what was admitted before.
  [[nodiscard]] bool is_unavailable() const;
  // How long the write at hand has been under way, or what waits has waited for the thread to take
  // it; 0: neither. Waiting for room is not counted.
  [[nodiscard]] std::chrono::nanoseconds busy_for() const;
  // Why; empty: it can be written.
  [[nodiscard]] std::string trouble() const;
  // Returns when everything appended so far is durable, the journal has failed, or `timeout` is
  // over.
  // False: it is not durable.
  bool flush(std::chrono::milliseconds timeout);

  // -- segments, made by somebody else ahead of need
  // What the next segment should be like; nullopt: it is here already.
  [[nodiscard]] std::optional<SegmentHead> wanted_segment() const;
  void give_segment(Segment segment);
  // Why it cannot be made just now; for the operator.
  void no_segment(std::string why);
  // Closes the current segment with the next batch, so that those before `returned` are complete.
  // Returns when that has happened; 0: it did not, within a few seconds.
  [[nodiscard]] std::uint64_t rotate();
  [[nodiscard]] std::uint64_t segment_number() const;
  // Bytes written in this run, padding included.
  [[nodiscard]] std::uint64_t bytes_written() const { return bytes_written_.load(); }
  // Bytes that were appended and whose writing has not begun. Any thread; a short lock.
  [[nodiscard]] std::size_t bytes_waiting() const;
  [[nodiscard]] const metrics::JournalCounters& counters() const { return counters_; }

  // A room that waits for this journal; its own thread.
  void enter(WaitingRoom& room);
  void leave(WaitingRoom& room);

 private:
  struct Group {
    std::string bytes;  // room for a batch's head, then the records
    std::uint32_t records = 0;
    std::vector<Event> events;
  };
  enum class Written : std::uint8_t { done, no_room, failed };
  void run();
  void end_thread();
  [[nodiscard]] Written write(Group& group, bool end);
  [[nodiscard]] error_code sync();
  [[nodiscard]] bool take_next_segment(bool filled);
  [[nodiscard]] bool turn_page();
  void fail(const error_code& ec);
  void wake_rooms();

  const std::uint64_t segment_bytes_max_;
  const Clock& clock_;
  const Follower follower_;
  const NeedSegment need_segment_;

  // The journal's thread only.
  Segment segment_;
  JournalPlace place_;
  std::uint64_t offset_ = kBlockBytes;
  std::optional<Group> stuck_;  // waits for room
  bool lacks_segment_ = false;  // of a group that waits: for the next segment, else for space
  metrics::JournalCounters counters_;  // any thread reads them

  std::atomic<Ticket> durable_;
  std::atomic<bool> failed_{false};
  std::atomic<bool> crowded_{false};
  std::atomic<bool> no_room_{false};
  std::atomic<bool> refusing_{false};           // no room, and nobody knows for how long
  std::atomic<std::int64_t> busy_since_{0};     // steady nanoseconds; 0: nothing is being written
  std::atomic<std::int64_t> untaken_since_{0};  // likewise; 0: nothing waits to be taken
  std::atomic<std::uint64_t> bytes_written_{0};

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::condition_variable progress_;
  std::deque<Group> pending_;  // in the order of their writing
  std::vector<Group> empty_;   // their memory is used again
  std::size_t pending_bytes_ = 0;
  std::uint64_t next_seq_;
  std::optional<Segment> next_segment_;
  std::uint64_t next_length_ = 0;
  std::uint64_t segment_number_;
  std::size_t group_bytes_max_;
  bool cannot_make_segment_ = false;
  bool rotate_ = false;
  bool stopping_ = false;
  Successor successor_;  // empty: this is the one that writes
  std::string trouble_;

  std::mutex rooms_mutex_;
  std::vector<WaitingRoom*> rooms_;

  bool has_thread_ = false;
  std::thread thread_;
};

}  // namespace tallygate::ledger
