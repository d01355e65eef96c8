// The journal: one thread that writes what all workers hand it, in groups, each with one fdatasync.
//
// A batch forms while the one before it is being synced: no timer, so a lone change waits for
// nothing but the disk. A write or sync that failed once ends the journal for good: what it held is
// unknown until a restart reads it back.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/ledger/journal_format.h"
#include "core/ledger/record.h"
#include "server/ledger/storage.h"
#include "server/net/clock.h"

namespace tallygate::ledger {

// Where a journal file ends and its next batch begins.
struct JournalEnd {
  FileHead head;
  std::uint64_t offset = 0;
  std::uint64_t batches = 0;
  std::uint64_t chain = 0;
  std::uint64_t next_seq = 0;
};

class Journal {
 public:
  // Called on the journal's thread: true, durable; false, not, and nothing will be any more.
  using Done = std::function<void(bool)>;
  // Called on the journal's thread with what became durable, in order.
  using Follower = std::function<void(std::vector<Event>)>;

  Journal(std::unique_ptr<File> file, JournalEnd end, const Clock& clock, Follower follower);
  ~Journal();  // writes what waits, then ends the thread
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // Any thread; never waits for the disk. False: the journal has failed, and `done`, which may be
  // empty, is not called.
  [[nodiscard]] bool append(Entries entries, Done done);
  // So much waits for the disk that nobody should be admitted. Appending works all the same, since
  // what is appended then is bounded by what was admitted before.
  [[nodiscard]] bool crowded() const;
  // Why the journal cannot be written; empty: it can.
  [[nodiscard]] std::string failure() const;
  // Returns when everything appended so far is durable or the journal has failed.
  void flush();

 private:
  struct Pending {
    std::string payload;
    std::uint32_t records = 0;
    std::vector<Event> events;
    std::vector<Done> waiters;
  };
  void run();
  Pending& open_group();
  [[nodiscard]] error_code write(const Pending& batch);

  const Clock& clock_;
  const Follower follower_;

  // The journal's thread only.
  std::unique_ptr<File> file_;
  JournalEnd end_;

  // Guarded by mutex_.
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::deque<Pending> pending_;  // groups in the order of their writing
  std::size_t pending_bytes_ = 0;
  std::uint64_t next_seq_;
  std::uint64_t written_seq_;  // records before it are durable, or lost to a failure
  bool stopping_ = false;
  std::string failure_;

  std::thread thread_;
};

}  // namespace tallygate::ledger
