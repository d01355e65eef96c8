// Looks after the ledger's files while it serves: makes the journal's next segment ahead of need,
// takes snapshots, and removes what they replace. With a thread for each of the two, since a
// snapshot may take minutes, and the journal would run out of segments meanwhile.
//
// A snapshot is made of the files alone: the one before it, and the segments that are complete.
// Nobody who is served waits for it.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "core/ledger/clock_watch.h"
#include "core/ledger/snapshot_format.h"
#include "server/ledger/journal.h"
#include "server/ledger/storage.h"
#include "server/net/clock.h"

namespace tallygate::ledger {

class Keeper {
 public:
  struct Options {
    std::uint32_t waste_permille = 2000;
    // On a disk with little space left a segment may be as short as this.
    std::uint64_t segment_bytes_min = std::uint64_t{4} << 20;
    std::chrono::seconds keep_expired{90 * 86400};
    // A snapshot is due when the journal has grown by half of the last one, within these bounds.
    std::uint64_t snapshot_after_min = std::uint64_t{64} << 20;
    std::uint64_t snapshot_after_max = std::uint64_t{512} << 20;
    // Number of the last event that the follower has on its disk: what it lacks is kept. Empty:
    // nobody follows.
    std::function<std::uint64_t()> follower_cursor;
  };
  // The link expired long ago. True: it is forgotten; false: it is in use, or not expired any more.
  using Forget = std::function<bool(const StoredLink&)>;
  using Note = std::function<void(const std::string&)>;

  // What recovery found.
  struct Found {
    std::uint64_t snapshot_bytes = 0;
    std::uint64_t segment_bytes = 0;  // since that snapshot, allocated: many short runs add up too
    ClockWatch clock;
  };
  // All but the options are borrowed for life.
  Keeper(Directory& directory, Journal& journal, const Clock& clock, Options options,
         const Found& found, Forget forget, Note note);
  ~Keeper();  // stop()
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  // Runs the threads. Without them, turn() does the work.
  void start();
  // Ends the threads. What the journal still has to write gets its segments all the same.
  void stop();
  // Does what is due. Only without threads.
  void turn();
  // Takes a snapshot now, behind one that is being taken. Empty: done; else why not. Any thread.
  [[nodiscard]] std::string take_snapshot();

  // Any thread. Other values than the options had, from the next snapshot on.
  void use(std::uint32_t waste_permille, std::chrono::seconds keep_expired);
  void wake();
  // What an operator should know and no request suffers from yet; empty: nothing.
  [[nodiscard]] std::string trouble() const;

 private:
  void look_after_segments();
  void look_after_snapshots();
  void take_snapshot_if_due();
  [[nodiscard]] std::string take_snapshot_locked();
  void watch_the_clock();
  void make_segment_if_wanted();
  [[nodiscard]] bool snapshot_is_due() const;
  [[nodiscard]] std::string write_snapshot(std::uint64_t number);
  [[nodiscard]] std::string read_back(std::uint64_t number);
  void remove_outdated();
  [[nodiscard]] bool outlived(const StoredLink& link, std::int64_t unix_now) const;
  void set_trouble(std::string& which, std::string text);

  Directory& directory_;
  Journal& journal_;
  const Clock& clock_;
  const Options options_;
  std::atomic<std::uint32_t> waste_permille_;
  std::atomic<std::chrono::seconds> keep_expired_;
  const Forget forget_;
  const Note note_;

  std::mutex snapshot_mutex_;  // one snapshot is taken at a time; guards what follows
  ClockWatch watch_;
  std::chrono::steady_clock::time_point watched_at_;
  std::uint64_t snapshot_bytes_;
  std::uint64_t good_snapshot_ = 0;     // of which the newest was made; 0: of the journal alone
  std::uint64_t journal_bytes_before_;  // of earlier runs, since the snapshot
  std::uint64_t written_at_snapshot_ = 0;
  std::chrono::steady_clock::time_point retry_snapshot_at_{};

  std::atomic<bool> stopping_{false};
  std::atomic<bool> ended_{false};
  std::mutex making_mutex_;  // one segment is made at a time

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  bool woken_ = false;
  std::string segment_trouble_;
  std::string snapshot_trouble_;

  std::mutex note_mutex_;

  std::thread segments_thread_;
  std::thread snapshots_thread_;
};

}  // namespace tallygate::ledger
