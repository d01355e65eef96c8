// The ledger: all meters of all links, sharded by link, durable through one journal.
//
// A worker asks four things: may these bytes be delivered (admit), may the next ones leave (lease),
// these were acknowledged (settle), this is over (close). Asking is asynchronous, because a fleet's
// ledger will answer over a network; deciding takes one short lock of the link's shard.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/ledger/account.h"
#include "server/ledger/journal.h"
#include "server/ledger/recovery.h"
#include "server/net/executor.h"

namespace tallygate::ledger {

// How long a download waits for the disk before it is told to come back (503).
inline constexpr std::chrono::seconds kDurableTimeout{5};

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
  struct State {
    explicit State(const Executor& executor) : timer(executor) {}
    Timer timer;
    std::optional<Outcome> outcome;
  };
  explicit PendingLease(std::shared_ptr<State> state) : state_(std::move(state)) {}
  static PendingLease waiting(const Executor& executor, Journal::Done& done);
  static PendingLease decided(const Executor& executor, Outcome outcome);
  std::shared_ptr<State> state_;
};

// What is known of a link before it is admitted.
struct Look {
  bool known = false;            // the link, and its folder's row if it has one, were seen before
  bool row_known = false;        // it has, or had, a row in the shop's table
  shop::Word word;               // in force: own row combined with the folder's
  bool unfinished_copy = false;  // some of its bytes were delivered that make no whole copy yet
};

class Ledger {
 public:
  struct Options {
    std::uint32_t waste_permille = 2000;
    std::chrono::seconds keep_expired{90 * 86400};
    std::uint64_t follower_cursor = 0;  // number of the last event that the follower has taken
  };
  // Locks the directory, recovers, hands the follower what it has not seen, writes a fresh file.
  // The error is for a person. `follower` is called here, and what it was given must be on its disk
  // when it returns; later it is called on the journal's thread. It may be empty. `note` gets a
  // line for the operator where something was unusual.
  [[nodiscard]] static Result<std::unique_ptr<Ledger>, std::string> open(
      std::unique_ptr<Directory> directory, const Options& options, const Clock& clock,
      Journal::Follower follower, std::function<void(const std::string&)> note);
  ~Ledger();
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  // -- a download; from any worker, with its executor
  // All ranges or none; returns when the first lease is durable (unlimited links: at once).
  [[nodiscard]] Task<Result<Admission, Refusal>> admit(AdmitRequest request);
  // HEAD: what `admit` would refuse, reserving nothing.
  [[nodiscard]] std::optional<Refusal> peek(const AdmitRequest& request);
  // Asks for the bytes before `upto`; the answer comes through the returned object.
  [[nodiscard]] PendingLease lease(FlightRef flight, std::uint64_t upto, const Executor& executor);
  // Both return the copies that this completed.
  std::uint32_t settle(FlightRef flight, std::uint64_t acked);
  std::uint32_t close(FlightRef flight, std::uint64_t acked, std::uint64_t left, bool completed);
  void ended(LinkKey link, TransferEnded transfer);

  // -- the shop and the operator; any thread
  [[nodiscard]] Look look(std::string_view link_id, std::string_view parent_id) const;
  // What the row of `link_id` says. A link that is not known yet is remembered when `create`.
  void hear(std::string_view link_id, const shop::Word& word, bool create);
  void row_acknowledged(std::string_view link_id);
  // True: that revokes it.
  bool row_gone(std::string_view link_id);
  [[nodiscard]] bool knows(std::string_view link_id) const;
  [[nodiscard]] std::optional<AccountView> view(std::string_view link_id) const;
  // Every link's id and what it counts; for a shop that is new to this ledger.
  void each(const std::function<void(const AccountView&)>& visit) const;
  [[nodiscard]] std::size_t links() const;

  // Why limited links cannot be served; empty: they can.
  [[nodiscard]] std::string failure() const { return journal_->failure(); }
  void flush() { journal_->flush(); }

 private:
  struct Shard {
    mutable std::mutex mutex;
    Accounts accounts;
  };
  Ledger(std::unique_ptr<Directory> directory, const Options& options, Recovered recovered,
         FreshFile fresh, const Clock& clock, Journal::Follower follower);
  [[nodiscard]] Shard& shard(const LinkKey& key) { return shards_[key.high % shards_.size()]; }
  [[nodiscard]] const Shard& shard(const LinkKey& key) const {
    return shards_[key.high % shards_.size()];
  }
  [[nodiscard]] std::optional<Spoken> spoken(std::string_view link_id) const;
  template <class F>
  auto change(const LinkKey& key, F&& f);

  const Options options_;
  std::unique_ptr<Directory> directory_;  // holds the lock
  std::array<Shard, 64> shards_;
  std::unique_ptr<Journal> journal_;  // last: its thread ends first
};

}  // namespace tallygate::ledger
