#include "server/shop/postgres/postgres_database.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <future>
#include <thread>

#include "server/shop/batch.h"
#include "tests/server/shop/prune_case.h"

namespace tallygate::shop {
namespace {

using namespace std::chrono_literals;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) throw std::runtime_error(std::string(name) + " is not set");
  return value;
}
std::string owner_url() {
  return variable("TALLYGATE_TEST_DATABASE");
}
std::string edge_url() {
  return variable("TALLYGATE_TEST_DATABASE_EDGE");
}
std::string password() {
  return variable("TALLYGATE_TEST_DATABASE_PASSWORD");
}

// Somebody with psql: plain SQL, own connection.
class Merchant {
 public:
  void execute(const std::string& sql) { connection_.execute(sql); }
  // All rows, columns joined by '|'.
  std::vector<std::string> rows(const std::string& sql) {
    const auto result = connection_.execute(sql);
    std::vector<std::string> rows;
    for (int i = 0; i < result.rows(); ++i) {
      std::string& row = rows.emplace_back();
      for (int column = 0; column < result.columns(); ++column) {
        if (column > 0) row += '|';
        row += result.is_null(i, column) ? "NULL" : result.text(i, column);
      }
    }
    return rows;
  }
  std::string one(const std::string& sql) {
    const auto all = rows(sql);
    return all.empty() ? "no row" : all.front();
  }

 private:
  postgres::Connection connection_{owner_url(), password(), 60s};
};

class PostgresDatabaseTest : public testing::Test {
 protected:
  PostgresDatabaseTest() {
    merchant.emplace();
    merchant->execute(
        "DROP SCHEMA public CASCADE; CREATE SCHEMA public; "
        "GRANT USAGE ON SCHEMA public TO edge");
    PostgresDatabase owner(owner_url(), password());
    const auto made = owner.create_schema();
    EXPECT_TRUE(made) << made.error().text;
    merchant->execute(owner.grants_sql("edge", true));
    database = std::make_unique<PostgresDatabase>(edge_url(), password());
    const auto opened = database->open(false);
    EXPECT_TRUE(opened) << opened.error().text;
    EXPECT_EQ(database->register_edge({"edge-1", 7}).value(), 0u);
  }
  Row load(const std::string& link_id) {
    const std::string ids[] = {link_id};
    const auto rows = database->load(ids).value();
    EXPECT_EQ(rows.size(), 1u);
    return rows.empty() ? Row{} : rows.front();
  }
  std::vector<Change> changes() { return database->take_changes(100).value(); }
  void acknowledge_all() {
    std::vector<Mark> marks;
    for (const auto& change : changes()) marks.push_back(change.mark);
    EXPECT_TRUE(database->acknowledge(marks));
  }
  // What open() says to a new connection.
  std::string objection() {
    const auto opened = PostgresDatabase(edge_url(), password()).open(false);
    return opened ? "" : opened.error().text;
  }

  // The process of the server behind `database`.
  int process_of_edge() {
    return std::stoi(merchant->one(
        "SELECT pid FROM pg_stat_activity WHERE usename = 'edge' ORDER BY backend_start DESC"));
  }

  std::optional<Merchant> merchant;
  std::unique_ptr<PostgresDatabase> database;
};

