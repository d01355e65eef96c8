#include "server/shop/postgres/postgres_schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace tallygate::shop {
namespace {

// Triggers work statement by statement, on transition tables: a batch of a thousand counts costs
// one call. They run with the rights of whoever owns the schema, so that the merchant's own role
// needs none on tallygate's tables.
constexpr std::string_view kSchema =
    R"sql(-- tallygate: links, counts and history. Times are unix seconds, UTC.
BEGIN;
SELECT pg_advisory_xact_lock(8391162080219489895);

CREATE TABLE IF NOT EXISTS tg_link(
  link_id    text COLLATE "C" NOT NULL PRIMARY KEY CHECK (octet_length(link_id) BETWEEN 1 AND 96),
  file_id    text NOT NULL DEFAULT '',             -- informative
  order_ref  text,                                 -- yours
  max_copies integer CHECK (max_copies >= -1),     -- NULL as signed, -1 unlimited, 0 none
  used       bigint NOT NULL DEFAULT 0 CHECK (used >= 0),
  not_before bigint,                               -- NULL as signed
  expires_at bigint,                               -- NULL as signed; refused from this second on
  state      smallint NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 3),
                                                   -- 0 active, 1 held, 2 refunded, 3 revoked
  reset_gen  bigint NOT NULL DEFAULT 0 CHECK (reset_gen BETWEEN 0 AND 4294967295),
                                                   -- reset: used = 0, reset_gen = reset_gen + 1
  blocked    text CHECK (blocked IN ('copies', 'traffic')),
  updated_at timestamptz NOT NULL DEFAULT now()
);

-- How far each edge has pushed.
CREATE TABLE IF NOT EXISTS tg_edge(
  edge_id  text COLLATE "C" NOT NULL,
  epoch    bigint NOT NULL,
  last_seq bigint NOT NULL DEFAULT 0,
  seen_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY(edge_id, epoch)
);

-- What each edge delivered: total over the life of the link (an audit: never reset), and the part
-- of tg_link.used in generation reset_gen that is this edge's.
CREATE TABLE IF NOT EXISTS tg_edge_count(
  link_id   text COLLATE "C" NOT NULL,
  edge_id   text COLLATE "C" NOT NULL,
  epoch     bigint NOT NULL,
  total     bigint NOT NULL,
  charged   bigint NOT NULL DEFAULT 0,
  reset_gen bigint NOT NULL DEFAULT 0,
  PRIMARY KEY(link_id, edge_id, epoch)
);

-- One row per transfer; ranges that one client fetched within 60 s of each other are one row.
CREATE TABLE IF NOT EXISTS tg_download(
  event_id   bytea NOT NULL PRIMARY KEY,
  link_id    text COLLATE "C" NOT NULL,
  edge_id    text COLLATE "C" NOT NULL,
  started_at bigint NOT NULL,
  ended_at   bigint NOT NULL,
  client_ip  text,
  user_agent text,
  bytes_sent bigint NOT NULL,
  file_size  bigint NOT NULL,
  outcome    smallint NOT NULL,                    -- 0 complete, 1 partial, 2 probe, 3 refused
  counted    bigint NOT NULL                       -- copies that it completed
);
CREATE INDEX IF NOT EXISTS tg_download_link ON tg_download(link_id, started_at);

-- Who wants to know of changes, and which rows changed.
CREATE TABLE IF NOT EXISTS tg_consumer(consumer text COLLATE "C" NOT NULL PRIMARY KEY);
CREATE SEQUENCE IF NOT EXISTS tg_dirty_gen;
CREATE TABLE IF NOT EXISTS tg_dirty(
  consumer text COLLATE "C" NOT NULL,
  kind     char(1) NOT NULL,
  obj      text COLLATE "C" NOT NULL,
  gen      bigint NOT NULL,
  PRIMARY KEY(consumer, kind, obj)
);

