#include "server/shop/maria/maria_session.h"

#include <date/tz.h>
#include <fmt/format.h>

#include <algorithm>

#include "server/shop/column.h"
#include "server/shop/local_time.h"
#include "server/shop/row_values.h"

namespace tallygate::shop {
namespace {

using maria::json_rows;

constexpr std::string_view kLongId = "id varchar(255) CHARACTER SET ascii COLLATE ascii_bin PATH ";
constexpr std::string_view kMark =
    "kind char(1) CHARACTER SET ascii COLLATE ascii_bin PATH '$[0]',"
    " obj varchar(255) CHARACTER SET ascii COLLATE ascii_bin PATH '$[1]',"
    " gen bigint unsigned PATH '$[2]'";

// Rows whose `column` is one of a JSON list, in its order.
std::string rows_by_list(const maria::Tables& tables, std::string_view column,
                         std::string_view type, std::string_view more) {
  return fmt::format(
      "SELECT {}, j.id FROM{}STRAIGHT_JOIN {} ON {} = j.id{} WHERE true{}{} ORDER BY j.o",
      tables.columns, json_rows(fmt::format("o FOR ORDINALITY, id {} PATH '$'", type)),
      tables.rows_table, column, tables.joins, tables.filter, more);
}

std::string scan_lost(const maria::Tables& tables) {
  // '7:abc' is no row 7.
  const auto key = tables.is_numeric ? fmt::format(
                                           "CAST(c.link_id AS UNSIGNED) AND CONVERT({} USING ascii)"
                                           " COLLATE ascii_bin = c.link_id",
                                           tables.key)
                                     : "c.link_id";
  return fmt::format(
      "SELECT c.link_id, {0} FROM tg_edge_count c LEFT JOIN {1} ON {0} = {2}{3}"
      " WHERE c.edge_id = ? AND c.link_id > ? ORDER BY c.link_id LIMIT ?",
      tables.key, tables.rows_table, key, tables.filter);
}

std::string download() {
  return fmt::format(
      // The stored row may be newer than ours only by our own hand: absolute values, last one wins.
      "INSERT INTO tg_download(event_id, link_id, edge_id, started_at, ended_at, client_ip,"
      " user_agent, bytes_sent, file_size, outcome, counted)"
      " SELECT UNHEX(j.e), j.id, ?, j.s, j.t, j.ip, j.ua, j.b, j.z, j.r, j.n FROM{}WHERE true"
      " ON DUPLICATE KEY UPDATE started_at = VALUES(started_at), ended_at = VALUES(ended_at),"
      " bytes_sent = VALUES(bytes_sent), outcome = VALUES(outcome), counted = VALUES(counted)",
      json_rows(fmt::format(
          "e char(32) PATH '$[0]', {}'$[1]', s bigint PATH '$[2]', t bigint PATH '$[3]',"
          " ip varchar(64) PATH '$[4]', ua varchar(256) PATH '$[5]', b bigint PATH '$[6]',"
          " z bigint PATH '$[7]', r int PATH '$[8]', n bigint PATH '$[9]'",
          kLongId)));
}

class Preparer {
 public:
  explicit Preparer(maria::Connection& db) : db_(db) {}

  PreparedStatement operator()(const std::string& sql) {
    if (sql.empty()) return nullptr;
    try {
      return std::make_unique<maria::Statement>(db_, sql);
    } catch (const maria::Error& error) {
      if (!error.is_missing_right() && !error.is_missing_object()) throw;
      if (std::ranges::find(missing, error.what()) == missing.end()) {
        missing.emplace_back(error.what());
      }
      return nullptr;
    }
  }

  std::vector<std::string> missing;