Batch batch_of(std::uint64_t seq, std::vector<CountedCopies> counts) {
  Batch batch;
  batch.seq = seq;
  for (const auto& count : counts) batch.created.push_back({count.link_id, "/f"});
  batch.counted = std::move(counts);
  return batch;
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST_F(PostgresDatabaseTest, SchemaCanBeMadeTwiceAndByTheShellItself) {
  EXPECT_TRUE(PostgresDatabase(owner_url(), password()).create_schema());
  merchant->execute(database->schema_sql());
  EXPECT_EQ(merchant->one("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal"), "4");
  EXPECT_TRUE(has(database->engine(), "PostgreSQL 1"));
}

TEST_F(PostgresDatabaseTest, SchemaOfAnOlderVersionGetsWhatItLacks) {
  merchant->execute("INSERT INTO tg_link(link_id, used) VALUES('a', 3)");
  merchant->execute(
      "ALTER TABLE tg_link DROP COLUMN blocked; DROP TRIGGER tg_link_updated ON tg_link");
  EXPECT_TRUE(has(objection(), "missing: column tg_link.blocked")) << objection();
  ASSERT_TRUE(PostgresDatabase(owner_url(), password()).create_schema());
  EXPECT_EQ(objection(), "");
  EXPECT_EQ(merchant->one("SELECT used, blocked FROM tg_link"), "3|NULL");
}

TEST_F(PostgresDatabaseTest, OpenNamesEverythingThatIsMissing) {
  merchant->execute(
      "DROP TABLE tg_edge; ALTER TABLE tg_link DROP COLUMN order_ref;"
      "REVOKE UPDATE ON tg_link FROM edge; REVOKE ALL ON tg_dirty FROM edge");
  const auto text = objection();
  for (const char* part : {"table tg_edge", "column tg_link.order_ref", "right UPDATE on tg_link",
                           "right SELECT on tg_dirty", "right DELETE on tg_dirty"}) {
    EXPECT_TRUE(has(text, part)) << part << " in " << text;
  }
}

TEST_F(PostgresDatabaseTest, OpenSaysWhyItCannot) {
  const auto wrong = PostgresDatabase(edge_url(), "not it").open(false).error();
  EXPECT_TRUE(has(wrong.text, "password authentication failed for user \"edge\"")) << wrong.text;
  EXPECT_FALSE(has(wrong.text, "not it"));
  const auto nowhere = PostgresDatabase("postgresql://edge@127.0.0.1:1/shop", "x").open(false);
  EXPECT_TRUE(has(nowhere.error().text, "refused")) << nowhere.error().text;
  merchant->execute("ALTER DATABASE shop SET default_transaction_read_only = on");
  EXPECT_TRUE(has(objection(), "read-only")) << objection();
  merchant->execute(
      "SET default_transaction_read_only = off;"
      "ALTER DATABASE shop RESET default_transaction_read_only");
}

TEST_F(PostgresDatabaseTest, HostThatHangsOrRefusesIsPassedOver) {
  // Takes connections into its backlog, and never says a word.
  const int silent = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(silent, reinterpret_cast<const sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(silent, 16), 0);
  ASSERT_EQ(::getsockname(silent, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const auto folder = edge_url().substr(edge_url().find("host=") + 5);
  const auto hosts = "?host=127.0.0.1,127.0.0.1," + folder.substr(0, folder.find('&'));
  for (const auto* first : {"silent", "refusing"}) {
    const auto port = first == std::string("silent") ? ntohs(address.sin_port) : 1;
    PostgresDatabase several("postgresql://edge@/shop" + hosts + "&port=1," + std::to_string(port) +
                                 ",5432&target_session_attrs=read-write",
                             password());
    const auto opened = several.open(false);
    EXPECT_TRUE(opened) << first << ": " << opened.error().text;
  }
  ::close(silent);
}

TEST_F(PostgresDatabaseTest, MissingTriggersAreNamedAndNoReasonToStop) {
  merchant->execute(
      "DROP TRIGGER tg_link_updated ON tg_link;"
      "ALTER TABLE tg_link DISABLE TRIGGER tg_link_deleted");
  ASSERT_TRUE(database->open(false));
  EXPECT_EQ(database->missing_triggers().value(),
            (std::vector<std::string>{"trigger tg_link_updated", "trigger tg_link_deleted"}));
}

TEST_F(PostgresDatabaseTest, PushAppliesEachBatchOnceAndInOrder) {
  EXPECT_EQ(database->push(batch_of(2, {{"a", 0, 1}})).value().outcome, Pushed::gap);
  EXPECT_EQ(database->push(batch_of(1, {{"a", 0, 2}})).value().outcome, Pushed::applied);
  EXPECT_EQ(database->push(batch_of(1, {{"a", 0, 2}})).value().outcome, Pushed::already_applied);
  EXPECT_EQ(database->push(batch_of(2, {{"a", 0, 3}})).value().outcome, Pushed::applied);
  EXPECT_EQ(database->push(batch_of(1, {{"a", 0, 2}})).value().outcome, Pushed::already_applied);
  EXPECT_EQ(database->last_seq().value(), 2u);
  EXPECT_EQ(merchant->one("SELECT used FROM tg_link"), "5");
  EXPECT_EQ(merchant->one("SELECT total, charged FROM tg_edge_count"), "5|5");
}

TEST_F(PostgresDatabaseTest, CreatedRowLeavesEverythingAsSigned) {
  Batch batch;
  batch.seq = 1;
  batch.created = {{"a", "/music/a.flac"}, {"b", "/b"}};
  merchant->execute("INSERT INTO tg_link(link_id, file_id, max_copies) VALUES('b', 'mine', 5)");
  ASSERT_TRUE(database->push(batch));
  EXPECT_EQ(merchant->rows("SELECT link_id, file_id, max_copies, used, not_before, expires_at,"
                           " state, reset_gen, blocked FROM tg_link ORDER BY link_id"),
            (std::vector<std::string>{"a|/music/a.flac|NULL|0|NULL|NULL|0|0|NULL",
                                      "b|mine|5|0|NULL|NULL|0|0|NULL"}));
  EXPECT_EQ(load("a").word, Word{});
}

TEST_F(PostgresDatabaseTest, CountsOfAnotherGenerationAreRecordedButNotCharged) {
  merchant->execute("INSERT INTO tg_link(link_id, used, reset_gen) VALUES('a', 0, 3)");
  ASSERT_TRUE(database->push(batch_of(1, {{"a", 2, 5}, {"a", 3, 1}})));
  EXPECT_EQ(merchant->one("SELECT used FROM tg_link"), "1");
  EXPECT_EQ(merchant->one("SELECT total, charged, reset_gen FROM tg_edge_count"), "6|1|3");
}

TEST_F(PostgresDatabaseTest, RowTellsWhatOtherEdgesUsed) {
  PostgresDatabase second(edge_url(), password());
  ASSERT_TRUE(second.open(false));
  ASSERT_TRUE(second.register_edge({"edge-2", 9}));
  ASSERT_TRUE(database->push(batch_of(1, {{"a", 0, 2}})));
  ASSERT_TRUE(second.push(batch_of(1, {{"a", 0, 3}})));
  EXPECT_EQ(load("a").used, 5u);
  EXPECT_EQ(load("a").word.used_elsewhere, 3u);
  EXPECT_EQ(second.load(std::vector<std::string>{"a"}).value().front().word.used_elsewhere, 2u);

  merchant->execute("UPDATE tg_link SET used = 0, reset_gen = reset_gen + 1");
  EXPECT_EQ(load("a").word, (Word{.reset_gen = 1})) << "own part of the generation before is gone";
  ASSERT_TRUE(database->push(batch_of(2, {{"a", 1, 1}})));
  EXPECT_EQ(load("a").word.used_elsewhere, 0u);

  merchant->execute("UPDATE tg_link SET used = used + 4");
  EXPECT_EQ(load("a").word.used_elsewhere, 4u) << "an edit of `used` upwards takes copies away";
  merchant->execute("UPDATE tg_link SET used = 0");
  EXPECT_EQ(load("a").word.used_elsewhere, 0u) << "an edit downwards is no reset";
}

TEST_F(PostgresDatabaseTest, RowThatWasDeletedAndMadeAgainStartsAnew) {
  ASSERT_TRUE(database->push(batch_of(1, {{"a", 0, 2}})));
  merchant->execute("DELETE FROM tg_link; INSERT INTO tg_link(link_id, used) VALUES('a', 2)");
  EXPECT_EQ(load("a").word.used_elsewhere, 2u);
  EXPECT_EQ(merchant->one("SELECT total FROM tg_edge_count"), "2");
}

TEST_F(PostgresDatabaseTest, EveryKindOfEditLeavesAMarkAndOwnPushesDoNot) {
  ASSERT_TRUE(database->push(batch_of(1, {{"a", 0, 2}})));
  EXPECT_TRUE(changes().empty());
  const char* edits[] = {
      "UPDATE tg_link SET max_copies = 5",
      "UPDATE tg_link SET expires_at = 5",
      "UPDATE tg_link SET not_before = 5",
      "UPDATE tg_link SET state = 3",
      "UPDATE tg_link SET used = 0, reset_gen = reset_gen + 1",
      "UPDATE tg_link SET used = 9",
      "INSERT INTO tg_link(link_id) VALUES('a') ON CONFLICT(link_id) DO UPDATE SET state = 1",
      "DELETE FROM tg_link",
      "INSERT INTO tg_link(link_id) VALUES('a')",
  };
  for (const std::string edit : edits) {
    merchant->execute(edit);
    const auto found = changes();
    ASSERT_EQ(found.size(), 1u) << edit;
    EXPECT_EQ(found[0].mark.object, "a");
    EXPECT_EQ(found[0].rows.size(), edit.starts_with("DELETE") ? 0u : 1u);
    EXPECT_EQ(found[0].gone.size(), edit.starts_with("DELETE") ? 1u : 0u);
    acknowledge_all();
    EXPECT_TRUE(changes().empty()) << edit;
  }
  merchant->execute("UPDATE tg_link SET link_id = 'b'");
  const auto renamed = changes();
  ASSERT_EQ(renamed.size(), 2u);
  EXPECT_EQ(renamed[0].gone, std::vector<std::string>{renamed[0].mark.object});
  EXPECT_EQ(renamed[1].rows.size(), 1u);
}

TEST_F(PostgresDatabaseTest, MarkThatGrewSinceItWasTakenStays) {
  merchant->execute("INSERT INTO tg_link(link_id) VALUES('a')");
  const auto before = changes();
  merchant->execute("UPDATE tg_link SET state = 3");
  EXPECT_TRUE(database->acknowledge(std::vector<Mark>{before[0].mark}));
  const auto after = changes();
  ASSERT_EQ(after.size(), 1u);
  EXPECT_EQ(after[0].rows.at(0).word.state, State::revoked);
}

TEST_F(PostgresDatabaseTest, EachEdgeHasMarksOfItsOwnAndSeesPushesOfOthers) {
  PostgresDatabase second(edge_url(), password());
  ASSERT_TRUE(second.open(false));
  ASSERT_TRUE(second.register_edge({"edge-2", 9}));
  ASSERT_TRUE(database->push(batch_of(1, {{"a", 0, 2}})));
  EXPECT_TRUE(changes().empty());
  const auto seen = second.take_changes(10).value();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].rows.at(0).word.used_elsewhere, 2u);
}

TEST_F(PostgresDatabaseTest, ScanGoesPageByPage) {
  merchant->execute("INSERT INTO tg_link(link_id) VALUES('a'), ('b'), ('c'), ('d:1')");
  std::vector<std::string> seen;
  for (std::string after;;) {
    const auto page = database->scan(after, 2).value();
    for (const auto& row : page) seen.push_back(row.link_id);
    if (page.size() < 2) break;
    after = page.back().link_id;
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"a", "b", "c", "d:1"}));
}

