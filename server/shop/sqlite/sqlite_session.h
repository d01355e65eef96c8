// An open SQLite shop: the connection and every statement that SqliteDatabase executes on it.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "server/shop/database.h"
#include "server/shop/sqlite/sqlite.h"

namespace tallygate::shop {

// Prepared once; the schema must be there.
struct SqliteStatements {
  explicit SqliteStatements(sqlite::Connection& db);

  // ?1 edge_id, ?2 epoch, ?3 seq
  sqlite::Statement gate;
  // ?1 edge_id, ?2 epoch
  sqlite::Statement last_seq;
  sqlite::Statement register_edge;
  // ?1 edge_id
  sqlite::Statement register_consumer;
  // ?1 edge_id, ?2 muted
  sqlite::Statement mute;
  // ?1 link_id, ?2 file_id
  sqlite::Statement create;
  // ?1 link_id, ?2 edge_id, ?3 epoch
  sqlite::Statement know;
  // ?1 link_id, ?2 edge_id, ?3 epoch, ?4 copies, ?5 reset_gen
  sqlite::Statement add_total;
  sqlite::Statement add_charged;
  // ?1 link_id, ?2 copies, ?3 reset_gen
  sqlite::Statement add_used;
  // ?1 link_id, ?2 blocked
  sqlite::Statement block;
  sqlite::Statement download;
  sqlite::Statement data_version;
  // ?1 edge_id, ?2 epoch, ?3 marks; columns: obj, gen, then as `load`
  sqlite::Statement changes;
  // ?1 edge_id, ?2 link_id, ?3 generation
  sqlite::Statement unmark;
  // ?1 edge_id, ?2 epoch, ?3 link_id; columns for read_row
  sqlite::Statement load;
  // ?1 edge_id, ?2 epoch, ?3 after, ?4 rows; columns for read_row
  sqlite::Statement scan;
  // ?1 edge_id, ?2 after, ?3 links; columns: link_id of the edge's, link_id of the row
  sqlite::Statement scan_lost;
  // ?1 after, ?2 rows; columns: event_id in hex, ended_at
  sqlite::Statement history_page;
  // ?1 after, ?2 last, ?3 ended before
  sqlite::Statement prune;
};

// The row whose link_id is column `first`.
[[nodiscard]] Row read_row(const sqlite::Statement& from, int first);

struct SqliteSession {
  explicit SqliteSession(const std::filesystem::path& file);

  sqlite::Connection db;
  std::optional<SqliteStatements> sql;  // once the schema was found complete
};

}  // namespace tallygate::shop
