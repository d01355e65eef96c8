// The outbox's file: its tables and the statements on them.
#pragma once
#include <chrono>
#include <filesystem>
#include <optional>

#include "server/shop/outbox.h"
#include "server/shop/sqlite/sqlite.h"

namespace tallygate::shop {

struct OutboxStatements {
  explicit OutboxStatements(sqlite::Connection& db);

  sqlite::Statement position;      // columns: epoch, consumed, sealed, acknowledged, open items
  sqlite::Statement begin_stream;  // ?1 epoch
  sqlite::Statement move;          // ?1 consumed, ?2 sealed, ?3 acknowledged, ?4 open items
  sqlite::Statement begin_batch;   // ?1 seq, ?2 now
  sqlite::Statement acknowledge;   // ?1 seq, ?2 now
  // ?1 seq, then the item
  sqlite::Statement add_created;
  sqlite::Statement add_counted;
  sqlite::Statement add_blocked;
  sqlite::Statement add_history;
  // ?1 seq
  sqlite::Statement batch;
  sqlite::Statement created;
  sqlite::Statement counted;
  sqlite::Statement blocked;
  sqlite::Statement history;
  sqlite::Statement copies;
  sqlite::Statement copies_after;
  sqlite::Statement old_batch;  // ?1 acknowledged before
  sqlite::Statement bytes_used;
  sqlite::Statement has_met;
  sqlite::Statement meet;  // ?1 now
  sqlite::Statement lineage;
  sqlite::Statement note_lineage;  // ?1 now, ?2 lineage
};

// Throws sqlite::Error, as everything below.
struct Outbox::Store {
  Store(std::filesystem::path path, std::chrono::milliseconds busy_timeout);

  [[nodiscard]] std::optional<Batch> read(std::uint64_t seq);
  // Drops up to `batches_max` batches that were acknowledged before `before` (unix seconds).
  void prune(std::int64_t before, int batches_max);
  [[nodiscard]] bool has_met();
  [[nodiscard]] Lineage lineage();
  // What the file holds, free pages aside.
  [[nodiscard]] std::uint64_t bytes_used();
  // Copies in batch `seq`; in those after it.
  [[nodiscard]] std::uint64_t copies_of(std::uint64_t seq);
  [[nodiscard]] std::uint64_t copies_after(std::uint64_t seq);

  std::filesystem::path file;
  sqlite::Connection db;
  std::optional<OutboxStatements> sql;
};

// `with_copies`: counts them; its cost grows with the backlog.
[[nodiscard]] Backlog read_backlog(sqlite::Connection& db, bool with_copies);

}  // namespace tallygate::shop
