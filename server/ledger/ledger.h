// The ledger: all meters of all links, sharded by link, durable through one journal.
//
// A worker asks four things: may these bytes be delivered (admit), may the next ones leave (lease),
// these were acknowledged (settle), this is over (close). Asking is asynchronous, because a fleet's
// ledger will answer over a network; deciding takes one short lock of the link's shard.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/ledger/account.h"
#include "server/ledger/journal.h"
#include "server/ledger/keeper.h"
#include "server/ledger/links.h"
#include "server/ledger/waiting_room.h"
#include "server/net/executor.h"

namespace tallygate::ledger {

// How long a download waits for the disk before it is told to come back (503).
inline constexpr std::chrono::seconds kDurableTimeout{5};

class Ledger;

// A range of a transfer in flight, as its worker holds it.
struct FlightRef {
  LinkKey link;
  std::uint32_t flight = 0;
};

struct Admission {
  LinkKey link;
  std::uint32_t first_flight = 0;  // one for each range, consecutive
  std::uint64_t upto = 0;          // bytes of the first range before it may leave
};

// A lease that was asked for and may not be durable yet. Belongs to one worker's thread.
class PendingLease {
 public:
  enum class Outcome : std::uint8_t { granted, refused, unavailable };
  // Waits until the lease is on disk, at most kDurableTimeout. May be called again.
  [[nodiscard]] Task<Outcome> outcome();

 private:
  friend class Ledger;
  explicit PendingLease(Outcome decided) : decided_(decided) {}
  PendingLease(Journal& journal, WaitingRoom& room, Ticket ticket)
      : journal_(&journal), room_(&room), ticket_(ticket) {}

  std::optional<Outcome> decided_;
  Journal* journal_ = nullptr;
  WaitingRoom* room_ = nullptr;
  Ticket ticket_ = 0;
};

// An admission that was decided and may not be durable yet. Belongs to one worker's thread; whoever
// asked must wait for the outcome, or take it at once where it is settled.
class PendingAdmission {
 public:
  PendingAdmission(PendingAdmission&& other) noexcept;
  ~PendingAdmission();  // what nobody waited for is taken back
  PendingAdmission& operator=(PendingAdmission&& other) noexcept;

  // The outcome holds now: a refusal, or an unlimited link.
  [[nodiscard]] bool is_settled() const { return ledger_ == nullptr; }
  [[nodiscard]] const Result<Admission, Refusal>& settled() const { return decided_; }
  // Waits until the first lease is on disk, at most kDurableTimeout. Once.
  [[nodiscard]] Task<Result<Admission, Refusal>> outcome();

 private:
  friend class Ledger;
  explicit PendingAdmission(Result<Admission, Refusal> decided) : decided_(std::move(decided)) {}
  void take_back(Ledger& ledger, WaitingRoom* room) noexcept;

  Result<Admission, Refusal> decided_;
  Ledger* ledger_ = nullptr;  // null: nothing is to be waited for
  WaitingRoom* room_ = nullptr;
  Ticket ticket_ = 0;
  std::uint32_t ranges_ = 0;
};

// What is known of a link before it is admitted.
struct Look {
  bool known = false;            // the link, and its folder's row if it has one, were seen before
  bool row_known = false;        // it has, or had, a row in the shop's table
  shop::Word word;               // in force: own row combined with the folder's
  bool unfinished_copy = false;  // some of its bytes were delivered that make no whole copy yet
};

// Where memory runs out in the midst of a change, half of it would be left: what is noexcept here
// ends the process then, and the journal has all that was promised.
class Ledger {
 public:
  struct Options {
    std::uint32_t waste_permille = 2000;
    std::chrono::seconds keep_expired{90 * 86400};
    // Number of the last event that the follower has on its disk. Any thread.
    std::function<std::uint64_t()> follower_cursor;
    // Segments of the journal: the first one, and up to which size they grow.
    std::uint64_t segment_bytes_min = std::uint64_t{4} << 20;
    std::uint64_t segment_bytes_max = std::uint64_t{64} << 20;
    // A snapshot is due when the journal has grown by half of the last one, within these bounds.
    std::uint64_t snapshot_after_min = std::uint64_t{64} << 20;
    std::uint64_t snapshot_after_max = std::uint64_t{512} << 20;
    unsigned recovery_threads = 0;  // 0: one for each core, at most 4
    // False: no threads of its own; turn() does their work.
    bool background = true;
    // The process before handed the ledger over: its run goes on, with its transfers in flight.
    bool continues = false;
  };
  // Locks the directory, recovers, hands the follower what it has not seen, begins a new segment.
  // The error is for a person. `follower` is called here, and what it was given must be on its disk
  // when it returns; later it is called on the journal's thread. It may be empty. `note` gets a
  // line for the operator where something was unusual.
  [[nodiscard]] static Result<std::unique_ptr<Ledger>, std::string> open(
      std::unique_ptr<Directory> directory, const Options& options, const Clock& clock,
      Journal::Follower follower, std::function<void(const std::string&)> note);
  ~Ledger();
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  // -- a download; from any worker, with its waiting room (kDurableTimeout)
  // All ranges or none; the outcome comes when the first lease is durable (unlimited links: at
  // once). `request` is read during the call.
  [[nodiscard]] PendingAdmission ask(const AdmitRequest& request, WaitingRoom& room) noexcept;
  // HEAD: what `admit` would refuse, reserving nothing.
  [[nodiscard]] std::optional<Refusal> peek(const AdmitRequest& request) noexcept;
  // Asks for the bytes before `upto`; the answer comes through the returned object.
  [[nodiscard]] PendingLease lease(FlightRef flight, std::uint64_t upto,
                                   WaitingRoom& room) noexcept;
  // Both return the copies that this completed.
  // With a room nothing is written for this alone before the worker's next tick; else at once.
  std::uint32_t settle(FlightRef flight, std::uint64_t acked, WaitingRoom* room = nullptr) noexcept;
  std::uint32_t close(FlightRef flight, std::uint64_t acked, std::uint64_t left, bool completed,
                      WaitingRoom* room = nullptr) noexcept;
  // For the history. Without a follower nobody wants it.
  void ended(std::string_view link_id, TransferEnded transfer,
             WaitingRoom* room = nullptr) noexcept;
  [[nodiscard]] bool has_follower() const { return has_follower_; }

