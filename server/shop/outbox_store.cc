#include "server/shop/outbox_store.h"

#include <algorithm>

namespace tallygate::shop {
namespace {

// PRAGMA user_version of the file; another number is another program's file.
constexpr std::int64_t kFormat = 1;

constexpr const char* kSchema = R"sql(
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS stream(
  one          INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
  epoch        INTEGER NOT NULL,
  consumed     INTEGER NOT NULL DEFAULT 0,  -- the last event of the ledger that was taken
  sealed       INTEGER NOT NULL DEFAULT 0,  -- batches up to here do not change any more
  acknowledged INTEGER NOT NULL DEFAULT 0,  -- batches up to here were applied
  open_items   INTEGER NOT NULL DEFAULT 0   -- events in batch sealed + 1
) STRICT;
CREATE TABLE IF NOT EXISTS batch(
  seq INTEGER NOT NULL PRIMARY KEY, begun_at INTEGER NOT NULL, acknowledged_at INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS created(
  seq INTEGER NOT NULL, link_id TEXT NOT NULL, file_id TEXT NOT NULL,
  PRIMARY KEY(seq, link_id)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counted(
  seq INTEGER NOT NULL, link_id TEXT NOT NULL, reset_gen INTEGER NOT NULL, copies INTEGER NOT NULL,
  PRIMARY KEY(seq, link_id, reset_gen)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blocked(
  seq INTEGER NOT NULL, link_id TEXT NOT NULL, blocked INTEGER NOT NULL,
  PRIMARY KEY(seq, link_id)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS history(
  seq INTEGER NOT NULL, event_id BLOB NOT NULL, link_id TEXT NOT NULL,
  started_at INTEGER NOT NULL, ended_at INTEGER NOT NULL,
  client_ip TEXT NOT NULL, user_agent TEXT NOT NULL,
  bytes_sent INTEGER NOT NULL, file_size INTEGER NOT NULL,
  outcome INTEGER NOT NULL, counted INTEGER NOT NULL,
  PRIMARY KEY(seq, event_id)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS met(at INTEGER NOT NULL) STRICT;  -- the database was there
CREATE TABLE IF NOT EXISTS copied(
  at      INTEGER NOT NULL,
  lineage INTEGER NOT NULL                  -- 1 a backup, 2 overtaken; no row: neither
) STRICT;
PRAGMA user_version = 1;
COMMIT;
)sql";

std::uint64_t count(const sqlite::Statement& from, int column) {
  return static_cast<std::uint64_t>(from.integer(column));
}

// Of a statement that yields one number.
std::uint64_t single(sqlite::Statement& query) {
  query.step();
  const auto number = count(query, 0);
  query.reset();
  return number;
}

void check_format(sqlite::Connection& db) {
  sqlite::Statement query(db,
                          "SELECT user_version, (SELECT count(*) FROM sqlite_schema)"
                          " FROM pragma_user_version");
  query.step();
  const auto format = query.integer(0);
  const bool empty = format == 0 && query.integer(1) == 0;
  if (format == kFormat || empty) return;
  throw sqlite::Error(0, "not an outbox of this version of tallygate (format " +
                             std::to_string(format) + ", expected " + std::to_string(kFormat) +
                             ")");
}

}  // namespace

OutboxStatements::OutboxStatements(sqlite::Connection& db)
    : position(db, "SELECT epoch, consumed, sealed, acknowledged, open_items FROM stream"),
      begin_stream(db, "INSERT INTO stream(one, epoch) VALUES(1, ?1)"),
      move(db, "UPDATE stream SET consumed = ?1, sealed = ?2, acknowledged = ?3, open_items = ?4"),
      begin_batch(db, "INSERT INTO batch(seq, begun_at) VALUES(?1, ?2)"),
      acknowledge(db, "UPDATE batch SET acknowledged_at = ?2 WHERE seq = ?1"),
      add_created(db, "INSERT INTO created VALUES(?1, ?2, ?3) ON CONFLICT DO NOTHING"),
      add_counted(db,
                  "INSERT INTO counted VALUES(?1, ?2, ?3, ?4)"
                  " ON CONFLICT DO UPDATE SET copies = copies + excluded.copies"),
      add_blocked(db,
                  "INSERT INTO blocked VALUES(?1, ?2, ?3)"
                  " ON CONFLICT DO UPDATE SET blocked = excluded.blocked"),
      add_history(db,
                  "INSERT INTO history VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
                  " ON CONFLICT DO UPDATE SET started_at = ?4, ended_at = ?5, bytes_sent = ?8,"
                  " outcome = ?10, counted = ?11"),
      batch(db, "SELECT 1 FROM batch WHERE seq = ?1"),
      created(db, "SELECT link_id, file_id FROM created WHERE seq = ?1 ORDER BY link_id"),
      counted(db,
              "SELECT link_id, reset_gen, copies FROM counted WHERE seq = ?1"
              " ORDER BY link_id, reset_gen"),
      blocked(db, "SELECT link_id, blocked FROM blocked WHERE seq = ?1 ORDER BY link_id"),
      history(db,
              "SELECT event_id, link_id, started_at, ended_at, client_ip, user_agent, bytes_sent,"
              " file_size, outcome, counted FROM history WHERE seq = ?1 ORDER BY event_id"),
      copies(db, "SELECT coalesce(sum(copies), 0) FROM counted WHERE seq = ?1"),
      copies_after(db, "SELECT coalesce(sum(copies), 0) FROM counted WHERE seq > ?1"),
      // Batches are acknowledged in their order, so the oldest tells whether any is old enough.
      old_batch(db,
                "SELECT seq FROM (SELECT seq, acknowledged_at FROM batch ORDER BY seq LIMIT 1)"
                " WHERE acknowledged_at < ?1"),
      bytes_used(db,
                 "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count,"
                 " pragma_freelist_count, pragma_page_size"),
      has_met(db, "SELECT count(*) FROM met"),
      meet(db, "INSERT INTO met(at) VALUES(?1)"),
      lineage(db, "SELECT coalesce(max(lineage), 0) FROM copied"),
      note_lineage(db, "INSERT INTO copied(at, lineage) VALUES(?1, ?2)") {}

Outbox::Store::Store(std::filesystem::path path, std::chrono::milliseconds busy_timeout)
    : file(std::move(path)), db(file.string(), sqlite::OpenMode::create, busy_timeout) {
  check_format(db);
  db.execute(kSchema);
  sql.emplace(db);
}

std::optional<Batch> Outbox::Store::read(std::uint64_t seq) {
  sql->batch.bind(seq);
  if (!sql->batch.step()) return std::nullopt;
  sql->batch.reset();

  Batch batch;
  batch.seq = seq;
  auto& created = sql->created.bind(seq);
  while (created.step()) batch.created.push_back({created.text(0), created.text(1)});
  auto& counted = sql->counted.bind(seq);
  while (counted.step()) {
    batch.counted.push_back(
        {counted.text(0), static_cast<std::uint32_t>(counted.integer(1)), count(counted, 2)});
  }
  auto& blocked = sql->blocked.bind(seq);
  while (blocked.step()) {
    batch.blocked.push_back({blocked.text(0), static_cast<ledger::Blocked>(blocked.integer(1))});
  }
  auto& history = sql->history.bind(seq);
  while (history.step()) {
    HistoryRow row;
    const auto id = history.text(0);
    std::copy_n(id.begin(), std::min(id.size(), row.event_id.size()), row.event_id.begin());
    row.link_id = history.text(1);
    row.started_at = history.integer(2);
    row.ended_at = history.integer(3);
    row.client_ip = history.text(4);
    row.user_agent = history.text(5);
    row.bytes_sent = count(history, 6);
    row.file_size = count(history, 7);
    row.outcome = static_cast<ledger::Outcome>(history.integer(8));
    row.counted = count(history, 9);
    batch.history.push_back(std::move(row));
  }
  return batch;
}

void Outbox::Store::prune(std::int64_t before, int batches_max) {
  for (int i = 0; i < batches_max; ++i) {
    auto& oldest = sql->old_batch.bind(before);
    if (!oldest.step()) return;
    const auto seq = oldest.integer(0);
    oldest.reset();
    // Rare enough (once per batch, days after it) not to keep five more statements prepared.
    for (const char* table : {"created", "counted", "blocked", "history", "batch"}) {
      sqlite::Statement(db, std::string("DELETE FROM ") + table + " WHERE seq = ?1").run(seq);
    }
  }
}

bool Outbox::Store::has_met() {
  return single(sql->has_met.bind()) > 0;
}

Lineage Outbox::Store::lineage() {
  return static_cast<Lineage>(std::min<std::uint64_t>(single(sql->lineage.bind()), 2));
}

std::uint64_t Outbox::Store::bytes_used() {
  return single(sql->bytes_used.bind());
}

std::uint64_t Outbox::Store::copies_of(std::uint64_t seq) {
  return single(sql->copies.bind(seq));
}

std::uint64_t Outbox::Store::copies_after(std::uint64_t seq) {
  return single(sql->copies_after.bind(seq));
}

Backlog read_backlog(sqlite::Connection& db, bool with_copies) {
  sqlite::Statement query(db,
                          "SELECT sealed - acknowledged + (open_items > 0),"
                          " coalesce((SELECT begun_at FROM batch WHERE seq = acknowledged + 1),"
                          " 0), consumed, iif(?1, (SELECT coalesce(sum(copies), 0) FROM counted"
                          " WHERE seq > acknowledged), 0) FROM stream");
  query.bind(with_copies).step();
  return {count(query, 0), query.integer(1), count(query, 2), count(query, 3)};
}

}  // namespace tallygate::shop
