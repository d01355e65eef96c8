#include "server/shop/postgres/postgres_database.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "server/shop/column.h"
#include "server/shop/history_reader.h"
#include "server/shop/postgres/postgres_schema.h"
#include "server/shop/postgres/postgres_statements.h"
#include "server/shop/row_values.h"

namespace tallygate::shop {
namespace {

using postgres::Array;
using postgres::Parameter;
using postgres::Transaction;

constexpr std::chrono::milliseconds kTimeout{5000};
// Making triggers waits for whoever uses the table.
constexpr std::chrono::milliseconds kSchemaTimeout{60'000};

// The server gives up before we do, so that a slow statement is an answer and not a lost
// connection; a lock sooner, since look-ups of waiting customers stand in the same queue.
constexpr const char* kSession =
    "SET statement_timeout = '4s'; SET lock_timeout = '500ms';"
    " SET idle_in_transaction_session_timeout = '10s';"
    " SET standard_conforming_strings = on; LISTEN tallygate";

Row read_row(const postgres::Result& from, int row, int first) {
  return to_row({.link_id = std::string(from.text(row, first)),
                 .max_copies = from.maybe_integer(row, first + 1),
                 .used = from.integer(row, first + 2),
                 .not_before = from.maybe_integer(row, first + 3),
                 .expires_at = from.maybe_integer(row, first + 4),
                 .state = column_state(from.text(row, first + 5)),
                 .reset_gen = from.integer(row, first + 6),
                 .own = from.integer(row, first + 7)});
}

std::vector<Row> read_rows(const postgres::Result& from) {
  std::vector<Row> rows;
  rows.reserve(static_cast<std::size_t>(from.rows()));
  for (int i = 0; i < from.rows(); ++i) rows.push_back(read_row(from, i, 0));
  return rows;
}

std::vector<EdgeCount> read_counters(const postgres::Result& from) {
  std::vector<EdgeCount> counters;
  for (int i = 0; i < from.rows(); ++i) {
    counters.push_back(
        to_count(std::string(from.text(i, 0)), from.integer(i, 1), from.integer(i, 2)));
  }
  return counters;
}

template <class Items, class Member>
Array column(const Items& items, Member member) {
  Array array;
  for (const auto& item : items) array.add(std::invoke(member, item));
  return array;
}

// An empty text is NULL.
template <class Items, class Member>
Array maybe_column(const Items& items, Member member) {
  Array array;
  for (const auto& item : items) {
    const std::string_view text = std::invoke(member, item);
    text.empty() ? array.add_null() : array.add(text);
  }
  return array;
}

std::string bytes_text(const EventId& id) {
  return fmt::format("\\x{:02x}", fmt::join(id, ""));
}

struct CountColumns {
  Parameter link_ids;
  Parameter copies;
  Parameter reset_gens;
};
CountColumns columns_of(const std::vector<CountedCopies>& counted) {
  return {column(counted, &CountedCopies::link_id), column(counted, &CountedCopies::copies),
          column(counted, [](const auto& c) { return std::uint64_t{c.reset_gen}; })};
}

std::string_view blocked_text(const BlockedRow& row) {
  if (row.blocked == ledger::Blocked::none) return {};
  return row.blocked == ledger::Blocked::copies ? "copies" : "traffic";
}

}  // namespace

PostgresDatabase::PostgresDatabase(std::string url, std::string password, bool makes_rows)
    : url_(std::move(url)), password_(std::move(password)), makes_rows_(makes_rows) {}

Failure PostgresDatabase::failure(bool retryable, std::string_view what) const {
  return {retryable, fmt::format("{}: {}", name(), what)};
}

template <class T, class Work>
Answer<T> PostgresDatabase::guarded(Work work) {
  if (!connection_) return failure(false, "not open");
  try {
    return work(*connection_);
  } catch (const postgres::Error& error) {
    return failure(error.is_transient() && !connection_->is_broken(), error.what());
  }
}

Answer<void> PostgresDatabase::open(bool) {
  connection_.reset();
  try {
    connection_ = std::make_unique<postgres::Connection>(url_, password_, kTimeout);
  } catch (const postgres::Error& error) {
    return failure(false, error.what());
  }
  auto ready = guarded<void>([&](postgres::Connection& connection) -> Answer<void> {
    engine_ = "PostgreSQL " + connection.server_version();
    connection.execute(kSession);
    if (connection.execute("SHOW transaction_read_only").text(0, 0) == "on") {
      return failure(false, "the server is read-only (a standby, or set so)");
    }
    auto missing = probe_postgres_schema(connection);
    if (!missing.needed.empty()) {
      return failure(false, fmt::format("missing: {}; tables are made by `tallygate shop init`, "
                                        "rights by what `tallygate shop init --grants` prints",
                                        fmt::join(missing.needed, ", ")));
    }
    for (const auto& statement : postgres_statements()) {
      connection.prepare(statement.name, statement.sql);
    }
    return {};
  });
  if (!ready) connection_.reset();
  return ready;
}

void PostgresDatabase::close() noexcept {
  connection_.reset();
}

Answer<void> PostgresDatabase::create_schema() {
  try {
    postgres::Connection connection(url_, password_, kSchemaTimeout);
    // Before the rest: it may name a column that an older version lacks.
    for (const auto& statement : probe_postgres_schema(connection).add_statements) {
      connection.execute(statement);
    }
    connection.execute(std::string(postgres_schema()));
    return {};
  } catch (const postgres::Error& error) {
    return failure(error.is_transient(), error.what());
  }
}

std::string PostgresDatabase::schema_sql() const {
  return std::string(postgres_schema());
}

std::string PostgresDatabase::grants_sql(std::string_view user, bool prunes) const {
  return postgres_grants(user, prunes);
}

Answer<std::uint64_t> PostgresDatabase::register_edge(const Edge& edge) {
  edge_ = edge;
  auto registered = guarded<void>([&](postgres::Connection& db) -> Answer<void> {
    const Parameter stream[] = {edge_.edge_id, edge_.epoch};
    const Parameter consumer[] = {edge_.edge_id};
    Transaction transaction(db);
    db.query(
        "INSERT INTO tg_edge(edge_id, epoch) VALUES($1, $2)"
        " ON CONFLICT (edge_id, epoch) DO UPDATE SET seen_at = now()",
        stream);
    db.query("INSERT INTO tg_consumer(consumer) VALUES($1) ON CONFLICT DO NOTHING", consumer);
    transaction.commit();
    return {};
  });
  if (!registered) return registered.error();
  return last_seq();
}

Answer<std::uint64_t> PostgresDatabase::last_seq() {
  return guarded<std::uint64_t>([&](postgres::Connection& db) -> Answer<std::uint64_t> {
    const auto found = db.run("last_seq", edge_.edge_id, edge_.epoch);
    if (found.rows() == 0) return failure(false, "the edge's row in tg_edge is gone");
    return static_cast<std::uint64_t>(found.integer(0, 0));
  });
}

Answer<PushReport> PostgresDatabase::push(const Batch& batch) {
  return guarded<PushReport>([&](postgres::Connection&) -> Answer<PushReport> {
    try {
      return push_whole(batch);
    } catch (const postgres::Error& error) {
      if (!error.is_refusal_of_data()) throw;
    }
    return push_by_item(batch);
  });
}

PushReport PostgresDatabase::push_whole(const Batch& batch) {
  Transaction transaction(*connection_);
  if (!pass_gate(batch.seq)) return {what_stopped(batch.seq), {}};
  apply(batch);
  transaction.commit();
  return {};
}

// One of its items is refused: finds which, and leaves that one out.
PushReport PostgresDatabase::push_by_item(const Batch& batch) {
  PushReport report;
  Transaction transaction(*connection_);
  if (!pass_gate(batch.seq)) return {what_stopped(batch.seq), {}};
  for (const auto& item : split_items(batch)) {
    connection_->execute("SAVEPOINT item");
    try {
      apply(item);
      connection_->execute("RELEASE item");
    } catch (const postgres::Error& error) {
      if (!error.is_refusal_of_data()) throw;
      connection_->execute("ROLLBACK TO item; RELEASE item");
      report.parked.push_back({link_of_item(item), error.what()});
      record(item);
    }
  }
  transaction.commit();
  return report;
}

// Of two that send the same batch the second waits here for the first, and then finds it applied.
bool PostgresDatabase::pass_gate(std::uint64_t seq) {
  // What follows leaves no mark for this edge.
  connection_->run("origin", edge_.edge_id);
  return connection_->run("gate", edge_.edge_id, edge_.epoch, seq).affected() == 1;
}

Pushed PostgresDatabase::what_stopped(std::uint64_t seq) {
  const auto found = connection_->run("last_seq", edge_.edge_id, edge_.epoch);
  const bool is_applied =
      found.rows() == 1 && static_cast<std::uint64_t>(found.integer(0, 0)) >= seq;
  return is_applied ? Pushed::already_applied : Pushed::gap;
}

void PostgresDatabase::apply(const Batch& batch) {
  auto& db = *connection_;
  if (makes_rows_ && !batch.created.empty()) {
    db.run("create", column(batch.created, &CreatedRow::link_id),
           column(batch.created, &CreatedRow::file_id));
  }
  const auto counts = columns_of(batch.counted);
  if (!batch.counted.empty()) db.run("lock", counts.link_ids);
  record(batch);
  if (!batch.counted.empty()) {
    db.run("charge", edge_.edge_id, edge_.epoch, counts.link_ids, counts.copies, counts.reset_gens);
  }
  if (!batch.blocked.empty()) {
    db.run("block", column(batch.blocked, &BlockedRow::link_id),
           maybe_column(batch.blocked, blocked_text));
  }
  if (!batch.history.empty()) {
    const auto& rows = batch.history;
    Array event_ids;
    for (const auto& row : rows) event_ids.add_bytes(row.event_id);
    db.run("download", edge_.edge_id, event_ids, column(rows, &HistoryRow::link_id),
           column(rows, &HistoryRow::started_at), column(rows, &HistoryRow::ended_at),
           maybe_column(rows, &HistoryRow::client_ip), maybe_column(rows, &HistoryRow::user_agent),
           column(rows, &HistoryRow::bytes_sent), column(rows, &HistoryRow::file_size),
           column(rows, [](const auto& r) { return static_cast<std::int64_t>(r.outcome); }),
           column(rows, &HistoryRow::counted));
  }
}

// What this edge did, whatever the shop's rows say to it.
void PostgresDatabase::record(const Batch& batch) {
  auto& db = *connection_;
  if (!batch.created.empty()) {
    db.run("know", edge_.edge_id, edge_.epoch, column(batch.created, &CreatedRow::link_id));
  }
  if (!batch.counted.empty()) {
    const auto counts = columns_of(batch.counted);
    db.run("add_total", edge_.edge_id, edge_.epoch, counts.link_ids, counts.copies,
           counts.reset_gens);
  }
}

// A look costs two indexed reads of small tables; whether it is worth it, nobody can say for less.
Answer<std::uint64_t> PostgresDatabase::change_stamp() {
  return guarded<std::uint64_t>([&](postgres::Connection& db) -> Answer<std::uint64_t> {
    db.forget_notifications();
    return ++stamp_;
  });
}

Answer<std::vector<std::string>> PostgresDatabase::missing_triggers() {
  return guarded<std::vector<std::string>>(
      [&](postgres::Connection& db) -> Answer<std::vector<std::string>> {
        return missing_postgres_triggers(db);
      });
}

int PostgresDatabase::wake_descriptor() const noexcept {
  return connection_ ? connection_->socket() : -1;
}

bool PostgresDatabase::has_news() const noexcept {
  return connection_ && connection_->is_notified();
}

Answer<std::vector<Change>> PostgresDatabase::take_changes(std::size_t marks_max) {
  return guarded<std::vector<Change>>([&](postgres::Connection& db) -> Answer<std::vector<Change>> {
    std::vector<Change> changes;
    const auto found = db.run("changes", edge_.edge_id, edge_.epoch, marks_max);
    for (int i = 0; i < found.rows(); ++i) {
      Change change;
      change.mark = {'L', std::string(found.text(i, 0)),
                     static_cast<std::uint64_t>(found.integer(i, 1))};
      if (found.is_null(i, 2)) {
        change.gone.push_back(change.mark.object);
      } else {
        change.rows.push_back(read_row(found, i, 2));
      }
      changes.push_back(std::move(change));
    }
    return changes;
  });
}

Answer<void> PostgresDatabase::acknowledge(std::span<const Mark> marks) {
  if (marks.empty()) return {};
  return guarded<void>([&](postgres::Connection& db) -> Answer<void> {
    db.run("unmark", edge_.edge_id,
           column(marks, [](const Mark& m) { return std::string_view(&m.kind, 1); }),
           column(marks, &Mark::object), column(marks, &Mark::generation));
    return {};
  });
}

Answer<std::vector<Row>> PostgresDatabase::load(std::span<const std::string> link_ids) {
  return guarded<std::vector<Row>>([&](postgres::Connection& db) -> Answer<std::vector<Row>> {
    const auto ids = column(link_ids, [](const std::string& id) { return std::string_view(id); });
    return read_rows(db.run("load", edge_.edge_id, edge_.epoch, ids));
  });
}

Answer<std::vector<Row>> PostgresDatabase::scan(std::string_view after, std::size_t rows_max) {
  return guarded<std::vector<Row>>([&](postgres::Connection& db) -> Answer<std::vector<Row>> {
    return read_rows(db.run("scan", edge_.edge_id, edge_.epoch, after, rows_max));
  });
}

Answer<LostLinks> PostgresDatabase::scan_lost(std::string_view after, std::size_t links_max) {
  return guarded<LostLinks>([&](postgres::Connection& db) -> Answer<LostLinks> {
    LostLinks lost;
    const auto found = db.run("scan_lost", edge_.edge_id, after, links_max);
    for (int i = 0; i < found.rows(); ++i) {
      lost.next = found.text(i, 0);
      if (found.text(i, 1) == "t") lost.link_ids.push_back(lost.next);
    }
    lost.is_end = static_cast<std::size_t>(found.rows()) < links_max;
    return lost;
  });
}

Answer<bool> PostgresDatabase::edit(std::string_view link_id, const Edit& edit) {
  return guarded<bool>([&](postgres::Connection& db) -> Answer<bool> {
    // Rare: not prepared. A parameter that says "set" stands before each value.
    const auto state = edit.state ? std::optional(static_cast<int>(*edit.state)) : std::nullopt;
    const Parameter values[] = {link_id,
                                edit.max_copies.has_value(),
                                edit.max_copies.value_or(std::nullopt),
                                edit.expires_at.has_value(),
                                edit.expires_at.value_or(std::nullopt),
                                state,
                                edit.reset};
    Transaction transaction(db);
    if (edit.create) {
      Array ids;
      ids.add(link_id);
      Array files;
      files.add(std::string_view());
      db.run("create", ids, files);
    }
    const auto updated = db.query(
        "UPDATE tg_link SET max_copies = CASE WHEN $2::bool THEN $3::int ELSE max_copies END,"
        " expires_at = CASE WHEN $4::bool THEN $5::bigint ELSE expires_at END,"
        " state = coalesce($6::smallint, state),"
        " used = CASE WHEN $7::bool THEN 0 ELSE used END, reset_gen = reset_gen + $7::bool::int,"
        " updated_at = now() WHERE link_id = $1",
        values);
    transaction.commit();
    return updated.affected() > 0;
  });
}

Answer<std::vector<HistoryRow>> PostgresDatabase::downloads_of(std::string_view link_id,
                                                               std::size_t rows_max) {
  return guarded<std::vector<HistoryRow>>(
      [&](postgres::Connection& db) -> Answer<std::vector<HistoryRow>> {
        std::vector<HistoryRow> rows;
        const Parameter values[] = {link_id, rows_max};
        // Rare: not prepared.
        const auto found = db.query(fmt::format("SELECT {} FROM tg_download WHERE link_id = $1"
                                                " ORDER BY started_at DESC, event_id DESC LIMIT $2",
                                                kDownloadColumns),
                                    values);
        for (int i = 0; i < found.rows(); ++i) {
          rows.push_back(read_download(
              link_id, [&](int column) { return found.text(i, column); },
              [&](int column) { return found.integer(i, column); }));
        }
        return rows;
      });
}

Answer<HistoryPage> PostgresDatabase::prune_history(const EventId& after, std::int64_t ended_before,
                                                    std::size_t rows_max) {
  return guarded<HistoryPage>([&](postgres::Connection& db) -> Answer<HistoryPage> {
    HistoryReader page(ended_before);
    const auto found = db.run("history_page", bytes_text(after), rows_max);
    for (int i = 0; i < found.rows(); ++i) page.add(found.text(i, 0), found.integer(i, 1));
    if (page.old_rows() > 0) {
      const auto pruned =
          db.run("prune", bytes_text(after), bytes_text(page.result().last), ended_before);
      page.deleted(pruned.affected());
    }
    return page.result();
  });
}

// Rare, all of these: not prepared.
Answer<std::vector<EdgeCount>> PostgresDatabase::counters_of(
    std::uint64_t epoch, std::span<const std::string> link_ids) {
  return guarded<std::vector<EdgeCount>>(
      [&](postgres::Connection& db) -> Answer<std::vector<EdgeCount>> {
        const Parameter values[] = {
            edge_.edge_id, epoch,
            column(link_ids, [](const std::string& id) { return std::string_view(id); })};
        return read_counters(
            db.query("SELECT link_id, reset_gen, charged FROM tg_edge_count"
                     " WHERE edge_id = $1 AND epoch = $2 AND link_id = ANY($3::text[])",
                     values));
      });
}

Answer<std::vector<EdgeCount>> PostgresDatabase::counters_after(std::uint64_t epoch,
                                                                std::string_view after,
                                                                std::size_t links_max) {
  return guarded<std::vector<EdgeCount>>(
      [&](postgres::Connection& db) -> Answer<std::vector<EdgeCount>> {
        const Parameter values[] = {edge_.edge_id, epoch, after, links_max};
        return read_counters(db.query(
            "SELECT link_id, reset_gen, charged FROM tg_edge_count"
            " WHERE edge_id = $1 AND epoch = $2 AND link_id > $3 ORDER BY link_id LIMIT $4",
            values));
      });
}

Answer<void> PostgresDatabase::make_counters(std::span<const EdgeCount> counters) {
  return guarded<void>([&](postgres::Connection& db) -> Answer<void> {
    const Parameter values[] = {
        edge_.edge_id, edge_.epoch, column(counters, &EdgeCount::link_id),
        column(counters, &EdgeCount::charged),
        column(counters, [](const auto& c) { return std::uint64_t{c.reset_gen}; })};
    db.query(
        "INSERT INTO tg_edge_count(link_id, edge_id, epoch, total, charged, reset_gen)"
        " SELECT l, $1, $2, 0, n, g FROM unnest($3::text[], $4::bigint[], $5::bigint[]) x(l, n, g)"
        " ON CONFLICT (link_id, edge_id, epoch) DO UPDATE"
        " SET charged = EXCLUDED.charged, reset_gen = EXCLUDED.reset_gen",
        values);
    return {};
  });
}

Answer<void> PostgresDatabase::begin_after(std::uint64_t last_seq) {
  return guarded<void>([&](postgres::Connection& db) -> Answer<void> {
    const Parameter values[] = {edge_.edge_id, edge_.epoch, last_seq};
    db.query("UPDATE tg_edge SET last_seq = $3 WHERE edge_id = $1 AND epoch = $2 AND last_seq = 0",
             values);
    return {};
  });
}

Answer<std::vector<EdgeSeen>> PostgresDatabase::edges() {
  return guarded<std::vector<EdgeSeen>>(
      [&](postgres::Connection& db) -> Answer<std::vector<EdgeSeen>> {
        std::vector<EdgeSeen> edges;
        const auto found = db.execute(
            "SELECT edge_id, epoch, last_seq, extract(epoch FROM seen_at)::bigint FROM tg_edge"
            " ORDER BY edge_id, seen_at");
        for (int i = 0; i < found.rows(); ++i) {
          edges.push_back(
              {{std::string(found.text(i, 0)), static_cast<std::uint64_t>(found.integer(i, 1))},
               static_cast<std::uint64_t>(found.integer(i, 2)),
               found.integer(i, 3)});
        }
        return edges;
      });
}

}  // namespace tallygate::shop
