// How fast do counts get into the shop's database, when does a change come back, and what does it
// cost to look when there is none?
//
// The database is the one that with_database.py starts:
//   cd tests/e2e && python3 with_database.py postgres|mariadb -- …/bench.server.shop.push
// Without it: an SQLite file in TALLYGATE_BENCH_DIR (default: the system's temporary directory).
//
// A batch is what an edge sends under load: kDownloads downloads, each with a counted copy of a
// link of its own and its row of the history. Items are counts.
//   BM_Push_Bare      the same statements on texts made with printf alone: through libpq, and on
//                     MariaDB through the prepared statements
//   BM_Push_Database  Database::push
//   BM_Push_Sync      from the ledger's events to the last acknowledgement, the outbox on disk
//   included BM_Poll_Idle      one look for changes when there are none BM_Change_Seen    from a
//   merchant's COMMIT until the ledger is told, among
//                     TALLYGATE_BENCH_LINKS rows (default 10,000)
//
// Figures that would change a decision: BM_Push_Sync below 0.8 of BM_Push_Bare, or below 20,000
// counts a second; a change that takes longer than 2 s.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <libpq-fe.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <future>
#include <mutex>
#include <thread>

#include "server/shop/maria/maria_session.h"
#include "server/shop/postgres/postgres_database.h"
#include "server/shop/postgres/postgres_statements.h"
#include "server/shop/sqlite/sqlite.h"
#include "server/shop/sync.h"

namespace tallygate::shop {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kDownloads = 500;
constexpr std::uint64_t kLinks = 20'000;

std::string variable(const char* name, const std::string& otherwise = {}) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

std::uint64_t rows_wanted() {
  return std::strtoull(variable("TALLYGATE_BENCH_LINKS", "10000").c_str(), nullptr, 10);
}

bool is_postgres() {
  return variable("TALLYGATE_TEST_DATABASE").starts_with("postgresql:");
}

bool is_server() {
  return !variable("TALLYGATE_TEST_DATABASE").empty();
}

class Folder {
 public:
  Folder() {
    path_ = std::filesystem::path(
                variable("TALLYGATE_BENCH_DIR", std::filesystem::temp_directory_path().string())) /
            fmt::format("tallygate-bench-{}", ::getpid());
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::filesystem::path operator/(std::string_view name) const {
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

const Folder& folder() {
  static const Folder kFolder;
  return kFolder;
}

std::unique_ptr<Database> new_database() {
  config::Settings settings;
  settings.shop.url =
      variable("TALLYGATE_TEST_DATABASE", "sqlite:" + (folder() / "shop.db").string());
  auto database = make_database(settings, variable("TALLYGATE_TEST_DATABASE_PASSWORD"));
  if (const auto made = (*database)->create_schema(); !made) {
    throw std::runtime_error(made.error().text);
  }
  return std::move(*database);
}

// Each run is an edge of its own, whose stream begins anew.
Edge new_edge() {
  static std::uint64_t epoch = static_cast<std::uint64_t>(::getpid()) << 20;
  return {"bench", ++epoch};
}

std::string link_id(std::uint64_t n) {
  return fmt::format("order-{:08}", n % kLinks);
}

Batch batch_of(const Edge& edge, std::uint64_t seq) {
  Batch batch;
  batch.seq = seq;
  for (std::uint64_t i = 0; i < kDownloads; ++i) {
    batch.counted.push_back({link_id(seq * kDownloads + i), 0, 1});
    batch.history.push_back({.event_id = event_id(edge.epoch, seq, static_cast<std::uint32_t>(i)),
                             .link_id = batch.counted.back().link_id,
                             .started_at = 1'700'000'000,
                             .ended_at = 1'700'000'060,
                             .client_ip = "203.0.113.7",
                             .user_agent = "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101",
                             .bytes_sent = 700'000'000,
                             .file_size = 700'000'000,
                             .outcome = ledger::Outcome::complete,
                             .counted = 1});
  }
  std::ranges::sort(batch.counted, {}, &CountedCopies::link_id);
  return batch;
}

// The rows that all of it is about.
void make_rows(Database& database, const Edge& edge) {
  Batch batch;
  batch.seq = 1;
  for (std::uint64_t i = 0; i < kLinks; ++i) batch.created.push_back({link_id(i), "/music/a.flac"});
  if (!database.open(true) || !database.register_edge(edge) || !database.push(batch)) {
    throw std::runtime_error("the rows cannot be made");
  }
}

void report(benchmark::State& state) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kDownloads));
}

// libpq as its manual shows it.
class BareClient {
 public:
  BareClient() {
    const char* names[] = {"dbname", "password", nullptr};
    const auto url = variable("TALLYGATE_TEST_DATABASE");
    const auto password = variable("TALLYGATE_TEST_DATABASE_PASSWORD");
    const char* values[] = {url.c_str(), password.c_str(), nullptr};
    connection_ = PQconnectdbParams(names, values, 1);
    for (const auto& statement : postgres_statements()) {
      check(PQprepare(connection_, statement.name, statement.sql.c_str(), 0, nullptr));
    }
  }
  ~BareClient() { PQfinish(connection_); }
  BareClient(const BareClient&) = delete;
  BareClient& operator=(const BareClient&) = delete;