  // -- the shop and the operator; any thread
  [[nodiscard]] Look look(std::string_view link_id, std::string_view parent_id) const;
  // What the row of `link_id` says. A link that is not known yet is remembered when `create`.
  void hear(std::string_view link_id, const shop::Word& word, bool create) noexcept;
  void row_acknowledged(std::string_view link_id) noexcept;
  // True: that revokes it.
  bool row_gone(std::string_view link_id) noexcept;
  // What was in doubt of it did arrive, elsewhere, as the shop says.
  void resolve_doubt(std::string_view link_id) noexcept;
  [[nodiscard]] bool knows(std::string_view link_id) const;
  // Of a link that rests, parent and path are on disk only: find_use() has them.
  [[nodiscard]] std::optional<AccountView> view(std::string_view link_id) const;
  // Reads the files, for people's questions: not for a worker.
  [[nodiscard]] std::optional<Used> find_use(std::string_view link_id) const;
  [[nodiscard]] std::size_t links() const { return links_.size(); }
  [[nodiscard]] std::size_t memory_bytes() const { return links_.memory_bytes(); }

  // For its figures.
  [[nodiscard]] const Journal& journal() const { return *journal_; }
  // Why limited links cannot be served; empty: they can.
  [[nodiscard]] std::string failure() const { return journal_->trouble(); }
  // How long the disk has not answered the journal; 0: nothing is asked of it. Any thread.
  [[nodiscard]] std::chrono::nanoseconds journal_busy_for() const { return journal_->busy_for(); }
  // What an operator should see to, while all are served still; empty: nothing.
  [[nodiscard]] std::string warning() const { return keeper_->trouble(); }
  // Other settings, after a reload. What waste is allowed a link hears of when no transfer of it is
  // in flight.
  void use(std::uint32_t waste_permille, std::chrono::seconds keep_expired);
  // Waits until what was recorded so far is durable. False: it is not.
  bool flush();

  // -- from one process to the next; any thread
  // This one's part. All that is in flight is leased to its end and made durable; then nothing is
  // written here any more, and what the transfers still tell goes to `successor`, in order (see
  // Journal::Successor). Nobody is admitted any more who needs a lease. The other process may read
  // the files when this returns. False: not all is durable, and what is not was not promised.
  bool hand_over(Journal::Successor successor);
  // Locked; what the other process needs besides. Good until let_go().
  [[nodiscard]] int directory() const { return directory_->descriptor(); }
  // The other process has it: the lock lasts as long as that one lives.
  void let_go() { directory_.reset(); }
  // Whether the files have anything of this run: if not, there is none to be continued.
  [[nodiscard]] bool has_begun_run() const {
    return options_.continues || journal_->bytes_written() != 0;
  }
  // The next one's, which `continues`. Of transfers that it did not begin itself: what the process
  // before tells of them. False: these are not its records, and they are not taken.
  [[nodiscard]] bool take(std::string_view records);
  // And nothing more will come: those still in flight are in doubt. Returns how many.
  std::size_t lose_inherited();

  // -- for tests, benches, and what runs without threads
  // ask(), and its outcome waited for.
  [[nodiscard]] Task<Result<Admission, Refusal>> admit(AdmitRequest request, WaitingRoom& room);
  bool turn();  // false: the journal has nothing to do, or cannot
  [[nodiscard]] std::string take_snapshot() { return keeper_->take_snapshot(); }

 private:
  friend class PendingAdmission;
  Ledger(std::unique_ptr<Directory> directory, const Options& options, bool has_follower);
  [[nodiscard]] std::optional<Spoken> spoken(std::string_view link_id) const;
  [[nodiscard]] bool forget(const StoredLink& link);
  void inherit(const StoredLink& link);
  // Entries that are empty, with memory from before.
  [[nodiscard]] Entries& scratch() const;
  template <class F>
  auto change(FlightRef flight, WaitingRoom* room, F&& f);
  // Whether somebody waits until it is on disk.
  enum class Urgency : std::uint8_t { awaited, rides_along };
  Ticket record(Entries& entries, WaitingRoom* room, Urgency urgency);
  template <class F>
  bool change_known(std::string_view link_id, F&& f);

  const Options options_;
  const bool has_follower_;
  std::unique_ptr<Directory> directory_;  // holds the lock
  mutable Links links_;                   // looking wakes a link for a moment
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<Keeper> keeper_;  // last: its thread ends first
  std::atomic<bool> handing_over_{false};

  struct Inherited {
    std::string link_id;
    std::vector<std::uint32_t> flights;
  };
  std::mutex inherited_mutex_;  // guards what follows
  std::vector<Inherited> inherited_;
};

}  // namespace tallygate::ledger
