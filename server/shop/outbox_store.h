// The outbox's file: its tables and the statements on them.
#pragma once
#include <chrono>
#include <filesystem>
#include <optional>

#include "server/shop/outbox.h"
#include "server/shop/sqlite.h"

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
  sqlite::Statement old_batch;  // ?1 acknowledged before
};

// Throws sqlite::Error, as everything below.
struct Outbox::Store {
  Store(std::filesystem::path path, std::chrono::milliseconds busy_timeout);

  [[nodiscard]] std::optional<Batch> read(std::uint64_t seq);
  // Drops up to `batches_max` batches that were acknowledged before `before` (unix seconds).
  void prune(std::int64_t before, int batches_max);

  std::filesystem::path file;
  sqlite::Connection db;
  std::optional<OutboxStatements> sql;
};

[[nodiscard]] Backlog read_backlog(sqlite::Connection& db);

}  // namespace tallygate::shop