TEST_F(PostgresDatabaseTest, OperatorsEditChangesOnlyWhatIsSet) {
  const auto row = [&] {
    return merchant->one("SELECT max_copies, expires_at, state, used, reset_gen FROM tg_link");
  };
  EXPECT_FALSE(database->edit("a", {.state = State::revoked}).value());
  EXPECT_EQ(row(), "no row");
  EXPECT_TRUE(database->edit("a", {.state = State::revoked, .create = true}).value());
  EXPECT_EQ(row(), "NULL|NULL|3|0|0");
  EXPECT_TRUE(database->edit("a", {.max_copies = 5, .expires_at = 99}).value());
  EXPECT_EQ(row(), "5|99|3|0|0");
  EXPECT_TRUE(database->edit("a", {.state = State::active}).value());
  merchant->execute("UPDATE tg_link SET used = 4");
  EXPECT_TRUE(database->edit("a", {.max_copies = kUnlimited}).value());
  EXPECT_EQ(row(), "-1|99|0|4|0");
  EXPECT_TRUE(database->edit("a", {.reset = true}).value());
  EXPECT_EQ(row(), "-1|99|0|0|1");
  using MaxCopies = std::optional<std::int32_t>;
  EXPECT_TRUE(database->edit("a", {.max_copies = MaxCopies()}).value());
  EXPECT_EQ(row(), "NULL|99|0|0|1");
}