CREATE OR REPLACE FUNCTION tg_mark(link_ids text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $f$
BEGIN
  INSERT INTO tg_dirty(consumer, kind, obj, gen)
    SELECT c.consumer, 'L', l, nextval('tg_dirty_gen')
      FROM tg_consumer c, unnest(link_ids) l
     WHERE c.consumer IS DISTINCT FROM current_setting('tallygate.origin', true)
     ORDER BY c.consumer, l
    ON CONFLICT (consumer, kind, obj) DO UPDATE SET gen = EXCLUDED.gen;
  IF FOUND THEN
    PERFORM pg_notify('tallygate', '');
  END IF;
END $f$;
REVOKE ALL ON FUNCTION tg_mark(text[]) FROM PUBLIC;

CREATE OR REPLACE FUNCTION tg_on_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $f$
BEGIN
  PERFORM tg_mark(array_agg(link_id)) FROM new_rows;
  RETURN NULL;
END $f$;

CREATE OR REPLACE FUNCTION tg_on_update() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $f$
BEGIN
  -- Rows that are not among the others as they are, old ones and new ones: a new id marks both.
  PERFORM tg_mark(array_agg(DISTINCT link_id)) FROM (
    (SELECT link_id, file_id, max_copies, used, not_before, expires_at, state, reset_gen
       FROM old_rows
     EXCEPT
     SELECT link_id, file_id, max_copies, used, not_before, expires_at, state, reset_gen
       FROM new_rows)
    UNION ALL
    (SELECT link_id, file_id, max_copies, used, not_before, expires_at, state, reset_gen
       FROM new_rows
     EXCEPT
     SELECT link_id, file_id, max_copies, used, not_before, expires_at, state, reset_gen
       FROM old_rows)) changed;
  UPDATE tg_edge_count SET charged = 0 WHERE link_id IN (
    SELECT link_id FROM old_rows EXCEPT SELECT link_id FROM new_rows);
  RETURN NULL;
END $f$;

CREATE OR REPLACE FUNCTION tg_on_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $f$
BEGIN
  PERFORM tg_mark(array_agg(link_id)) FROM old_rows;
  UPDATE tg_edge_count SET charged = 0 WHERE link_id IN (SELECT link_id FROM old_rows);
  RETURN NULL;
END $f$;

CREATE OR REPLACE FUNCTION tg_on_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $f$
BEGIN
  PERFORM tg_mark(array_agg(link_id)) FROM tg_link;
  UPDATE tg_edge_count SET charged = 0;
  RETURN NULL;
END $f$;

DROP TRIGGER IF EXISTS tg_link_inserted ON tg_link;
CREATE TRIGGER tg_link_inserted AFTER INSERT ON tg_link
  REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION tg_on_insert();
DROP TRIGGER IF EXISTS tg_link_updated ON tg_link;
CREATE TRIGGER tg_link_updated AFTER UPDATE ON tg_link
  REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION tg_on_update();
DROP TRIGGER IF EXISTS tg_link_deleted ON tg_link;
CREATE TRIGGER tg_link_deleted AFTER DELETE ON tg_link
  REFERENCING OLD TABLE AS old_rows
  FOR EACH STATEMENT EXECUTE FUNCTION tg_on_delete();
DROP TRIGGER IF EXISTS tg_link_truncated ON tg_link;
CREATE TRIGGER tg_link_truncated BEFORE TRUNCATE ON tg_link
  FOR EACH STATEMENT EXECUTE FUNCTION tg_on_truncate();

COMMIT;
)sql";

struct Column {
  std::string_view name;
  std::string_view definition;
};

struct Table {
  std::string_view name;
  std::string_view rights;  // of the edge's role, as GRANT lists them
  std::vector<Column> columns;
};