  void execute(const char* sql) { check(PQexec(connection_, sql)); }
  void run(const char* name, const std::vector<std::string>& parameters) {
    std::vector<const char*> values;
    for (const auto& parameter : parameters) values.push_back(parameter.c_str());
    check(PQexecPrepared(connection_, name, static_cast<int>(values.size()), values.data(), nullptr,
                         nullptr, 0));
  }

 private:
  void check(PGresult* result) {
    const auto status = PQresultStatus(result);
    PQclear(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
      throw std::runtime_error(PQerrorMessage(connection_));
    }
  }
  PGconn* connection_;
};

// A batch as both kinds of bare clients write it, an element at a time.
std::string list_of(char open, char close,
                    const std::function<void(std::string&, std::uint64_t)>& add) {
  std::string list(1, open);
  for (std::uint64_t i = 0; i < kDownloads; ++i) {
    if (i > 0) list += ',';
    add(list, i);
  }
  return list + close;
}

std::string array_of(std::string_view text) {
  return list_of('{', '}', [&](std::string& list, std::uint64_t) { list += text; });
}

void push_bare_postgres(benchmark::State& state, const Edge& edge) {
  BareClient client;
  const std::string epoch = std::to_string(edge.epoch);
  std::uint64_t seq = 1;
  for (auto _ : state) {
    ++seq;
    const auto ids = list_of('{', '}', [&](std::string& list, std::uint64_t i) {
      list += link_id(seq * kDownloads + i);
    });
    const auto events = list_of('{', '}', [&](std::string& list, std::uint64_t i) {
      fmt::format_to(std::back_inserter(list), "\"\\\\x{:016x}{:08x}{:08x}\"", edge.epoch, seq, i);
    });
    const auto ones = array_of("1");
    const auto zeros = array_of("0");
    const auto sizes = array_of("700000000");
    client.execute("BEGIN");
    client.run("origin", {edge.edge_id});
    client.run("gate", {edge.edge_id, epoch, std::to_string(seq)});
    client.run("lock", {ids});
    client.run("add_total", {edge.edge_id, epoch, ids, ones, zeros});
    client.run("charge", {edge.edge_id, epoch, ids, ones, zeros});
    client.run("download", {edge.edge_id, events, ids, array_of("1700000000"),
                            array_of("1700000060"), array_of("203.0.113.7"),
                            array_of("\"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101\""), sizes,
                            sizes, zeros, ones});
    client.execute("COMMIT");
  }
}

void push_bare_maria(benchmark::State& state, const Edge& edge) {
  MariaSession session(*parse_maria_url(variable("TALLYGATE_TEST_DATABASE")),
                       variable("TALLYGATE_TEST_DATABASE_PASSWORD"), 60s);
  if (!session.prepare(maria::own_tables()).empty()) return state.SkipWithError("not prepared");
  session.db.execute("SET @tg_origin = 'bench'");
  std::uint64_t seq = 1;
  for (auto _ : state) {
    ++seq;
    const auto counts = list_of('[', ']', [&](std::string& list, std::uint64_t i) {
      fmt::format_to(std::back_inserter(list), "[\"{}\",0,1,0]", link_id(seq * kDownloads + i));
    });
    const auto history = list_of('[', ']', [&](std::string& list, std::uint64_t i) {
      fmt::format_to(std::back_inserter(list),
                     "[\"{:016x}{:08x}{:08x}\",\"{}\",1700000000,1700000060,\"203.0.113.7\","
                     "\"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101\",700000000,700000000,0,1]",
                     edge.epoch, seq, i, link_id(seq * kDownloads + i));
    });
    session.db.execute("START TRANSACTION");
    session.sql.gate->run({seq, edge.edge_id, edge.epoch, seq});
    session.sql.add_total->run({edge.edge_id, edge.epoch, counts});
    for (std::size_t i = 0; i < session.sql.charges.size(); ++i) {
      if (session.tables.charges[i].is_of_edge) {
        session.sql.charges[i]->run({counts, edge.edge_id, edge.epoch});
      } else {
        session.sql.charges[i]->run({counts});
      }
    }
    session.sql.download->run({edge.edge_id, history});
    session.db.execute("COMMIT");
  }
}

void BM_Push_Bare(benchmark::State& state) {
  if (!is_server()) return state.SkipWithError("only on a server");
  const auto edge = new_edge();
  make_rows(*new_database(), edge);
  is_postgres() ? push_bare_postgres(state, edge) : push_bare_maria(state, edge);
  report(state);
}
BENCHMARK(BM_Push_Bare)->UseRealTime()->Unit(benchmark::kMillisecond);

void BM_Push_Database(benchmark::State& state) {
  const auto database = new_database();
  const auto edge = new_edge();
  make_rows(*database, edge);
  std::uint64_t seq = 1;
  for (auto _ : state) {
    const auto pushed = database->push(batch_of(edge, ++seq));
    if (!pushed || pushed->outcome != Pushed::applied) return state.SkipWithError("not applied");
  }
  report(state);
}
BENCHMARK(BM_Push_Database)->UseRealTime()->Unit(benchmark::kMillisecond);

// Knows every link, and remembers when it was told of one.
class Listener final : public LedgerPort {
 public:
  bool knows(std::string_view) override { return true; }
  void apply_word(std::string_view link_id, const Word& word) override {
    const std::scoped_lock lock(mutex_);
    if (link_id != awaited_ || word.max_copies != max_copies_) return;
    awaited_.clear();
    told_.notify_one();
  }
  void row_gone(std::string_view) override {}
  void row_acknowledged(std::string_view) override {}
  bool make_durable() override { return true; }