TEST_F(PostgresDatabaseTest, HistoryIsWrittenInAbsoluteValues) {
  HistoryRow row{.event_id = event_id(7, 1, 0),
                 .link_id = "a",
                 .started_at = 1,
                 .ended_at = 2,
                 .bytes_sent = 10,
                 .file_size = 20,
                 .outcome = ledger::Outcome::partial};
  Batch batch;
  batch.seq = 1;
  batch.history = {row};
  ASSERT_TRUE(database->push(batch));
  batch.seq = 2;
  batch.history[0].ended_at = 5;
  batch.history[0].bytes_sent = 20;
  batch.history[0].outcome = ledger::Outcome::complete;
  batch.history[0].counted = 1;
  ASSERT_TRUE(database->push(batch));
  EXPECT_EQ(merchant->rows("SELECT length(event_id), link_id, edge_id, started_at, ended_at,"
                           " client_ip, user_agent, bytes_sent, file_size, outcome, counted"
                           " FROM tg_download"),
            std::vector<std::string>{"16|a|edge-1|1|5|NULL|NULL|20|20|0|1"});
}

TEST_F(PostgresDatabaseTest, TellsALinksDownloadsNewestFirst) {
  expect_downloads(*database);
}

TEST_F(PostgresDatabaseTest, OldHistoryIsPrunedAndNothingElse) {
  expect_pruned(*database, *merchant);
}