// As above, for the probe and for tables of an older version; a column that is part of a key was
// always there.
const std::vector<Table>& tables() {
  static const std::vector<Table> kTables = {
      {"tg_link",
       "SELECT, INSERT, UPDATE",
       {{"link_id", ""},
        {"file_id", "text NOT NULL DEFAULT ''"},
        {"order_ref", "text"},
        {"max_copies", "integer CHECK (max_copies >= -1)"},
        {"used", "bigint NOT NULL DEFAULT 0 CHECK (used >= 0)"},
        {"not_before", "bigint"},
        {"expires_at", "bigint"},
        {"state", "smallint NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 3)"},
        {"reset_gen", "bigint NOT NULL DEFAULT 0 CHECK (reset_gen BETWEEN 0 AND 4294967295)"},
        {"blocked", "text CHECK (blocked IN ('copies', 'traffic'))"},
        {"updated_at", "timestamptz NOT NULL DEFAULT now()"}}},
      {"tg_edge",
       "SELECT, INSERT, UPDATE",
       {{"edge_id", ""},
        {"epoch", ""},
        {"last_seq", "bigint NOT NULL DEFAULT 0"},
        {"seen_at", "timestamptz NOT NULL DEFAULT now()"}}},
      {"tg_edge_count",
       "SELECT, INSERT, UPDATE",
       {{"link_id", ""},
        {"edge_id", ""},
        {"epoch", ""},
        {"total", "bigint NOT NULL DEFAULT 0"},
        {"charged", "bigint NOT NULL DEFAULT 0"},
        {"reset_gen", "bigint NOT NULL DEFAULT 0"}}},
      {"tg_download",
       "SELECT, INSERT, UPDATE",
       {{"event_id", ""},
        {"link_id", "text COLLATE \"C\" NOT NULL DEFAULT ''"},
        {"edge_id", "text COLLATE \"C\" NOT NULL DEFAULT ''"},
        {"started_at", "bigint NOT NULL DEFAULT 0"},
        {"ended_at", "bigint NOT NULL DEFAULT 0"},
        {"client_ip", "text"},
        {"user_agent", "text"},
        {"bytes_sent", "bigint NOT NULL DEFAULT 0"},
        {"file_size", "bigint NOT NULL DEFAULT 0"},
        {"outcome", "smallint NOT NULL DEFAULT 0"},
        {"counted", "bigint NOT NULL DEFAULT 0"}}},
      {"tg_consumer", "SELECT, INSERT", {{"consumer", ""}}},
      {"tg_dirty",
       "SELECT, UPDATE, DELETE",
       {{"consumer", ""}, {"kind", ""}, {"obj", ""}, {"gen", "bigint NOT NULL DEFAULT 0"}}},
  };
  return kTables;
}

constexpr std::array<std::string_view, 4> kTriggers{"tg_link_inserted", "tg_link_updated",
                                                    "tg_link_deleted", "tg_link_truncated"};

std::string quoted(std::string_view identifier) {
  std::string out = "\"";
  for (const char c : identifier) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

std::vector<std::string> columns_of(postgres::Connection& connection, std::string_view table) {
  const postgres::Parameter parameters[] = {table};
  const auto present = connection.query(
      "SELECT attname FROM pg_attribute"
      " WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped",
      parameters);
  std::vector<std::string> names;
  for (int i = 0; i < present.rows(); ++i) names.emplace_back(present.text(i, 0));
  return names;
}

void probe_rights(postgres::Connection& connection, const Table& table, PostgresMissing& missing) {
  for (const std::string_view right : {"SELECT", "INSERT", "UPDATE", "DELETE"}) {
    if (table.rights.find(right) == std::string_view::npos) continue;
    const postgres::Parameter parameters[] = {table.name, right};
    const auto has =
        connection.query("SELECT has_table_privilege(to_regclass($1), $2)", parameters);
    if (has.text(0, 0) != "t") {
      missing.needed.push_back(fmt::format("right {} on {}", right, table.name));
    }
  }
}

}  // namespace

std::string_view postgres_schema() noexcept {
  return kSchema;
}

std::string postgres_grants(std::string_view user, bool prunes) {
  std::string sql =
      "-- What tallygate itself needs. The role's password: \\password, or CREATE ROLE … LOGIN.\n";
  for (const auto& table : tables()) {
    sql += fmt::format("GRANT {} ON {} TO {};\n", table.rights, table.name, quoted(user));
  }
  if (prunes) sql += fmt::format("GRANT DELETE ON tg_download TO {};\n", quoted(user));
  return sql;
}

PostgresMissing probe_postgres_schema(postgres::Connection& connection) {
  PostgresMissing missing;
  for (const auto& table : tables()) {
    const auto present = columns_of(connection, table.name);
    if (present.empty()) {
      missing.needed.push_back(fmt::format("table {}", table.name));
      continue;
    }
    for (const auto& column : table.columns) {
      if (std::ranges::find(present, column.name) != present.end()) continue;
      missing.needed.push_back(fmt::format("column {}.{}", table.name, column.name));
      missing.add_statements.push_back(fmt::format("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} {};",
                                                   table.name, column.name, column.definition));
    }
    probe_rights(connection, table, missing);
  }
  return missing;
}

std::vector<std::string> missing_postgres_triggers(postgres::Connection& connection) {
  const auto found = connection.execute(
      "SELECT tgname FROM pg_trigger WHERE tgrelid = to_regclass('tg_link') AND tgenabled <> 'D'");
  std::vector<std::string> missing;
  for (const auto trigger : kTriggers) {
    bool is_there = false;
    for (int i = 0; i < found.rows(); ++i) is_there |= found.text(i, 0) == trigger;
    if (!is_there) missing.push_back(fmt::format("trigger {}", trigger));
  }
  return missing;
}

}  // namespace tallygate::shop