  void await(std::string_view link_id, std::int32_t max_copies) {
    const std::scoped_lock lock(mutex_);
    awaited_ = link_id;
    max_copies_ = max_copies;
  }
  bool wait() {
    std::unique_lock lock(mutex_);
    return told_.wait_for(lock, 60s, [&] { return awaited_.empty(); });
  }

 private:
  std::mutex mutex_;
  std::condition_variable told_;
  std::string awaited_;
  std::int32_t max_copies_ = 0;
};

std::unique_ptr<Sync> new_sync(std::string_view outbox_name) {
  const auto file = folder() / outbox_name;
  std::filesystem::remove(file);
  auto outbox = Outbox::open(file, system_clock(), {});
  return std::make_unique<Sync>(std::move(*outbox), new_database(), system_clock(),
                                ExchangeOptions{.edge_id = "bench"});
}

bool flush(Sync& sync) {
  std::promise<bool> flushed;
  sync.flush([&](bool is_pushed) { flushed.set_value(is_pushed); });
  return flushed.get_future().get();
}

void BM_Push_Sync(benchmark::State& state) {
  make_rows(*new_database(), new_edge());
  Listener ledger;
  const auto sync = new_sync(fmt::format("outbox-{}.db", new_edge().epoch));
  sync->start(ledger);
  std::uint64_t seq = 0;
  std::uint64_t downloads = 0;
  // Batches follow each other without a pause, as they do under load; the last one is waited for.
  for (auto _ : state) {
    std::vector<ledger::Event> events;
    for (std::uint64_t i = 0; i < kDownloads; ++i, ++downloads) {
      ++seq;
      events.push_back({seq, link_id(downloads), ledger::CopiesCounted{0, 1}});
      events.push_back({seq, link_id(downloads),
                        ledger::TransferEnded{.started_at = 1'700'000'000,
                                              .ended_at = 1'700'000'060,
                                              .first = 0,
                                              .last = 700'000'000,
                                              .bytes_sent = 700'000'000,
                                              .bytes_acked = 700'000'000,
                                              .file_size = 700'000'000,
                                              .version = 1,
                                              .copies = 1,
                                              .outcome = ledger::Outcome::complete,
                                              .whole = true,
                                              .client_ip = "203.0.113.7",
                                              .user_agent = "Mozilla/5.0 (X11; Linux x86_64)"}});
    }
    sync->on_events(std::move(events));
    if (downloads == kDownloads * static_cast<std::uint64_t>(state.max_iterations)) {
      while (!flush(*sync)) {
      }
    }
  }
  report(state);
  state.counters["waiting"] = static_cast<double>(sync->status().batches_waiting);
}

BENCHMARK(BM_Push_Sync)->UseRealTime()->Unit(benchmark::kMillisecond);

void BM_Poll_Idle(benchmark::State& state) {
  const auto database = new_database();
  make_rows(*database, new_edge());
  for (auto _ : state) {
    const auto stamp = database->change_stamp();
    if (is_server() && (!database->last_seq() || !database->take_changes(2000))) {
      return state.SkipWithError("the look failed");
    }
    benchmark::DoNotOptimize(stamp);
  }
}
BENCHMARK(BM_Poll_Idle)->UseRealTime()->Unit(benchmark::kMicrosecond);

void BM_Change_Seen(benchmark::State& state) {
  const auto database = new_database();
  make_rows(*database, new_edge());
  const auto rows = rows_wanted();
  if (is_postgres()) {
    postgres::Connection merchant(variable("TALLYGATE_TEST_DATABASE"),
                                  variable("TALLYGATE_TEST_DATABASE_PASSWORD"), 600s);
    merchant.execute(
        fmt::format("INSERT INTO tg_link(link_id) SELECT 'row-' || n FROM"
                    " generate_series(1, {}) n ON CONFLICT DO NOTHING;"
                    "DELETE FROM tg_dirty; ANALYZE",
                    rows));
  } else if (is_server()) {
    maria::Connection merchant(*parse_maria_url(variable("TALLYGATE_TEST_DATABASE")),
                               variable("TALLYGATE_TEST_DATABASE_PASSWORD"), {.read = 600s});
    merchant.execute(
        fmt::format("INSERT IGNORE INTO tg_link(link_id) SELECT CONCAT('row-', seq)"
                    " FROM seq_1_to_{}",
                    rows));
    merchant.execute("DELETE FROM tg_dirty");
  } else {
    sqlite::Connection merchant((folder() / "shop.db").string(), sqlite::OpenMode::existing, 60s);
    merchant.execute(fmt::format("WITH RECURSIVE s(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM s"
                                 " WHERE n < {}) INSERT INTO tg_link(link_id) SELECT 'row-' || n"
                                 " FROM s WHERE true ON CONFLICT DO NOTHING;"
                                 " DELETE FROM tg_dirty",
                                 rows)
                         .c_str());
  }
  Listener ledger;
  const auto sync = new_sync("outbox-seen.db");
  sync->start(ledger);
  while (sync->status().last_scan_at == 0) std::this_thread::sleep_for(10ms);
  if (!database->open(false) || !database->register_edge({"merchant", 1})) {
    return state.SkipWithError("no connection");
  }
  static std::int32_t max_copies = 0;  // each run changes something
  for (auto _ : state) {
    const auto id = fmt::format("row-{}", 1 + static_cast<std::uint64_t>(max_copies) % rows);
    ledger.await(id, ++max_copies);
    if (!database->edit(id, {.max_copies = max_copies}) || !ledger.wait()) {
      return state.SkipWithError("not seen");
    }
  }
}
BENCHMARK(BM_Change_Seen)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tallygate::shop
