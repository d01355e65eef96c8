// The conversation between one edge and the shop's database, step by step: connect, push, pull,
// scan, look up, edit. No thread and no waiting of its own; the Sync calls it in a loop.
//
// Push sends the outbox's batches in order, each behind the gate of tg_edge.last_seq. Where the
// database says it has fewer than were acknowledged (it was restored from a backup), they are sent
// again; where it says more, or a batch is needed that is not kept any more, nothing is pushed and
// the alarm says so. Where it says more, the ledger is older than what the shop was told in its
// name (restored or copied): that is noted in the outbox and holds until `tallygate ledger adopt`.
//
// Use from one thread at a time. No call throws.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "server/net/clock.h"
#include "server/shop/database.h"
#include "server/shop/ledger_port.h"
#include "server/shop/outbox.h"

namespace tallygate::shop {

struct ExchangeOptions {
  std::string edge_id;
  std::chrono::milliseconds poll = std::chrono::seconds(1);
  std::chrono::seconds scan_every = std::chrono::hours(1);  // rows changed behind the triggers
  std::chrono::seconds keep_history{0};                     // 0: for ever
  // How many rows the first scan after connecting has read; nullopt: it is done. May be empty.
  std::function<void(std::optional<std::uint64_t>)> on_first_scan{};
};

// What the row of a link says.
struct LookUp {
  enum class Kind : std::uint8_t { found, no_row, unavailable };
  Kind kind = Kind::unavailable;
  Word word;  // if found
};

// For /healthz, `links` and `shop status`.
struct Status {
  std::string engine;  // as Database::engine
  bool reachable = false;
  std::string last_error;              // why not reachable, or what else failed; empty: nothing
  std::string warning;                 // something works less well than it could
  std::string alarm;                   // an operator must act: nothing is pushed until then
  std::uint64_t events_waiting = 0;    // handed over by the ledger, not in the outbox yet
  std::uint64_t batches_waiting = 0;   // in the outbox, not acknowledged
  std::int64_t oldest_waiting_at = 0;  // unix seconds; 0: nothing waits
  std::uint64_t copies_waiting = 0;    // counted in those batches
  std::int64_t last_push_at = 0;       // unix seconds; 0: none since the start
  std::int64_t last_scan_at = 0;       // when all rows had been read; 0: not since the start
  std::uint64_t history_dropped = 0;  // transfers for which the outbox had no room, since the start
  bool overtaken = false;             // the alarm: links with a limit are refused as well
  std::uint64_t parked = 0;           // items that the database refused, since the start
  std::string last_parked;            // link and reason of the last one
};

class Exchange {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // All are borrowed for life.
  Exchange(Outbox& outbox, Database& database, LedgerPort& ledger, const Clock& clock,
           ExchangeOptions options);

  // Does what is due. True: there is more to do at once.
  bool turn();
  // When turn() has something to do again, events and requests aside.
  [[nodiscard]] TimePoint next_turn() const;
  // Readable when it may have something to do before; -1: never.
  [[nodiscard]] int wake_descriptor() const noexcept;
  // It was readable: the next turn looks for changes.
  void on_wake() noexcept;

  // Sends what the outbox holds, for `at_most` this long. True: nothing is left to send.
  bool push_all(std::chrono::milliseconds at_most);

  // In the order asked. The same answer for every id while the database is away.
  [[nodiscard]] std::vector<LookUp> look_up(std::span<const std::string> link_ids);
  // False: no such row. After true the ledger has been told, or will be at a later turn.
  [[nodiscard]] Answer<std::vector<HistoryRow>> downloads_of(std::string_view link_id,
                                                             std::size_t rows_max);
  [[nodiscard]] Answer<bool> edit(std::string_view link_id, const Edit& edit);

  // Outbox figures and what happened here; events_waiting is the caller's.
  [[nodiscard]] Status status();

 private:
  enum class Step : std::uint8_t { idle, progress, failed };

  void connect(TimePoint now);
  bool locate(std::uint64_t last_seq);
  void note_overtaken(std::uint64_t last_seq);
  Step push_some(std::size_t batches_max);
  Step push_next();
  Step settle(const Batch& batch);
  Step pull(TimePoint now);
  Step take_page(TimePoint now, bool& more, bool& held);
  Step scan(TimePoint now);
  Step check_triggers();
  Step scan_rows(TimePoint now);
  Step scan_lost(TimePoint now);
  void start_scan(TimePoint now);
  Step prune(TimePoint now);
  void end_pass(TimePoint now);
  void apply(const Row& row);
  bool is_held(const Change& change);
  bool persist_words();
  Step reading_failed(const Failure& failure);
  Step writing_failed(const Failure& failure);
  Step back_off(std::string_view reason);

  Outbox& outbox_;
  Database& database_;
  LedgerPort& ledger_;
  const Clock& clock_;
  const ExchangeOptions options_;

  bool connected_ = false;
  TimePoint retry_at_{};               // nothing is tried before, look-ups aside
  std::chrono::milliseconds pause_{};  // of the last failure
  std::uint64_t next_seq_ = 1;         // the next batch to send
  std::uint64_t sent_seq_;             // no batch behind it was ever sent from here

  std::optional<std::uint64_t> stamp_;  // all changes up to here were taken; nullopt: look anyway
  TimePoint poll_at_{};
  // Links whose row was read for a customer a moment ago: the ledger may not know them yet, and
  // must not miss a change that comes in between.
  std::unordered_map<std::string, TimePoint> looked_up_;

  // First over all rows, then over all links of this edge for those whose row is gone.
  bool first_scan_ = false;  // since connecting: at full speed
  bool rows_scanned_ = false;
  std::string scanned_to_;
  std::uint64_t scanned_ = 0;
  std::chrono::seconds scan_every_{};
  TimePoint scan_at_{};

  // A walk over the history, in the order of event_id.
  EventId pruned_to_{};
  TimePoint prune_at_{};
  std::string triggers_warning_;
  std::string history_warning_;

  Status status_;
};

}  // namespace tallygate::shop
