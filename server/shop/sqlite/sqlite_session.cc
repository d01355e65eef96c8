#include "server/shop/sqlite/sqlite_session.h"

#include "server/shop/column.h"
#include "server/shop/row_values.h"

namespace tallygate::shop {
namespace {

// Short, since look-ups of waiting customers stand in the same queue.
constexpr std::chrono::milliseconds kBusyTimeout{200};

// A row and this edge's part of its `used`: what read_row reads.
const std::string kRow =
    " k.link_id, k.max_copies, k.used, k.not_before, k.expires_at, k.state, k.reset_gen,"
    " c.charged ";
const std::string kOwnPart =
    " LEFT JOIN tg_edge_count c ON c.link_id = k.link_id AND c.edge_id = ?1 AND c.epoch = ?2"
    " AND c.reset_gen = k.reset_gen ";

}  // namespace

SqliteStatements::SqliteStatements(sqlite::Connection& db)
    : gate(db,
           "UPDATE tg_edge SET last_seq = ?3, seen_at = unixepoch()"
           " WHERE edge_id = ?1 AND epoch = ?2 AND last_seq = ?3 - 1"),
      last_seq(db, "SELECT last_seq FROM tg_edge WHERE edge_id = ?1 AND epoch = ?2"),
      register_edge(db,
                    "INSERT INTO tg_edge(edge_id, epoch) VALUES(?1, ?2)"
                    " ON CONFLICT(edge_id, epoch) DO UPDATE SET seen_at = unixepoch()"),
      register_consumer(db,
                        "INSERT INTO tg_consumer(consumer) VALUES(?1)"
                        " ON CONFLICT(consumer) DO NOTHING"),
      mute(db, "UPDATE tg_consumer SET muted = ?2 WHERE consumer = ?1"),
      create(db,
             "INSERT INTO tg_link(link_id, file_id) VALUES(?1, ?2)"
             " ON CONFLICT(link_id) DO NOTHING"),
      know(db,
           "INSERT INTO tg_edge_count(link_id, edge_id, epoch, total) VALUES(?1, ?2, ?3, 0)"
           " ON CONFLICT(link_id, edge_id, epoch) DO NOTHING"),
      add_total(db,
                "INSERT INTO tg_edge_count(link_id, edge_id, epoch, total, reset_gen)"
                " VALUES(?1, ?2, ?3, ?4, ?5)"
                " ON CONFLICT(link_id, edge_id, epoch) DO UPDATE SET total = total + ?4"),
      add_charged(db,
                  "UPDATE tg_edge_count SET reset_gen = ?5,"
                  " charged = CASE reset_gen WHEN ?5 THEN charged + ?4 ELSE ?4 END"
                  " WHERE link_id = ?1 AND edge_id = ?2 AND epoch = ?3"),
      add_used(db,
               "UPDATE tg_link SET used = used + ?2, updated_at = unixepoch()"
               " WHERE link_id = ?1 AND reset_gen = ?3"),
      block(db,
            "UPDATE tg_link SET blocked = ?2, updated_at = unixepoch()"
            " WHERE link_id = ?1 AND blocked IS NOT ?2"),
      // The stored row may be newer than ours only by our own hand: absolute values, last one wins.
      download(db,
               "INSERT INTO tg_download(event_id, link_id, edge_id, started_at, ended_at,"
               " client_ip, user_agent, bytes_sent, file_size, outcome, counted)"
               " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
               " ON CONFLICT(event_id) DO UPDATE SET started_at = ?4, ended_at = ?5,"
               " bytes_sent = ?8, outcome = ?10, counted = ?11"),
      data_version(db, "PRAGMA data_version"),
      changes(db, "SELECT d.obj, d.gen," + kRow +
                      "FROM tg_dirty d LEFT JOIN tg_link k ON k.link_id = d.obj" + kOwnPart +
                      "WHERE d.consumer = ?1 AND d.kind = 'L' ORDER BY d.obj LIMIT ?3"),
      unmark(db,
             "DELETE FROM tg_dirty WHERE consumer = ?1 AND kind = 'L' AND obj = ?2 AND gen = ?3"),
      load(db, "SELECT" + kRow + "FROM tg_link k" + kOwnPart + "WHERE k.link_id = ?3"),
      scan(db, "SELECT" + kRow + "FROM tg_link k" + kOwnPart +
                   "WHERE k.link_id > ?3 ORDER BY k.link_id LIMIT ?4"),
      scan_lost(db,
                "SELECT DISTINCT c.link_id, k.link_id FROM tg_edge_count c"
                " LEFT JOIN tg_link k ON k.link_id = c.link_id"
                " WHERE c.edge_id = ?1 AND c.link_id > ?2 ORDER BY c.link_id LIMIT ?3"),
      history_page(db,
                   "SELECT hex(event_id), ended_at FROM tg_download WHERE event_id > ?1"
                   " ORDER BY event_id LIMIT ?2"),
      prune(db,
            "DELETE FROM tg_download WHERE event_id > ?1 AND event_id <= ?2 AND ended_at < ?3") {}

Row read_row(const sqlite::Statement& from, int first) {
  return to_row({.link_id = from.text(first),
                 .max_copies = from.maybe_integer(first + 1),
                 .used = from.integer(first + 2),
                 .not_before = from.maybe_integer(first + 3),
                 .expires_at = from.maybe_integer(first + 4),
                 .state = column_state(from.text(first + 5)),
                 .reset_gen = from.integer(first + 6),
                 .own = from.integer(first + 7)});
}

SqliteSession::SqliteSession(const std::filesystem::path& file)
    : db(file.string(), sqlite::OpenMode::existing, kBusyTimeout) {}

}  // namespace tallygate::shop
