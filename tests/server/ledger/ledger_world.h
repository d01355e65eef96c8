// The ledger and all who deal with it, in one thread: workers with customers, the merchant, the
// follower, and a disk that fails and loses power. What is done is decided by whoever derives.
//
// Each thing done is written down outside of the ledger (shadow.h), with a line for the history
// behind it: so the history that the follower has in the end says how much of a life a crash has
// left, and with that the shadow says what the ledger must be now, exactly.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "server/ledger/ledger.h"
#include "tests/server/ledger/shadow.h"
#include "tests/server/ledger/slow_follower.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_storage.h"

namespace tallygate::ledger {

struct LedgerTally {
  std::uint64_t crashes = 0;
  std::uint64_t starts = 0;
  std::uint64_t failed_starts = 0;
  std::uint64_t stops = 0;
  std::uint64_t faults = 0;
  std::uint64_t happened = 0;
  std::uint64_t lost = 0;  // of what happened, by crashes
  std::uint64_t granted = 0;
  std::uint64_t unavailable = 0;
  std::uint64_t snapshots = 0;
  std::uint64_t evicted = 0;
  std::uint64_t interleaved = 0;
};

class LedgerWorld {
 public:
  virtual ~LedgerWorld() { disk_.set_judge({}); }  // the one who judges is gone
  LedgerWorld(const LedgerWorld&) = delete;
  LedgerWorld& operator=(const LedgerWorld&) = delete;

 protected:
  static constexpr std::int64_t kDay = 86'400;
  static constexpr std::size_t kWorkers = 2;

  struct Worker {
    asio::io_context context{1};
    WaitingRoom room{context.get_executor(), kDurableTimeout};
  };
  struct Link {
    std::string id;
    Limit signed_limit;
    std::optional<std::int64_t> expires_at;
    std::array<std::uint64_t, 2> sizes{};  // of its versions
    std::size_t version = 0;
    std::uint64_t resume_at = 0;  // where the last transfer was cut off
    // What customers hold since the last reset, and the largest limit that was ever in force.
    std::map<std::size_t, std::vector<Span>> received;
    std::uint64_t received_bytes = 0;
    Limit limit_max = 0;
    std::uint32_t book = 0;  // counts resets
  };
  struct Transfer {
    std::size_t link = 0;
    std::size_t worker = 0;
    std::uint32_t flight = 0;  // the shadow's number
    FlightRef ref;
    std::size_t version = 0;
    std::uint64_t sent = 0;     // position
    std::uint64_t settled = 0;  // position
    std::uint64_t upto = 0;     // granted
    std::uint64_t last = 0;
    std::uint32_t book = 0;
    bool counted = false;
    bool asking = false;
  };

  LedgerWorld(std::uint64_t seed, LedgerTally& tally);

  // -- the disk: asked before each call
  virtual FakeDisk::Fault judge(DiskCall call, const std::string& name) = 0;

  // -- lives
  // Empty: it serves. Else why not.
  [[nodiscard]] std::string open();
  void crash(Crash how);
  // In order: what runs is cut off, settled and recorded. The machine stops as `how` says.
  void stop(Crash how);
  // Of a ledger that has just been opened: it is what the shadow says.
  void check_recovery();
  void check_link(std::size_t number);

  // -- what is done
  void add_link(Limit signed_limit, std::array<std::uint64_t, 2> sizes,
                std::optional<std::int64_t> expires_at = {});
  void ask(std::size_t link, const std::vector<Span>& ranges, std::uint64_t window,
           std::size_t worker);
  // Of a transfer, by its place in `transfers_`.
  void lease(std::size_t transfer, std::uint64_t upto);
  void send(std::size_t transfer, std::uint64_t bytes);
  void settle(std::size_t transfer, std::uint64_t bytes);
  // Of what was sent and not settled, `acked` bytes have arrived; the rest got lost on the line.
  void end(std::size_t transfer, std::uint64_t acked, bool completed);
  void hear(std::size_t link, const shop::Word& word);
  void acknowledge_row(std::size_t link);
  void lose_row(std::size_t link);
  void turn();
  void flush();
  void snapshot();
  void give_up(std::size_t worker);
  // What has been asked is answered, as far as it can be.
  void poll();
  // A line for the history: to be called after whatever is done, before the disk is written to.
  void note(std::size_t link, std::size_t agent_bytes = 0);
  void look_for_evicted();

  void wrong(const std::string& what) {
    if (wrong_.empty()) wrong_ = what;
  }
  [[nodiscard]] bool is_running() const { return wrong_.empty() && !disk_.failed(); }
  // With TALLYGATE_TRACE in the environment, each thing that happens is said.
  template <class... Args>
  void trace(fmt::format_string<Args...> format, Args&&... args) const {
    if (traces_) fmt::print(stderr, "{}\n", fmt::format(format, std::forward<Args>(args)...));
  }

  const bool traces_ = std::getenv("TALLYGATE_TRACE") != nullptr;
  std::mt19937_64 random_;
  LedgerTally& tally_;
  FakeDisk disk_;
  FakeClock clock_;
  SlowFollower follower_;
  std::array<Worker, kWorkers> workers_;
  Ledger::Options options_;
  std::unique_ptr<Ledger> ledger_;  // ends before what it borrows

  std::vector<Link> links_;
  std::vector<ShadowLink> live_;
  std::vector<Happened> happened_;  // in this life
  std::vector<Transfer> transfers_;
  bool faulted_ = false;    // the disk has failed in this process: whoever judges says so
  bool is_beside_ = false;  // the keeper is at work, and waits
  bool dead_ = false;
  std::size_t unwritten_bytes_ = 0;  // about
  std::int64_t true_time_ = 0;       // of a clock that nobody sets
  std::optional<std::int64_t> stepped_at_;
  std::string wrong_;

 private:
  // An answer that is waited for.
  struct Pending {
    std::vector<Transfer> transfers;
    std::size_t happened = 0;  // what must be durable when it is granted
    bool counted = false;
    std::uint64_t upto = 0;
    std::optional<PendingLease> lease;
    std::optional<Result<Admission, Refusal>> admission;
    std::optional<PendingLease::Outcome> outcome;
  };

  void check_books(std::size_t number, const AccountView& view);
  void check_told();
  void check_evicted(std::size_t number, const ShadowLink& link);
  void receive(const Transfer& transfer, std::uint64_t bytes);
  void take_answers();
  void answer(Pending& pending);
  void answer_admission(Pending& pending);
  void answer_lease(Pending& pending);
  template <class What>
  void happen(std::size_t link, What what) {
    if (traces_) trace("  {}: {}: {}", happened_.size() + 1, links_[link].id, to_text(what));
    live_[link].apply(what);
    happened_.push_back({link, std::move(what)});
    ++tally_.happened;
    is_noted_ = false;
  }
  void know_durable(std::size_t count, const char* why) {
    if (count > durable_) trace("  {} of {} are durable: {}", count, happened_.size(), why);
    durable_ = std::max(durable_, count);
  }

  std::vector<ShadowLink> base_;  // as this life began
  std::size_t durable_ = 0;       // of what happened: it is on the disk, as we were told
  bool is_noted_ = true;
  std::uint32_t next_flight_ = 1;
  std::vector<std::int64_t> notes_;  // that must reach the follower
  std::int64_t next_note_ = 1;
  std::vector<std::unique_ptr<Pending>> pending_;
  std::vector<Pending*> answered_;
  bool gave_up_ = false;
};

}  // namespace tallygate::ledger