TEST_F(PostgresDatabaseTest, PruningNeedsARightThatNothingElseNeeds) {
  EXPECT_TRUE(has(database->grants_sql("edge", true), "GRANT DELETE ON tg_download TO \"edge\""));
  EXPECT_FALSE(has(database->grants_sql("edge", false), "DELETE ON tg_download"));
  merchant->execute("REVOKE DELETE ON tg_download FROM edge");
  EXPECT_EQ(objection(), "");
  expect_pruning_refused(*database);
}

TEST_F(PostgresDatabaseTest, BlockedIsWrittenAndTakenBack) {
  Batch batch;
  batch.seq = 1;
  batch.created = {{"a", "/f"}, {"b", "/f"}};
  batch.blocked = {{"a", ledger::Blocked::copies}, {"b", ledger::Blocked::traffic}};
  ASSERT_TRUE(database->push(batch));
  EXPECT_EQ(merchant->rows("SELECT blocked FROM tg_link ORDER BY link_id"),
            (std::vector<std::string>{"copies", "traffic"}));
  batch.seq = 2;
  batch.blocked = {{"a", ledger::Blocked::none}};
  ASSERT_TRUE(database->push(batch));
  EXPECT_EQ(merchant->one("SELECT blocked FROM tg_link WHERE link_id = 'a'"), "NULL");
}

TEST_F(PostgresDatabaseTest, ItemThatTheDatabaseRefusesIsParkedAndTheRestGoesOn) {
  merchant->execute(
      "INSERT INTO tg_link(link_id, used) VALUES('full', 9223372036854775807);"
      "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS"
      " $$BEGIN RAISE EXCEPTION 'not this one'; END$$;"
      "CREATE TRIGGER mine BEFORE UPDATE OF used ON tg_link FOR EACH ROW WHEN (NEW.link_id = 'no')"
      " EXECUTE FUNCTION no()");
  const std::string long_id(97, 'x');
  const auto report =
      database->push(batch_of(1, {{"a", 0, 1}, {"full", 0, 1}, {"no", 0, 1}, {long_id, 0, 1}}))
          .value();
  EXPECT_EQ(report.outcome, Pushed::applied);
  ASSERT_EQ(report.parked.size(), 3u);
  EXPECT_EQ(report.parked[0].link_id, long_id);
  EXPECT_NE(report.parked[2].reason.find("not this one"), std::string::npos);
  EXPECT_EQ(merchant->one("SELECT used FROM tg_link WHERE link_id = 'a'"), "1");
  EXPECT_EQ(merchant->one("SELECT sum(total) FROM tg_edge_count"), "4") << "the audit has it";
}