 private:
  maria::Connection& db_;
};

}  // namespace

MariaSession::MariaSession(const MariaTarget& target, const std::string& password,
                           std::chrono::seconds patience)
    : db(target, password, {.read = patience}) {
  // READ COMMITTED: what was committed is seen by the next statement, and no gaps are locked.
  db.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
  // Neither do we wait long for a lock of the shop's, nor does the shop queue behind a statement of
  // ours that changes a table and waits.
  db.execute(
      "SET SESSION time_zone = '+00:00', innodb_lock_wait_timeout = 1, lock_wait_timeout = 1,"
      " group_concat_max_len = 65536, sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'");
}

std::vector<std::string> MariaSession::prepare(maria::Tables of) {
  tables = std::move(of);
  Preparer prepare(db);
  sql = {};
  sql.gate = prepare(
      "UPDATE tg_edge SET last_seq = ?, seen_at = UNIX_TIMESTAMP()"
      " WHERE edge_id = ? AND epoch = ? AND last_seq = ? - 1");
  sql.last_seq = prepare("SELECT last_seq FROM tg_edge WHERE edge_id = ? AND epoch = ?");
  sql.register_edge = prepare(
      "INSERT INTO tg_edge(edge_id, epoch) VALUES(?, ?)"
      " ON DUPLICATE KEY UPDATE seen_at = UNIX_TIMESTAMP()");
  sql.is_consumer = prepare("SELECT 1 FROM tg_consumer WHERE consumer = ?");
  sql.register_consumer = prepare("INSERT IGNORE INTO tg_consumer(consumer) VALUES(?)");
  sql.edges =
      prepare("SELECT edge_id, epoch, last_seq, seen_at FROM tg_edge ORDER BY edge_id, seen_at");
  sql.know = prepare(
      "INSERT INTO tg_edge_count(link_id, edge_id, epoch, total) SELECT j.id, ?, ?, 0 FROM" +
      json_rows(fmt::format("{}'$'", kLongId)) +
      "WHERE true ON DUPLICATE KEY UPDATE tg_edge_count.total = tg_edge_count.total");
  sql.add_total = prepare(
      "INSERT INTO tg_edge_count(link_id, edge_id, epoch, total, reset_gen)"
      " SELECT j.id, ?, ?, j.n, j.g FROM" +
      maria::charge_rows() +
      "WHERE true ON DUPLICATE KEY UPDATE tg_edge_count.total = tg_edge_count.total +"
      " VALUES(total)");
  for (const auto& charge : tables.charges) sql.charges.push_back(prepare(charge.sql));
  sql.log = prepare(tables.log);
  sql.create = prepare(tables.create);
  sql.block = prepare(tables.block);
  sql.download = prepare(download());
  sql.edit = prepare(tables.edit);
  sql.marks =
      prepare("SELECT kind, obj, gen FROM tg_dirty WHERE consumer = ? ORDER BY kind, obj LIMIT ?");
  const auto marked = fmt::format(
      "{}STRAIGHT_JOIN tg_dirty d ON d.kind = j.kind AND d.obj = j.obj AND d.consumer = ? ",
      json_rows(kMark));
  sql.lock_marks =
      prepare("SELECT d.kind, d.obj FROM" + marked + "WHERE d.gen = j.gen FOR UPDATE SKIP LOCKED");
  sql.unmark = prepare("DELETE d FROM" + marked + "WHERE true");
  const std::string key_type =
      tables.is_numeric ? "bigint unsigned" : "varchar(255) CHARACTER SET ascii COLLATE ascii_bin";
  sql.load = prepare(rows_by_list(tables, tables.key, key_type, ""));
  sql.scan = prepare(fmt::format("SELECT {0} FROM {1}{2} WHERE {3} > ?{4} ORDER BY {3} LIMIT ?",
                                 tables.columns, tables.rows_table, tables.joins, tables.key,
                                 tables.filter));
  sql.scan_lost = prepare(scan_lost(tables));
  sql.history_page = prepare(
      "SELECT HEX(event_id), ended_at FROM tg_download WHERE event_id > ? ORDER BY event_id"
      " LIMIT ?");
  for (const auto& expansion : tables.expansions) {
    sql.expansions.push_back(
        prepare(rows_by_list(tables, expansion.column, expansion.key_type,
                             expansion.known_only ? " AND c.link_id IS NOT NULL" : "")));
  }
  return std::move(prepare.missing);
}

void MariaSession::prepare_prune() {
  sql.prune = std::make_unique<maria::Statement>(
      db, "DELETE FROM tg_download WHERE event_id > ? AND event_id <= ? AND ended_at < ?");
}

std::string MariaSession::read_time_zone() {
  zone_ = nullptr;
  if (tables.time_zone_query.empty()) return {};
  maria::Statement query(db, tables.time_zone_query);
  query.execute();
  if (!query.step()) return "the shop has no time zone";
  const auto name = query.text(0);
  try {
    zone_ = date::locate_zone(name);
    return {};
  } catch (const std::runtime_error& error) {
    return fmt::format("the shop's time zone {} is not known here: {}", name, error.what());
  }
}

Row MariaSession::row(const maria::Statement& from) const {
  RowValues values{.link_id = from.text(0),
                   .max_copies = from.maybe_integer(1),
                   .used = from.integer(2),
                   .not_before = from.maybe_integer(4),
                   .expires_at = from.maybe_integer(5),
                   .state = column_state(from.text(6)),
                   .reset_gen = from.integer(7),
                   .own = from.integer(3)};
  if (zone_ && values.expires_at) values.expires_at = utc_of(*zone_, *values.expires_at);
  return to_row(std::move(values));
}

std::string engine_of(const maria::Connection& db) {
  const auto version = db.server_version();
  return fmt::format("{} {}", db.is_mysql() ? "MySQL" : "MariaDB",
                     version.substr(0, version.find('-')));
}

}  // namespace tallygate::shop
