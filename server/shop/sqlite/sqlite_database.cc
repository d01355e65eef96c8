#include "server/shop/sqlite/sqlite_database.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "server/shop/history_reader.h"
#include "server/shop/row_values.h"
#include "server/shop/sqlite/sqlite_schema.h"
#include "server/shop/sqlite/sqlite_session.h"

namespace tallygate::shop {
namespace {

using sqlite::Transaction;

constexpr std::chrono::milliseconds kSchemaBusyTimeout{1000};

std::optional<std::string_view> null_if_empty(std::string_view text) {
  if (text.empty()) return std::nullopt;
  return text;
}

std::optional<std::string_view> blocked_text(ledger::Blocked blocked) {
  switch (blocked) {
    case ledger::Blocked::copies:
      return "copies";
    case ledger::Blocked::traffic:
      return "traffic";
    case ledger::Blocked::none:
      break;
  }
  return std::nullopt;
}

// Applies one item. What the database refuses for the item's own sake is parked; the transaction
// goes on, unless a trigger of the merchant's rolled back all of it.
template <class Work>
void apply_item(SqliteSession& session, std::string_view link_id, std::vector<Parked>& parked,
                Work work) {
  try {
    work();
  } catch (const sqlite::Error& error) {
    if (!error.is_constraint() || !session.db.in_transaction()) throw;
    parked.push_back({std::string(link_id), error.what()});
  }
}

void apply_batch(SqliteSession& session, const Edge& edge, const Batch& batch, bool makes_rows,
                 std::vector<Parked>& parked) {
  auto& sql = *session.sql;
  for (const auto& row : batch.created) {
    sql.know.run(row.link_id, edge.edge_id, edge.epoch);
    if (!makes_rows) continue;
    apply_item(session, row.link_id, parked, [&] { sql.create.run(row.link_id, row.file_id); });
  }
  for (const auto& count : batch.counted) {
    sql.add_total.run(count.link_id, edge.edge_id, edge.epoch, count.copies, count.reset_gen);
    apply_item(session, count.link_id, parked, [&] {
      sql.add_used.run(count.link_id, count.copies, count.reset_gen);
      if (session.db.changes() == 0) return;  // gone, or of another generation: not charged
      sql.add_charged.run(count.link_id, edge.edge_id, edge.epoch, count.copies, count.reset_gen);
    });
  }
  for (const auto& row : batch.blocked) {
    apply_item(session, row.link_id, parked,
               [&] { sql.block.run(row.link_id, blocked_text(row.blocked)); });
  }
  for (const auto& row : batch.history) {
    apply_item(session, row.link_id, parked, [&] {
      sql.download.run(row.event_id, row.link_id, edge.edge_id, row.started_at, row.ended_at,
                       null_if_empty(row.client_ip), null_if_empty(row.user_agent), row.bytes_sent,
                       row.file_size, static_cast<int>(row.outcome), row.counted);
    });
  }
}

EdgeCount read_counter(const sqlite::Statement& from) {
  return to_count(from.text(0), from.integer(1), from.integer(2));
}

// The file at our path is not the one that is open.
struct Moved {};

}  // namespace

SqliteDatabase::SqliteDatabase(std::filesystem::path file, bool makes_rows)
    : file_(std::move(file)), makes_rows_(makes_rows) {}

SqliteDatabase::~SqliteDatabase() = default;

Failure SqliteDatabase::failure(bool retryable, std::string_view what) const {
  return {retryable, fmt::format("{}: {}", name(), what)};
}

template <class T, class Work>
Answer<T> SqliteDatabase::guarded(Work work) {
  if (!session_) return failure(false, "not open");
  try {
    if (session_->db.has_moved()) throw Moved{};
    return work(*session_);
  } catch (const Moved&) {
    return failure(false, "the file was moved, replaced or removed");
  } catch (const sqlite::Error& error) {
    return failure(error.is_transient(), error.what());
  }
}

std::string SqliteDatabase::name() const {
  return "sqlite:" + file_.string();
}

std::string SqliteDatabase::engine() const {
  return fmt::format("SQLite {}", sqlite::version());
}

Answer<void> SqliteDatabase::open(bool create) {
  session_.reset();
  if (create) {
    if (auto created = create_schema(); !created) return created;
  }
  if (std::error_code ignored; !std::filesystem::exists(file_, ignored)) {
    return failure(false, "no such file; put it back, or make one with `tallygate shop init`");
  }
  try {
    session_ = std::make_unique<SqliteSession>(file_);
  } catch (const sqlite::Error& error) {
    return failure(false, error.what());
  }
  auto ready = guarded<void>([&](SqliteSession& session) -> Answer<void> {
    const auto missing = probe_sqlite_schema(session.db);
    if (!missing.tables_and_columns.empty()) {
      return failure(false, fmt::format("missing: {}; tables are made by `tallygate shop init`",
                                        fmt::join(missing.tables_and_columns, ", ")));
    }
    if (!missing.triggers.empty()) session.db.execute(std::string(sqlite_schema()).c_str());
    session.sql.emplace(session.db);
    return {};
  });
  if (!ready) session_.reset();
  return ready;
}

void SqliteDatabase::close() noexcept {
  session_.reset();
}

Answer<void> SqliteDatabase::create_schema() {
  try {
    sqlite::Connection db(file_.string(), sqlite::OpenMode::create, kSchemaBusyTimeout);
    db.execute(std::string(sqlite_schema()).c_str());
    return {};
  } catch (const sqlite::Error& error) {
    return failure(error.is_transient(), error.what());
  }
}

std::string SqliteDatabase::schema_sql() const {
  return std::string(sqlite_schema());
}

std::string SqliteDatabase::grants_sql(std::string_view, bool) const {
  return {};  // who may write the file may do everything
}

Answer<std::uint64_t> SqliteDatabase::register_edge(const Edge& edge) {
  edge_ = edge;
  auto registered = guarded<void>([&](SqliteSession& session) -> Answer<void> {
    Transaction transaction(session.db, Transaction::Kind::write);
    session.sql->register_edge.run(edge_.edge_id, edge_.epoch);
    session.sql->register_consumer.run(edge_.edge_id);
    transaction.commit();
    return {};
  });
  if (!registered) return registered.error();
  return last_seq();
}

Answer<std::uint64_t> SqliteDatabase::last_seq() {
  return guarded<std::uint64_t>([&](SqliteSession& session) -> Answer<std::uint64_t> {
    auto& query = session.sql->last_seq.bind(edge_.edge_id, edge_.epoch);
    if (!query.step()) return failure(false, "the edge's row in tg_edge is gone");
    const auto seq = static_cast<std::uint64_t>(query.integer(0));
    query.reset();
    return seq;
  });
}

Answer<PushReport> SqliteDatabase::push(const Batch& batch) {
  return guarded<PushReport>([&](SqliteSession& session) -> Answer<PushReport> {
    auto& sql = *session.sql;
    Transaction transaction(session.db, Transaction::Kind::write);
    sql.gate.run(edge_.edge_id, edge_.epoch, batch.seq);
    if (session.db.changes() == 0) {
      auto& query = sql.last_seq.bind(edge_.edge_id, edge_.epoch);
      const bool applied =
          query.step() && static_cast<std::uint64_t>(query.integer(0)) >= batch.seq;
      query.reset();
      return PushReport{applied ? Pushed::already_applied : Pushed::gap, {}};
    }
    PushReport report;
    sql.mute.run(edge_.edge_id, 1);
    apply_batch(session, edge_, batch, makes_rows_, report.parked);
    sql.mute.run(edge_.edge_id, 0);
    transaction.commit();
    return report;
  });
}

Answer<std::uint64_t> SqliteDatabase::change_stamp() {
  return guarded<std::uint64_t>([&](SqliteSession& session) -> Answer<std::uint64_t> {
    auto& query = session.sql->data_version.bind();
    query.step();
    const auto stamp = static_cast<std::uint64_t>(query.integer(0));
    query.reset();
    return stamp;
  });
}

// None, but for a moment: they are made again.
Answer<std::vector<std::string>> SqliteDatabase::missing_triggers() {
  return guarded<std::vector<std::string>>(
      [&](SqliteSession& session) -> Answer<std::vector<std::string>> {
        if (!probe_sqlite_schema(session.db).triggers.empty()) {
          session.db.execute(std::string(sqlite_schema()).c_str());
        }
        return std::vector<std::string>();
      });
}

Answer<std::vector<Change>> SqliteDatabase::take_changes(std::size_t marks_max) {
  return guarded<std::vector<Change>>([&](SqliteSession& session) -> Answer<std::vector<Change>> {
    std::vector<Change> changes;
    auto& query = session.sql->changes.bind(edge_.edge_id, edge_.epoch, marks_max);
    while (query.step()) {
      Change change;
      change.mark = {'L', query.text(0), static_cast<std::uint64_t>(query.integer(1))};
      if (query.is_null(2)) {
        change.gone.push_back(change.mark.object);
      } else {
        change.rows.push_back(read_row(query, 2));
      }
      changes.push_back(std::move(change));
    }
    return changes;
  });
}

Answer<void> SqliteDatabase::acknowledge(std::span<const Mark> marks) {
  if (marks.empty()) return {};
  return guarded<void>([&](SqliteSession& session) -> Answer<void> {
    Transaction transaction(session.db, Transaction::Kind::write);
    for (const auto& mark : marks) {
      session.sql->unmark.run(edge_.edge_id, mark.object, mark.generation);
    }
    transaction.commit();
    return {};
  });
}

Answer<std::vector<Row>> SqliteDatabase::load(std::span<const std::string> link_ids) {
  return guarded<std::vector<Row>>([&](SqliteSession& session) -> Answer<std::vector<Row>> {
    std::vector<Row> rows;
    Transaction snapshot(session.db, Transaction::Kind::read);
    for (const auto& link_id : link_ids) {
      auto& query = session.sql->load.bind(edge_.edge_id, edge_.epoch, link_id);
      while (query.step()) rows.push_back(read_row(query, 0));
    }
    return rows;
  });
}

Answer<std::vector<Row>> SqliteDatabase::scan(std::string_view after, std::size_t rows_max) {
  return guarded<std::vector<Row>>([&](SqliteSession& session) -> Answer<std::vector<Row>> {
    std::vector<Row> rows;
    auto& query = session.sql->scan.bind(edge_.edge_id, edge_.epoch, after, rows_max);
    while (query.step()) rows.push_back(read_row(query, 0));
    return rows;
  });
}

Answer<LostLinks> SqliteDatabase::scan_lost(std::string_view after, std::size_t links_max) {
  return guarded<LostLinks>([&](SqliteSession& session) -> Answer<LostLinks> {
    LostLinks lost;
    std::size_t links = 0;
    auto& query = session.sql->scan_lost.bind(edge_.edge_id, after, links_max);
    for (; query.step(); ++links) {
      lost.next = query.text(0);
      if (query.is_null(1)) lost.link_ids.push_back(lost.next);
    }
    lost.is_end = links < links_max;
    return lost;
  });
}

Answer<bool> SqliteDatabase::edit(std::string_view link_id, const Edit& edit) {
  return guarded<bool>([&](SqliteSession& session) -> Answer<bool> {
    // Rare: prepared on the spot. A parameter that says "set" stands before each value.
    sqlite::Statement update(
        session.db,
        "UPDATE tg_link SET max_copies = CASE WHEN ?2 THEN ?3 ELSE max_copies END,"
        " expires_at = CASE WHEN ?4 THEN ?5 ELSE expires_at END, state = coalesce(?6, state),"
        " used = CASE WHEN ?7 THEN 0 ELSE used END, reset_gen = reset_gen + ?7,"
        " updated_at = unixepoch() WHERE link_id = ?1");
    const auto state = edit.state ? std::optional(static_cast<int>(*edit.state)) : std::nullopt;
    Transaction transaction(session.db, Transaction::Kind::write);
    if (edit.create) session.sql->create.run(link_id, std::string_view());
    update.run(link_id, edit.max_copies.has_value(), edit.max_copies.value_or(std::nullopt),
               edit.expires_at.has_value(), edit.expires_at.value_or(std::nullopt), state,
               edit.reset);
    const bool found = session.db.changes() > 0;
    transaction.commit();
    return found;
  });
}

Answer<std::vector<HistoryRow>> SqliteDatabase::downloads_of(std::string_view link_id,
                                                             std::size_t rows_max) {
  return guarded<std::vector<HistoryRow>>(
      [&](SqliteSession& session) -> Answer<std::vector<HistoryRow>> {
        std::vector<HistoryRow> rows;
        // Rare: prepared on the spot.
        sqlite::Statement query(session.db,
                                fmt::format("SELECT {} FROM tg_download WHERE link_id = ?1"
                                            " ORDER BY started_at DESC, event_id DESC LIMIT ?2",
                                            kDownloadColumns));
        query.bind(link_id, rows_max);
        while (query.step()) {
          rows.push_back(read_download(
              link_id, [&](int column) { return query.text(column); },
              [&](int column) { return query.integer(column); }));
        }
        return rows;
      });
}

Answer<HistoryPage> SqliteDatabase::prune_history(const EventId& after, std::int64_t ended_before,
                                                  std::size_t rows_max) {
  return guarded<HistoryPage>([&](SqliteSession& session) -> Answer<HistoryPage> {
    HistoryReader page(ended_before);
    auto& query = session.sql->history_page.bind(after, rows_max);
    while (query.step()) page.add(query.text(0), query.integer(1));
    // The write lock is taken only for something to delete.
    if (page.old_rows() > 0) {
      session.sql->prune.run(after, page.result().last, ended_before);
      page.deleted(static_cast<std::size_t>(session.db.changes()));
    }
    return page.result();
  });
}

// Rare, all of these: prepared on the spot.
Answer<std::vector<EdgeCount>> SqliteDatabase::counters_of(std::uint64_t epoch,
                                                           std::span<const std::string> link_ids) {
  return guarded<std::vector<EdgeCount>>(
      [&](SqliteSession& session) -> Answer<std::vector<EdgeCount>> {
        std::vector<EdgeCount> counters;
        sqlite::Statement query(session.db,
                                "SELECT link_id, reset_gen, charged FROM tg_edge_count"
                                " WHERE edge_id = ?1 AND epoch = ?2 AND link_id = ?3");
        Transaction snapshot(session.db, Transaction::Kind::read);
        for (const auto& link_id : link_ids) {
          query.bind(edge_.edge_id, epoch, link_id);
          while (query.step()) counters.push_back(read_counter(query));
        }
        return counters;
      });
}

Answer<std::vector<EdgeCount>> SqliteDatabase::counters_after(std::uint64_t epoch,
                                                              std::string_view after,
                                                              std::size_t links_max) {
  return guarded<std::vector<EdgeCount>>(
      [&](SqliteSession& session) -> Answer<std::vector<EdgeCount>> {
        std::vector<EdgeCount> counters;
        sqlite::Statement query(session.db,
                                "SELECT link_id, reset_gen, charged FROM tg_edge_count"
                                " WHERE edge_id = ?1 AND epoch = ?2 AND link_id > ?3"
                                " ORDER BY link_id LIMIT ?4");
        query.bind(edge_.edge_id, epoch, after, links_max);
        while (query.step()) counters.push_back(read_counter(query));
        return counters;
      });
}

Answer<void> SqliteDatabase::make_counters(std::span<const EdgeCount> counters) {
  return guarded<void>([&](SqliteSession& session) -> Answer<void> {
    sqlite::Statement insert(
        session.db,
        "INSERT INTO tg_edge_count(link_id, edge_id, epoch, total, charged, reset_gen)"
        " VALUES(?1, ?2, ?3, 0, ?4, ?5) ON CONFLICT(link_id, edge_id, epoch) DO UPDATE"
        " SET charged = ?4, reset_gen = ?5");
    Transaction transaction(session.db, Transaction::Kind::write);
    for (const auto& counter : counters) {
      insert.run(counter.link_id, edge_.edge_id, edge_.epoch, counter.charged, counter.reset_gen);
    }
    transaction.commit();
    return {};
  });
}

Answer<void> SqliteDatabase::begin_after(std::uint64_t last_seq) {
  return guarded<void>([&](SqliteSession& session) -> Answer<void> {
    sqlite::Statement(session.db,
                      "UPDATE tg_edge SET last_seq = ?3 WHERE edge_id = ?1 AND epoch = ?2"
                      " AND last_seq = 0")
        .run(edge_.edge_id, edge_.epoch, last_seq);
    return {};
  });
}

Answer<std::vector<EdgeSeen>> SqliteDatabase::edges() {
  return guarded<std::vector<EdgeSeen>>(
      [&](SqliteSession& session) -> Answer<std::vector<EdgeSeen>> {
        std::vector<EdgeSeen> edges;
        sqlite::Statement query(
            session.db,
            "SELECT edge_id, epoch, last_seq, seen_at FROM tg_edge ORDER BY edge_id, seen_at");
        while (query.step()) {
          edges.push_back({{query.text(0), static_cast<std::uint64_t>(query.integer(1))},
                           static_cast<std::uint64_t>(query.integer(2)),
                           query.integer(3)});
        }
        return edges;
      });
}

}  // namespace tallygate::shop
