// Keeps the ledger and the shop's database in step, on one thread of its own.
//
// Order at start: construct with an outbox; let the ledger replay what comes after consumed_seq()
// into on_events(); then start(). All public members but start() and stop() may be called from any
// thread. While the database is away look-ups are answered `unavailable` at once and events go to
// the outbox on disk; when it is back, everything arrives once.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <variant>
#include <vector>

#include "core/ledger/event.h"
#include "server/net/clock.h"
#include "server/net/descriptor.h"
#include "server/shop/database.h"
#include "server/shop/exchange.h"
#include "server/shop/ledger_port.h"
#include "server/shop/outbox.h"

namespace tallygate::shop {

class Sync {
 public:
  // `clock` is borrowed for life.
  Sync(std::unique_ptr<Outbox> outbox, std::unique_ptr<Database> database, const Clock& clock,
       ExchangeOptions options);
  ~Sync();  // stop()
  Sync(const Sync&) = delete;
  Sync& operator=(const Sync&) = delete;

  // Number of the last event that is on disk here: the ledger must keep what comes after it.
  [[nodiscard]] std::uint64_t consumed_seq() const noexcept { return consumed_seq_; }

  // Events in the order of their numbers, each number whole in one call. Never blocks on the
  // database; before start() it writes them to the outbox at once.
  void on_events(std::vector<ledger::Event> events);

  // `ledger` is borrowed until stop().
  void start(LedgerPort& ledger);

  // Takes what was handed over, sends what the database takes within 2 s, answers what waits, and
  // ends the thread. Events that come later still go to the outbox. Idempotent.
  void stop();
  // The same without sending: another process goes on where the outbox ends.
  void hand_over();

  // Callbacks run on the shop's thread, after stop() on the caller's; they must not block or throw.
  // One that belongs to a worker posts to it.

  // The rows of `link_ids`, in this order.
  void look_up(std::vector<std::string> link_ids,
               std::function<void(std::vector<LookUp>)> callback);

  // An operator's change to a row. false: no such row. When `callback` runs, the ledger has it too.
  void edit(std::string link_id, Edit edit, std::function<void(Answer<bool>)> callback);

  // The newest `rows_max` downloads of a link that the shop's table has, newest first.
  void downloads_of(std::string link_id, std::size_t rows_max,
                    std::function<void(Answer<std::vector<HistoryRow>>)> callback);

  // Everything handed over before is pushed: true; or cannot be within 2 s: false.
  void flush(std::function<void(bool)> callback);

  [[nodiscard]] Status status() const;
  // The shop knows of copies that the ledger does not: no more of a limited link may be given.
  [[nodiscard]] bool is_overtaken() const noexcept { return overtaken_; }

 private:
  struct LookUpRequest {
    std::vector<std::string> link_ids;
    std::function<void(std::vector<LookUp>)> callback;
  };
  struct EditRequest {
    std::string link_id;
    Edit edit;
    std::function<void(Answer<bool>)> callback;
  };
  struct HistoryRequest {
    std::string link_id;
    std::size_t rows_max;
    std::function<void(Answer<std::vector<HistoryRow>>)> callback;
  };
  struct FlushRequest {
    std::function<void(bool)> callback;
  };
  using Request = std::variant<LookUpRequest, EditRequest, HistoryRequest, FlushRequest>;
  using TimePoint = std::chrono::steady_clock::time_point;

  void run(LedgerPort& ledger);
  bool wait_until(TimePoint turn_at, int wake_descriptor);
  void wake() noexcept;
  void submit(Request request);
  bool consume(bool at_once);
  void serve(Exchange& exchange, std::vector<Request> requests);
  void publish(Status status);
  static void refuse(Request& request);

  // Fixed after construction, but the pointees are the shop's thread's after start().
  const Clock& clock_;
  const ExchangeOptions options_;
  const std::unique_ptr<Outbox> outbox_;
  const std::unique_ptr<Database> database_;
  std::thread thread_;

  // The shop's thread (before start(): the caller's).
  std::vector<ledger::Event> taken_;  // not in the outbox yet
  std::string outbox_error_;
  TimePoint consume_at_{};

  std::atomic<std::uint64_t> consumed_seq_;
  std::atomic<bool> overtaken_ = false;
  std::atomic<bool> sends_at_end_ = true;

  const Descriptor wake_;     // an eventfd: something changed below
  mutable std::mutex mutex_;  // guards what follows
  std::vector<ledger::Event> events_;
  TimePoint events_since_{};
  std::vector<Request> requests_;
  bool running_ = false;
  bool stopping_ = false;
  Status status_;
};

}  // namespace tallygate::shop
