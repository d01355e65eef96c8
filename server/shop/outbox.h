// What this edge still has to tell the shop, on disk: a cursor into the ledger's events and the
// numbered batches made of them.
//
// Taking events moves the cursor and fills the open batch in one transaction, so each event is in
// exactly one batch whatever crashes. A batch is sealed before it is sent and never changes after.
// Acknowledged batches are kept for a while: a database that was restored from a backup is sent
// what it misses. The file belongs to the ledger's directory: `tallygate ledger backup` copies them
// together, and a copy knows that it is one (Lineage).
//
// Use from one thread at a time. No call throws. A call that failed changed nothing.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>

#include "core/ledger/event.h"
#include "core/shop/history.h"
#include "server/net/clock.h"
#include "server/shop/batch.h"
#include "server/shop/database.h"

namespace tallygate::shop {

namespace sqlite {
class Transaction;
}

// A batch is sealed at this many items, so that a long outage is caught up in bounded transactions.
inline constexpr std::size_t kBatchItemsMax = 1000;

struct OutboxOptions {
  std::chrono::seconds keep_acknowledged = std::chrono::hours(7 * 24);
  // Beyond this size acknowledged batches go before their time; if that does not help, counts are
  // still taken (they grow with the links, not with the downloads), but no more history.
  std::uint64_t bytes_max = std::uint64_t{1} << 30;
};

// How much waits.
struct Backlog {
  std::uint64_t batches = 0;       // not acknowledged, the open one included
  std::int64_t oldest_at = 0;      // unix seconds at which the oldest of them was begun; 0: none
  std::uint64_t consumed_seq = 0;  // number of the last event taken
  std::uint64_t copies = 0;        // counted in those batches
};

// Whether the file, and the ledger with it, is a copy of what went on elsewhere: then the shop's
// database may know of copies that this ledger does not, and `tallygate ledger adopt` comes first.
enum class Lineage : std::uint8_t {
  own,       // nothing is known against it
  backup,    // made by copy(), and nothing was counted since
  overtaken  // the database has batches that this outbox never made
};

// What a stream that begins anew tells at once of one link.
struct Restated {
  std::string link_id;
  std::optional<std::string> file_id{};  // there is no row: make one
  std::uint32_t reset_gen = 0;
  std::uint64_t copies = 0;                  // that the database lacks
  std::optional<ledger::Blocked> blocked{};  // what it may have wrong
};

class Outbox {
 public:
  // Makes the file if it is absent, in a directory that exists.
  [[nodiscard]] static Answer<std::unique_ptr<Outbox>> open(const std::filesystem::path& file,
                                                            const Clock& clock,
                                                            const OutboxOptions& options);
  // For commands, also beside a running server.
  [[nodiscard]] static Answer<Backlog> inspect(const std::filesystem::path& file);

  // Copies the file to `to`, which does not exist, as of one moment, also beside a running server;
  // the copy knows that it is one, and is on disk. Returns the number of the last event that it has
  // taken.
  [[nodiscard]] static Answer<std::uint64_t> copy(const std::filesystem::path& file,
                                                  const std::filesystem::path& to);

  ~Outbox();
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  [[nodiscard]] std::uint64_t epoch() const noexcept { return epoch_; }
  // Number of the last event taken; the ledger hands over what comes after it.
  [[nodiscard]] std::uint64_t consumed_seq() const noexcept { return at_.consumed; }
  [[nodiscard]] std::uint64_t sealed_seq() const noexcept { return at_.sealed; }
  [[nodiscard]] std::uint64_t acknowledged_seq() const noexcept { return at_.acknowledged; }
  [[nodiscard]] bool has_open_items() const noexcept { return at_.open_items > 0; }
  // Transfers that came when the file was full, since the start: not in the history.
  [[nodiscard]] std::uint64_t history_dropped() const noexcept { return history_dropped_; }

  // The shop's database was there once: what is missing in its place is to be put back, not made.
  [[nodiscard]] bool has_met_database() const noexcept { return has_met_database_; }
  [[nodiscard]] Answer<void> meet_database();

  [[nodiscard]] Lineage lineage() const noexcept { return lineage_; }
  // On disk: whoever opens the file after this process knows as well.
  [[nodiscard]] Answer<void> note_overtaken();

  // Events in the order of their numbers; those taken before are skipped. Events that share a
  // number must come in one call.
  [[nodiscard]] Answer<void> consume(std::span<const ledger::Event> events);

  // Closes the open batch, if anything is in it.
  [[nodiscard]] Answer<void> seal();

  // A sealed batch; nullopt: not kept any more.
  [[nodiscard]] Answer<std::optional<Batch>> read(std::uint64_t seq);

  // The database has batch `seq`, the one after acknowledged_seq(). Drops what is old enough.
  [[nodiscard]] Answer<void> acknowledge(std::uint64_t seq);

  [[nodiscard]] Answer<Backlog> backlog();

  // -- beginning anew (`tallygate ledger adopt`): all of it is one transaction
  // Copies of each link in batches that were not acknowledged, by "<link id> <generation>".
  [[nodiscard]] Answer<std::unordered_map<std::string, std::uint64_t>> unacknowledged();
  // Begins a stream of its own epoch. Counts go, and so do batches up to `known_seq`, which the
  // database has; what the others say besides stays, and keeps its numbers. Events up to
  // `consumed_seq` are taken.
  [[nodiscard]] Answer<void> begin_anew(std::uint64_t known_seq, std::uint64_t consumed_seq);
  [[nodiscard]] Answer<void> restate(const Restated& link);
  // Now it is so, and the lineage is its own.
  [[nodiscard]] Answer<void> commit_anew();

 private:
  struct Store;  // the open file and its prepared statements

  // Where the streams stand; written with every transaction.
  struct Position {
    std::uint64_t consumed = 0;
    std::uint64_t sealed = 0;
    std::uint64_t acknowledged = 0;
    std::size_t open_items = 0;  // events in batch sealed + 1
  };

  Outbox(std::unique_ptr<Store> store, const Clock& clock, const OutboxOptions& options);
  template <class T, class Work>
  Answer<T> guarded(Work work);
  void load();
  bool make_room();
  std::uint64_t next_item(Position& at);
  void append(Position& at, const ledger::Event& event, std::uint32_t ordinal);

  const Clock& clock_;
  const OutboxOptions options_;
  std::unique_ptr<Store> store_;
  std::uint64_t epoch_ = 0;
  Position at_;
  bool has_met_database_ = false;
  Lineage lineage_ = Lineage::own;
  std::unique_ptr<sqlite::Transaction> anew_;  // from begin_anew() to commit_anew()
  std::uint64_t copies_waiting_ = 0;
  std::uint64_t history_dropped_ = 0;
  HistoryJoiner joiner_;  // not on disk: after a restart, transfers begin new rows
};

}  // namespace tallygate::shop