TEST_F(PostgresDatabaseTest, EdgesAreListedForTheOperator) {
  ASSERT_TRUE(database->push(batch_of(1, {{"a", 0, 1}})));
  const auto edges = database->edges().value();
  ASSERT_EQ(edges.size(), 1u);
  EXPECT_EQ(edges[0].edge.edge_id, "edge-1");
  EXPECT_EQ(edges[0].edge.epoch, 7u);
  EXPECT_EQ(edges[0].last_seq, 1u);
  EXPECT_GT(edges[0].seen_at, 1'600'000'000);
}

TEST_F(PostgresDatabaseTest, NamesTheLinksOfThisEdgeThatHaveNoRow) {
  ASSERT_TRUE(database->push(batch_of(1, {{"a", 0, 1}, {"b", 0, 1}, {"c", 0, 1}, {"d", 0, 1}})));
  merchant->execute("DELETE FROM tg_link WHERE link_id <> 'b'");
  const auto first = database->scan_lost("", 3).value();
  EXPECT_EQ(first.link_ids, (std::vector<std::string>{"a", "c"}));
  EXPECT_EQ(first.next, "c");
  EXPECT_FALSE(first.is_end);
  const auto second = database->scan_lost(first.next, 3).value();
  EXPECT_EQ(second.link_ids, (std::vector<std::string>{"d"}));
  EXPECT_TRUE(second.is_end);
}

TEST_F(PostgresDatabaseTest, BatchThatArrivesTwiceAtOnceIsAppliedOnce) {
  constexpr int kBatches = 20;
  const auto push_all = [&] {
    PostgresDatabase same(edge_url(), password());
    EXPECT_TRUE(same.open(false));
    EXPECT_TRUE(same.register_edge({"edge-1", 7}));
    int applied = 0;
    for (std::uint64_t seq = 1; seq <= kBatches;) {
      std::vector<CountedCopies> counts;
      for (int i = 0; i < 200; ++i) counts.push_back({"link-" + std::to_string(i), 0, 1});
      const auto pushed = same.push(batch_of(seq, counts));
      if (!pushed) {
        EXPECT_TRUE(pushed.error().retryable) << pushed.error().text;
        continue;
      }
      EXPECT_NE(pushed->outcome, Pushed::gap);
      applied += pushed->outcome == Pushed::applied;
      ++seq;
    }
    return applied;
  };
  auto other = std::async(std::launch::async, push_all);
  const int here = push_all();
  EXPECT_EQ(here + other.get(), kBatches);
  EXPECT_EQ(merchant->one("SELECT sum(used) FROM tg_link"), std::to_string(kBatches * 200));
  EXPECT_EQ(merchant->one("SELECT sum(total) FROM tg_edge_count"), std::to_string(kBatches * 200));
}

TEST_F(PostgresDatabaseTest, LockOfSomebodyElseIsRetryableAndDoesNotStopReading) {
  ASSERT_TRUE(database->push(batch_of(1, {{"a", 0, 1}})));
  merchant->execute("BEGIN; UPDATE tg_link SET max_copies = 3 WHERE link_id = 'a'");
  const auto pushed = database->push(batch_of(2, {{"a", 0, 1}}));
  ASSERT_FALSE(pushed);
  EXPECT_TRUE(pushed.error().retryable);
  EXPECT_EQ(load("a").used, 1u);
  merchant->execute("COMMIT");
  EXPECT_EQ(database->push(batch_of(2, {{"a", 0, 1}})).value().outcome, Pushed::applied);
}

TEST_F(PostgresDatabaseTest, MarkThatIsBeingRenewedKeepsNobodyWaiting) {
  merchant->execute("INSERT INTO tg_link(link_id) VALUES('a'), ('b')");
  const auto marks = changes();
  ASSERT_EQ(marks.size(), 2u);
  merchant->execute("BEGIN; UPDATE tg_link SET state = 1 WHERE link_id = 'a'");
  EXPECT_TRUE(database->acknowledge(std::vector<Mark>{marks[0].mark, marks[1].mark}));
  merchant->execute("COMMIT");
  const auto left = changes();
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].rows.at(0).word.state, State::held);
}

