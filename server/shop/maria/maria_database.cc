#include "server/shop/maria/maria_database.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <map>

#include "server/shop/history_reader.h"
#include "server/shop/maria/maria_push.h"
#include "server/shop/maria/maria_schema.h"
#include "server/shop/maria/maria_session.h"
#include "server/shop/row_values.h"

namespace tallygate::shop {
namespace {

namespace json = boost::json;
using maria::Transaction;

constexpr std::chrono::seconds kPatience{5};
constexpr std::chrono::seconds kSchemaPatience{120};  // a table may be large

bool is_read_only(maria::Connection& db) {
  maria::Statement query(db, "SELECT @@global.read_only");
  query.execute();
  if (!query.step()) return false;
  const auto value = query.text(0);
  return value != "0" && value != "OFF";
}

bool has_hpos(maria::Connection& db, std::string_view prefix) {
  const auto options = maria::quoted(fmt::format("{}options", prefix));
  try {
    maria::Statement query(db, fmt::format("SELECT option_value FROM {} WHERE option_name ="
                                           " 'woocommerce_custom_orders_table_enabled'",
                                           options));
    query.execute();
    return query.step() && query.text(0) == "yes";
  } catch (const maria::Error& error) {
    if (error.is_connection_lost()) throw;
    return true;  // open() says what is wrong with that table
  }
}

// The ids that may have a row, as the list that `load` and the expansions take.
std::string id_list(const maria::Tables& tables, std::span<const std::string> ids) {
  json::array list;
  for (const auto& id : ids) {
    if (!tables.is_numeric) {
      list.emplace_back(id);
    } else if (const auto number = number_of(id)) {
      list.emplace_back(*number);
    }
  }
  return json::serialize(list);
}

std::int64_t unix_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::vector<EdgeCount> read_counters(maria::Statement& query) {
  std::vector<EdgeCount> counters;
  while (query.step()) {
    counters.push_back(to_count(query.text(0), query.integer(1), query.integer(2)));
  }
  return counters;
}

}  // namespace

MariaDatabase::MariaDatabase(MariaTarget target, std::string password, config::Schema schema,
                             std::string table_prefix, bool makes_rows)
    : target_(std::move(target)),
      password_(std::move(password)),
      schema_(schema),
      prefix_(std::move(table_prefix)),
      makes_rows_(makes_rows) {}

MariaDatabase::~MariaDatabase() = default;

Failure MariaDatabase::failure(bool retryable, std::string_view what) const {
  return {retryable, fmt::format("{}: {}", name(), what)};
}

Failure MariaDatabase::failure(const maria::Error& error) const {
  return failure(error.is_transient(), error.what());
}

template <class T, class Work>
Answer<T> MariaDatabase::guarded(Work work) {
  if (!session_) return failure(false, "not open");
  try {
    return work(*session_);
  } catch (const maria::Error& error) {
    return failure(error);
  }
}

std::string MariaDatabase::name() const {
  auto where = target_.host;
  if (target_.port != 0) where += fmt::format(":{}", target_.port);
  return fmt::format("mysql://{}@{}/{}", target_.user, where, target_.database);
}

std::string MariaDatabase::engine() const {
  auto text = engine_.empty() ? "MariaDB" : engine_;
  if (session_ && !session_->tables.system.empty()) text += ", " + session_->tables.system;
  return text;
}

bool MariaDatabase::makes_rows() const noexcept {
  return makes_rows_ && schema_ == config::Schema::tallygate;
}

maria::Tables MariaDatabase::tables_at(maria::Connection& db) const {
  switch (schema_) {
    case config::Schema::woocommerce:
      return maria::woocommerce_tables(prefix_, has_hpos(db, prefix_));
    case config::Schema::prestashop:
      return maria::prestashop_tables(prefix_);
    case config::Schema::magento:
      return maria::magento_tables(prefix_);
    case config::Schema::tallygate:
      break;
  }
  return maria::own_tables();
}

maria::Tables MariaDatabase::tables_if_reachable() const {
  try {
    MariaSession session(target_, password_, kPatience);
    return tables_at(session.db);
  } catch (const maria::Error&) {
  }
  switch (schema_) {
    case config::Schema::woocommerce:
      return maria::woocommerce_tables(prefix_, true);
    case config::Schema::prestashop:
      return maria::prestashop_tables(prefix_);
    case config::Schema::magento:
      return maria::magento_tables(prefix_);
    case config::Schema::tallygate:
      break;
  }
  return maria::own_tables();
}

Answer<void> MariaDatabase::open(bool) {
  close();
  try {
    auto session = std::make_unique<MariaSession>(target_, password_, kPatience);
    engine_ = engine_of(session->db);
    if (is_read_only(session->db)) {
      return failure(false, "the server is read-only (read_only is on; a replica?)");
    }
    auto tables = tables_at(session->db);
    auto missing = maria::probe_schema(session->db, tables);
    const bool has_all = missing.empty();
    for (auto& text : session->prepare(std::move(tables))) {
      // Where a table or column is missing, what would need it fails as well.
      const bool is_said = std::ranges::find(missing, text) != missing.end() ||
                           (!has_all && text.find("denied") == text.npos);
      if (!is_said) missing.push_back(std::move(text));
    }
    if (!missing.empty()) {
      return failure(false, fmt::format("missing: {}; tables are made, and rights are shown, by "
                                        "`tallygate shop init`",
                                        fmt::join(missing, ", ")));
    }
    if (const auto wrong = session->read_time_zone(); !wrong.empty()) {
      return failure(false, wrong);
    }
    session_ = std::move(session);
  } catch (const maria::Error& error) {
    return failure(error);
  }
  return {};
}

void MariaDatabase::close() noexcept {
  session_.reset();
}

Answer<std::vector<std::string>> MariaDatabase::missing_triggers() {
  return guarded<std::vector<std::string>>(
      [&](MariaSession& session) -> Answer<std::vector<std::string>> {
        return maria::missing_triggers(session.db, session.tables);
      });
}

Answer<void> MariaDatabase::create_schema() {
  try {
    MariaSession session(target_, password_, kSchemaPatience);
    maria::create_schema(session.db, tables_at(session.db));
    return {};
  } catch (const maria::Error& error) {
    return failure(error);
  }
}

std::string MariaDatabase::schema_sql() const {
  return maria::schema_text(tables_if_reachable());
}

std::string MariaDatabase::grants_sql(std::string_view user, bool prunes) const {
  return maria::grants_text(tables_if_reachable(), user, prunes);
}

// Whose changes the triggers are not to mark.
void MariaDatabase::set_origin(MariaSession& session, bool is_edge) const {
  maria::Statement set(session.db, "SET @tg_origin = CONVERT(? USING ascii)");
  if (is_edge) {
    set.run({edge_.edge_id});
  } else {
    set.run({std::nullopt});
  }
}

Answer<std::uint64_t> MariaDatabase::register_edge(const Edge& edge) {
  edge_ = edge;
  auto registered = guarded<void>([&](MariaSession& session) -> Answer<void> {
    set_origin(session, true);
    session.sql.register_edge->run({edge_.edge_id, edge_.epoch});
    // Triggers in the shop's transactions keep these rows locked: only a new edge writes one.
    auto& query = session.sql.is_consumer->execute({edge_.edge_id});
    if (!query.step()) session.sql.register_consumer->run({edge_.edge_id});
    return {};
  });
  if (!registered) return registered.error();
  return last_seq();
}

Answer<std::uint64_t> MariaDatabase::last_seq() {
  return guarded<std::uint64_t>([&](MariaSession& session) -> Answer<std::uint64_t> {
    auto& query = session.sql.last_seq->execute({edge_.edge_id, edge_.epoch});
    if (!query.step()) return failure(false, "the edge's row in tg_edge is gone");
    return static_cast<std::uint64_t>(query.integer(0));
  });
}

Answer<PushReport> MariaDatabase::push(const Batch& batch) {
  return guarded<PushReport>([&](MariaSession& session) -> Answer<PushReport> {
    MariaPush push(session, edge_, batch, makes_rows(), unix_now());
    for (const bool each : {false, true}) {
      Transaction transaction(session.db);
      if (session.sql.gate->run({batch.seq, edge_.edge_id, edge_.epoch, batch.seq}) == 0) {
        auto& query = session.sql.last_seq->execute({edge_.edge_id, edge_.epoch});
        const bool applied =
            query.step() && static_cast<std::uint64_t>(query.integer(0)) >= batch.seq;
        return PushReport{applied ? Pushed::already_applied : Pushed::gap, {}};
      }
      PushReport report;
      try {
        if (each) {
          report.parked = push.apply_each();
        } else {
          push.apply_at_once();
        }
      } catch (const maria::Error& error) {
        if (each || !error.is_refusal_of_data()) throw;
        continue;
      }
      transaction.commit();
      return report;
    }
    return failure(false, "not reached");
  });
}

// To ask for the marks is as cheap as to ask whether there are any.
Answer<std::uint64_t> MariaDatabase::change_stamp() {
  if (!session_) return failure(false, "not open");
  return ++looks_;
}

Answer<std::vector<Change>> MariaDatabase::take_changes(std::size_t marks_max) {
  return guarded<std::vector<Change>>([&](MariaSession& session) -> Answer<std::vector<Change>> {
    std::vector<Change> changes;
    auto& query = session.sql.marks->execute({edge_.edge_id, marks_max});
    while (query.step()) {
      const auto kind = query.text(0);
      changes.emplace_back().mark = {kind.empty() ? '?' : kind.front(), query.text(1),
                                     static_cast<std::uint64_t>(query.integer(2))};
    }
    if (!changes.empty()) expand(session, changes);
    return changes;
  });
}

// The rows are read after the marks, so that they are at least as new.
void MariaDatabase::expand(MariaSession& session, std::vector<Change>& changes) {
  const auto read = [&](char kind, maria::Statement& query) {
    std::map<std::string_view, Change*> by_object;
    std::vector<std::string> objects;
    for (auto& change : changes) {
      if (change.mark.kind != kind) continue;
      by_object[change.mark.object] = &change;
      objects.push_back(change.mark.object);
    }
    if (objects.empty()) return;
    query.execute({id_list(session.tables, objects), edge_.edge_id, edge_.epoch});
    while (query.step()) {
      const auto change = by_object.find(query.text(8));
      if (change != by_object.end()) change->second->rows.push_back(session.row(query));
    }
  };
  read('L', *session.sql.load);
  for (std::size_t i = 0; i < session.sql.expansions.size(); ++i) {
    read(session.tables.expansions[i].kind, *session.sql.expansions[i]);
  }
  for (auto& change : changes) {
    if (change.mark.kind == 'L' && change.rows.empty()) change.gone.push_back(change.mark.object);
  }
}

// Never waits for a transaction of the shop's: what that is about to mark again need not be
// unmarked.
Answer<void> MariaDatabase::acknowledge(std::span<const Mark> marks) {
  if (marks.empty()) return {};
  return guarded<void>([&](MariaSession& session) -> Answer<void> {
    json::array taken;
    for (const auto& mark : marks) {
      taken.push_back(json::array{std::string(1, mark.kind), mark.object, mark.generation});
    }
    Transaction transaction(session.db);
    json::array locked;
    auto& query = session.sql.lock_marks->execute({json::serialize(taken), edge_.edge_id});
    while (query.step()) locked.push_back(json::array{query.text(0), query.text(1)});
    if (!locked.empty()) session.sql.unmark->run({json::serialize(locked), edge_.edge_id});
    transaction.commit();
    return {};
  });
}

Answer<std::vector<Row>> MariaDatabase::load(std::span<const std::string> link_ids) {
  return guarded<std::vector<Row>>([&](MariaSession& session) -> Answer<std::vector<Row>> {
    std::vector<Row> rows;
    auto& query =
        session.sql.load->execute({id_list(session.tables, link_ids), edge_.edge_id, edge_.epoch});
    while (query.step()) rows.push_back(session.row(query));
    return rows;
  });
}

Answer<std::vector<Row>> MariaDatabase::scan(std::string_view after, std::size_t rows_max) {
  return guarded<std::vector<Row>>([&](MariaSession& session) -> Answer<std::vector<Row>> {
    std::vector<Row> rows;
    const auto from = session.tables.is_numeric ? maria::Parameter(number_of(after).value_or(0))
                                                : maria::Parameter(after);
    auto& query = session.sql.scan->execute({edge_.edge_id, edge_.epoch, from, rows_max});
    while (query.step()) rows.push_back(session.row(query));
    return rows;
  });
}

Answer<LostLinks> MariaDatabase::scan_lost(std::string_view after, std::size_t links_max) {
  return guarded<LostLinks>([&](MariaSession& session) -> Answer<LostLinks> {
    LostLinks lost;
    std::size_t links = 0;
    auto& query = session.sql.scan_lost->execute({edge_.edge_id, after, links_max});
    for (; query.step(); ++links) {
      auto link_id = query.text(0);
      if (link_id == lost.next) continue;  // of another epoch
      lost.next = std::move(link_id);
      if (query.is_null(1)) lost.link_ids.push_back(lost.next);
    }
    lost.is_end = links < links_max;
    return lost;
  });
}

std::string MariaDatabase::edited_elsewhere() const {
  return session_ ? session_->tables.changed_where : std::string();
}

Answer<bool> MariaDatabase::edit(std::string_view link_id, const Edit& edit) {
  return guarded<bool>([&](MariaSession& session) -> Answer<bool> {
    if (!session.sql.edit) return failure(true, session.tables.changed_where);
    const auto state = edit.state ? std::optional(static_cast<int>(*edit.state)) : std::nullopt;
    set_origin(session, false);
    std::uint64_t found = 0;
    try {
      Transaction transaction(session.db);
      if (edit.create) {
        session.sql.create->run({json::serialize(json::array{json::array{link_id, ""}})});
      }
      found = session.sql.edit->run(
          {edit.max_copies.has_value(), edit.max_copies.value_or(std::nullopt),
           edit.expires_at.has_value(), edit.expires_at.value_or(std::nullopt), state, edit.reset,
           edit.reset, link_id});
      transaction.commit();
    } catch (const maria::Error& error) {
      if (!error.is_connection_lost()) set_origin(session, true);
      throw;
    }
    set_origin(session, true);
    return found > 0;
  });
}

Answer<std::vector<HistoryRow>> MariaDatabase::downloads_of(std::string_view link_id,
                                                            std::size_t rows_max) {
  return guarded<std::vector<HistoryRow>>(
      [&](MariaSession& session) -> Answer<std::vector<HistoryRow>> {
        std::vector<HistoryRow> rows;
        // Rare: prepared on the spot.
        maria::Statement query(session.db,
                               fmt::format("SELECT {} FROM tg_download WHERE link_id = ?"
                                           " ORDER BY started_at DESC, event_id DESC LIMIT ?",
                                           kDownloadColumns));
        query.execute({link_id, rows_max});
        while (query.step()) {
          rows.push_back(read_download(
              link_id, [&](int column) { return query.text(static_cast<unsigned>(column)); },
              [&](int column) { return query.integer(static_cast<unsigned>(column)); }));
        }
        return rows;
      });
}

Answer<HistoryPage> MariaDatabase::prune_history(const EventId& after, std::int64_t ended_before,
                                                 std::size_t rows_max) {
  return guarded<HistoryPage>([&](MariaSession& session) -> Answer<HistoryPage> {
    const std::span<const std::uint8_t> from(after);
    HistoryReader page(ended_before);
    auto& query = session.sql.history_page->execute({from, rows_max});
    while (query.step()) page.add(query.text(0), query.integer(1));
    if (page.old_rows() > 0) {
      // Only now: an edge that does not prune has no right to.
      if (!session.sql.prune) session.prepare_prune();
      const std::span<const std::uint8_t> to(page.result().last);
      page.deleted(session.sql.prune->run({from, to, ended_before}));
    }
    return page.result();
  });
}

// Rare, all of these: prepared on the spot.
Answer<std::vector<EdgeCount>> MariaDatabase::counters_of(std::uint64_t epoch,
                                                          std::span<const std::string> link_ids) {
  return guarded<std::vector<EdgeCount>>(
      [&](MariaSession& session) -> Answer<std::vector<EdgeCount>> {
        maria::Statement query(
            session.db,
            "SELECT c.link_id, c.reset_gen, c.charged FROM" +
                maria::json_rows("id varchar(255) CHARACTER SET ascii COLLATE ascii_bin PATH '$'") +
                "STRAIGHT_JOIN tg_edge_count c ON c.link_id = j.id AND c.edge_id = ?"
                " AND c.epoch = ?");
        json::array list;
        for (const auto& link_id : link_ids) list.emplace_back(link_id);
        return read_counters(query.execute({json::serialize(list), edge_.edge_id, epoch}));
      });
}

Answer<std::vector<EdgeCount>> MariaDatabase::counters_after(std::uint64_t epoch,
                                                             std::string_view after,
                                                             std::size_t links_max) {
  return guarded<std::vector<EdgeCount>>(
      [&](MariaSession& session) -> Answer<std::vector<EdgeCount>> {
        maria::Statement query(session.db,
                               "SELECT link_id, reset_gen, charged FROM tg_edge_count"
                               " WHERE edge_id = ? AND epoch = ? AND link_id > ?"
                               " ORDER BY link_id LIMIT ?");
        return read_counters(query.execute({edge_.edge_id, epoch, after, links_max}));
      });
}

Answer<void> MariaDatabase::make_counters(std::span<const EdgeCount> counters) {
  return guarded<void>([&](MariaSession& session) -> Answer<void> {
    maria::Statement insert(
        session.db,
        "INSERT INTO tg_edge_count(link_id, edge_id, epoch, total, charged, reset_gen)"
        " SELECT j.id, ?, ?, 0, j.n, j.g FROM" +
            maria::charge_rows() +
            "WHERE true ON DUPLICATE KEY UPDATE charged = VALUES(charged),"
            " reset_gen = VALUES(reset_gen)");
    json::array list;
    for (const auto& counter : counters) {
      list.push_back(json::array{counter.link_id, 0, counter.charged, counter.reset_gen});
    }
    insert.run({edge_.edge_id, edge_.epoch, json::serialize(list)});
    return {};
  });
}

Answer<void> MariaDatabase::begin_after(std::uint64_t last_seq) {
  return guarded<void>([&](MariaSession& session) -> Answer<void> {
    maria::Statement(session.db,
                     "UPDATE tg_edge SET last_seq = ? WHERE edge_id = ? AND epoch = ?"
                     " AND last_seq = 0")
        .run({last_seq, edge_.edge_id, edge_.epoch});
    return {};
  });
}

Answer<std::vector<EdgeSeen>> MariaDatabase::edges() {
  return guarded<std::vector<EdgeSeen>>(
      [&](MariaSession& session) -> Answer<std::vector<EdgeSeen>> {
        std::vector<EdgeSeen> edges;
        auto& query = session.sql.edges->execute();
        while (query.step()) {
          edges.push_back({{query.text(0), static_cast<std::uint64_t>(query.integer(1))},
                           static_cast<std::uint64_t>(query.integer(2)),
                           query.integer(3)});
        }
        return edges;
      });
}

std::unique_ptr<Database> make_maria_database(const MariaTarget& target, std::string password,
                                              config::Schema schema, std::string table_prefix,
                                              bool makes_rows) {
  return std::make_unique<MariaDatabase>(target, std::move(password), schema,
                                         std::move(table_prefix), makes_rows);
}

}  // namespace tallygate::shop
