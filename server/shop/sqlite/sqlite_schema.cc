#include "server/shop/sqlite/sqlite_schema.h"

#include <algorithm>

namespace tallygate::shop {
namespace {

// A push mutes the marks of its own edge for the length of its transaction (tg_consumer.muted).
// SQLite has one writer at a time, so nobody else ever writes while it is set.
constexpr std::string_view kSchema =
    R"sql(-- tallygate: links, counts and history. Times are unix seconds, UTC.
BEGIN IMMEDIATE;

CREATE TABLE IF NOT EXISTS tg_link(
  link_id    TEXT NOT NULL PRIMARY KEY CHECK (length(CAST(link_id AS BLOB)) BETWEEN 1 AND 96),
  file_id    TEXT NOT NULL DEFAULT '',             -- informative
  order_ref  TEXT,                                 -- yours
  max_copies INTEGER CHECK (max_copies BETWEEN -1 AND 2147483647),  -- NULL as signed, -1 unlimited
  used       INTEGER NOT NULL DEFAULT 0 CHECK (used >= 0),
  not_before INTEGER,                              -- NULL as signed
  expires_at INTEGER,                              -- NULL as signed; refused from this second on
  state      INTEGER NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 3),
                                                   -- 0 active, 1 held, 2 refunded, 3 revoked
  reset_gen  INTEGER NOT NULL DEFAULT 0 CHECK (reset_gen BETWEEN 0 AND 4294967295),
                                                   -- reset: used = 0, reset_gen = reset_gen + 1
  blocked    TEXT CHECK (blocked IN ('copies', 'traffic')),
  updated_at INTEGER NOT NULL DEFAULT (unixepoch())
) STRICT, WITHOUT ROWID;

-- How far each edge has pushed.
CREATE TABLE IF NOT EXISTS tg_edge(
  edge_id  TEXT NOT NULL,
  epoch    INTEGER NOT NULL,
  last_seq INTEGER NOT NULL DEFAULT 0,
  seen_at  INTEGER NOT NULL DEFAULT (unixepoch()),
  PRIMARY KEY(edge_id, epoch)
) STRICT, WITHOUT ROWID;

-- What each edge delivered: total over the life of the link (an audit: never reset), and the part
-- of tg_link.used in generation reset_gen that is this edge's.
CREATE TABLE IF NOT EXISTS tg_edge_count(
  link_id   TEXT NOT NULL,
  edge_id   TEXT NOT NULL,
  epoch     INTEGER NOT NULL,
  total     INTEGER NOT NULL,
  charged   INTEGER NOT NULL DEFAULT 0,
  reset_gen INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(link_id, edge_id, epoch)
) STRICT, WITHOUT ROWID;

-- One row per transfer; ranges that one client fetched within 60 s of each other are one row.
CREATE TABLE IF NOT EXISTS tg_download(
  event_id   BLOB NOT NULL PRIMARY KEY,
  link_id    TEXT NOT NULL,
  edge_id    TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  ended_at   INTEGER NOT NULL,
  client_ip  TEXT,
  user_agent TEXT,
  bytes_sent INTEGER NOT NULL,
  file_size  INTEGER NOT NULL,
  outcome    INTEGER NOT NULL,                     -- 0 complete, 1 partial, 2 probe, 3 refused
  counted    INTEGER NOT NULL                      -- copies that it completed
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tg_download_link ON tg_download(link_id, started_at);

-- Who wants to know of changes, and which rows changed.
CREATE TABLE IF NOT EXISTS tg_consumer(
  consumer TEXT NOT NULL PRIMARY KEY,
  muted    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tg_dirty(
  consumer TEXT NOT NULL,
  kind     TEXT NOT NULL,
  obj      TEXT NOT NULL,
  gen      INTEGER NOT NULL DEFAULT 1,
  PRIMARY KEY(consumer, kind, obj)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER IF NOT EXISTS tg_link_inserted AFTER INSERT ON tg_link BEGIN
  INSERT INTO tg_dirty(consumer, kind, obj)
    SELECT consumer, 'L', NEW.link_id FROM tg_consumer WHERE muted = 0
    ON CONFLICT(consumer, kind, obj) DO UPDATE SET gen = gen + 1;
END;
CREATE TRIGGER IF NOT EXISTS tg_link_updated AFTER UPDATE OF
  link_id, file_id, max_copies, used, not_before, expires_at, state, reset_gen ON tg_link BEGIN
  INSERT INTO tg_dirty(consumer, kind, obj)
    SELECT consumer, 'L', NEW.link_id FROM tg_consumer WHERE muted = 0
    ON CONFLICT(consumer, kind, obj) DO UPDATE SET gen = gen + 1;
END;
CREATE TRIGGER IF NOT EXISTS tg_link_renamed AFTER UPDATE OF link_id ON tg_link
  WHEN OLD.link_id <> NEW.link_id BEGIN
  INSERT INTO tg_dirty(consumer, kind, obj)
    SELECT consumer, 'L', OLD.link_id FROM tg_consumer WHERE muted = 0
    ON CONFLICT(consumer, kind, obj) DO UPDATE SET gen = gen + 1;
  UPDATE tg_edge_count SET charged = 0 WHERE link_id = OLD.link_id;
END;
CREATE TRIGGER IF NOT EXISTS tg_link_deleted AFTER DELETE ON tg_link BEGIN
  INSERT INTO tg_dirty(consumer, kind, obj)
    SELECT consumer, 'L', OLD.link_id FROM tg_consumer WHERE muted = 0
    ON CONFLICT(consumer, kind, obj) DO UPDATE SET gen = gen + 1;
  UPDATE tg_edge_count SET charged = 0 WHERE link_id = OLD.link_id;
END;

COMMIT;
)sql";

struct Table {
  std::string_view name;
  std::vector<std::string_view> columns;
};

const std::vector<Table>& tables() {
  static const std::vector<Table> kTables = {
      {"tg_link",
       {"link_id", "file_id", "order_ref", "max_copies", "used", "not_before", "expires_at",
        "state", "reset_gen", "blocked", "updated_at"}},
      {"tg_edge", {"edge_id", "epoch", "last_seq", "seen_at"}},
      {"tg_edge_count", {"link_id", "edge_id", "epoch", "total", "charged", "reset_gen"}},
      {"tg_download",
       {"event_id", "link_id", "edge_id", "started_at", "ended_at", "client_ip", "user_agent",
        "bytes_sent", "file_size", "outcome", "counted"}},
      {"tg_consumer", {"consumer", "muted"}},
      {"tg_dirty", {"consumer", "kind", "obj", "gen"}},
  };
  return kTables;
}

constexpr std::string_view kTriggers[] = {"tg_link_inserted", "tg_link_updated", "tg_link_renamed",
                                          "tg_link_deleted"};

}  // namespace

std::string_view sqlite_schema() noexcept {
  return kSchema;
}

Missing probe_sqlite_schema(sqlite::Connection& connection) {
  Missing missing;
  sqlite::Statement columns(connection, "SELECT name FROM pragma_table_info(?1)");
  for (const auto& table : tables()) {
    std::vector<std::string> present;
    columns.bind(table.name);
    while (columns.step()) present.push_back(columns.text(0));
    if (present.empty()) {
      missing.tables_and_columns.push_back("table " + std::string(table.name));
      continue;
    }
    for (const auto column : table.columns) {
      if (std::ranges::find(present, column) != present.end()) continue;
      missing.tables_and_columns.push_back("column " + std::string(table.name) + "." +
                                           std::string(column));
    }
  }
  sqlite::Statement trigger(connection,
                            "SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND name = ?1");
  for (const auto name : kTriggers) {
    trigger.bind(name);
    if (!trigger.step()) missing.triggers.push_back("trigger " + std::string(name));
    trigger.reset();
  }
  return missing;
}

}  // namespace tallygate::shop