TEST_F(PostgresDatabaseTest, ChangeWakesWhoeverListens) {
  ASSERT_TRUE(database->change_stamp());
  const auto is_readable = [&](int within_ms) {
    pollfd descriptor{database->wake_descriptor(), POLLIN, 0};
    return ::poll(&descriptor, 1, within_ms) == 1;
  };
  EXPECT_FALSE(is_readable(0));
  merchant->execute("INSERT INTO tg_link(link_id) VALUES('a')");
  EXPECT_TRUE(is_readable(10'000));
  ASSERT_TRUE(database->change_stamp());
  EXPECT_FALSE(is_readable(0));
  // What comes while something else is asked is read with the answer.
  merchant->execute("INSERT INTO tg_link(link_id) VALUES('b')");
  ASSERT_TRUE(is_readable(10'000));
  EXPECT_FALSE(database->has_news());
  load("a");
  EXPECT_TRUE(database->has_news());
  ASSERT_TRUE(database->change_stamp());
  EXPECT_FALSE(database->has_news());
}

TEST_F(PostgresDatabaseTest, ConnectionThatTheServerEndsIsAFailureAndTheNextOneGoesOn) {
  ASSERT_TRUE(database->push(batch_of(1, {{"a", 0, 1}})));
  ASSERT_EQ(::kill(process_of_edge(), SIGTERM), 0);
  const auto pushed = database->push(batch_of(2, {{"a", 0, 1}}));
  ASSERT_FALSE(pushed);
  EXPECT_FALSE(pushed.error().retryable);
  database->close();
  ASSERT_TRUE(database->open(false));
  EXPECT_EQ(database->register_edge({"edge-1", 7}).value(), 1u);
  EXPECT_EQ(database->push(batch_of(2, {{"a", 0, 1}})).value().outcome, Pushed::applied);
}

TEST_F(PostgresDatabaseTest, ServerThatStandsStillIsAFailureAndNoWaitForEver) {
  // The process behind our connection, so that the merchant's goes on.
  const auto process = process_of_edge();
  ASSERT_EQ(::kill(process, SIGSTOP), 0);
  const auto found = database->load(std::vector<std::string>{"a"});
  EXPECT_EQ(::kill(process, SIGCONT), 0);
  ASSERT_FALSE(found);
  EXPECT_FALSE(found.error().retryable);
  EXPECT_TRUE(has(found.error().text, "no answer within 5 s")) << found.error().text;
}

TEST_F(PostgresDatabaseTest, MerchantsOwnRoleNeedsNoRightsOnOurTables) {
  merchant->execute(
      "GRANT SELECT, UPDATE, DELETE, INSERT ON tg_link TO edge;"
      "REVOKE ALL ON tg_dirty, tg_consumer, tg_edge_count FROM edge");
  postgres::Connection shop(edge_url(), password(), 60s);
  shop.execute("INSERT INTO tg_link(link_id) VALUES('a')");
  shop.execute("UPDATE tg_link SET link_id = 'b'");
  shop.execute("DELETE FROM tg_link");
  EXPECT_EQ(merchant->one("SELECT count(*) FROM tg_dirty"), "2");
}

TEST_F(PostgresDatabaseTest, TruncateMarksEveryRow) {
  merchant->execute("INSERT INTO tg_link(link_id) VALUES('a'), ('b')");
  acknowledge_all();
  merchant->execute("TRUNCATE tg_link");
  EXPECT_EQ(changes().size(), 2u);
}

TEST_F(PostgresDatabaseTest, TextsOfEveryKindArriveAsTheyAre) {
  Batch batch;
  batch.seq = 1;
  batch.created = {{"a", "/mus\\ic/\"Gr\xc3\xb6\xc3\x9f\x65, XL\" {1}.flac"}};
  ASSERT_TRUE(database->push(batch));
  EXPECT_EQ(merchant->one("SELECT file_id FROM tg_link"), batch.created[0].file_id);
}

TEST(PostgresDatabase, MakesNoRowsWhereTheShopIsTheAuthority) {
  PostgresDatabase owner(owner_url(), password(), false);
  ASSERT_TRUE(owner.create_schema());
  ASSERT_TRUE(owner.open(false));
  ASSERT_TRUE(owner.register_edge({"edge-3", 11}));
  Batch batch;
  batch.seq = 1;
  batch.created.push_back({"only-here", "/a"});
  ASSERT_TRUE(owner.push(batch));
  EXPECT_TRUE(owner.load(std::vector<std::string>{"only-here"}).value().empty());
  EXPECT_EQ(owner.scan_lost("only-her", 1).value().link_ids, std::vector<std::string>{"only-here"});
}

}  // namespace
}  // namespace tallygate::shop
