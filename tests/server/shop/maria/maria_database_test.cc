#include "server/shop/maria/maria_database.h"

#include <gtest/gtest.h>
#include <pwd.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <limits>

#include "tests/server/shop/maria/fixture.h"
#include "tests/server/shop/prune_case.h"

namespace tallygate::shop {
namespace {

class MariaDatabaseTest : public MariaShop {
 protected:
  MariaDatabaseTest() { make(config::Schema::tallygate, ""); }
};

TEST_F(MariaDatabaseTest, SchemaCanBeMadeTwiceAndByTheShellItself) {
  const auto count = [&] {
    return merchant.one(
        "SELECT (SELECT count(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()),"
        " (SELECT count(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE())",
        2);
  };
  EXPECT_EQ(count(), "6|3");
  MariaDatabase owner(owner_target(), password(), config::Schema::tallygate, "", true);
  ASSERT_TRUE(owner.create_schema());
  EXPECT_EQ(count(), "6|3");
  EXPECT_TRUE(another()->open(false)) << "rights outlive it";

  drop_everything(merchant);
  setenv("MYSQL_PWD", password().c_str(), 1);
  const auto command = "mariadb --no-defaults -S '" + owner_target().socket + "' -u owner shop";
  FILE* shell = popen(command.c_str(), "w");
  ASSERT_NE(shell, nullptr);
  for (int i = 0; i < 2; ++i) fputs(owner.schema_sql().c_str(), shell);
  EXPECT_EQ(pclose(shell), 0);
  EXPECT_EQ(count(), "6|3");
  const auto opened = owner.open(false);
  EXPECT_TRUE(opened) << opened.error().text;
  EXPECT_TRUE(owner.missing_triggers().value().empty());
}

TEST_F(MariaDatabaseTest, ColumnThatAnOlderSchemaLacksIsAdded) {
  merchant.execute({"INSERT INTO tg_link(link_id) VALUES('a')", "DROP TABLE tg_dirty",
                    "ALTER TABLE tg_link DROP COLUMN not_before"});
  merchant.execute("ALTER TABLE tg_edge_count DROP COLUMN charged");
  MariaDatabase owner(owner_target(), password(), config::Schema::tallygate, "", true);
  ASSERT_TRUE(owner.create_schema());
  EXPECT_EQ(push(*database, batch_of(1, {{"a", 0, 2}})), Pushed::applied);
  EXPECT_EQ(merchant.one("SELECT charged FROM tg_edge_count"), "2");
}

TEST_F(MariaDatabaseTest, OpenNamesEverythingThatIsMissing) {
  merchant.execute({"ALTER TABLE tg_link DROP COLUMN order_ref", "DROP TABLE tg_edge",
                    "ALTER TABLE tg_download ENGINE=MyISAM",
                    "REVOKE INSERT ON tg_consumer FROM edge"});
  const auto text = open_fails();
  for (const auto* part :
       {"column tg_link.order_ref", "table tg_edge,",
        "table tg_download is MyISAM, which has no transactions (ALTER TABLE `tg_download`",
        "INSERT command denied to user 'edge'", "tg_consumer"}) {
    EXPECT_NE(text.find(part), text.npos) << part << " in " << text;
  }
  EXPECT_EQ(text.find("doesn't exist"), text.npos) << text;
  EXPECT_EQ(text.find("command denied", text.find("command denied") + 1), text.npos) << text;
}

TEST_F(MariaDatabaseTest, EveryRightThatIsGrantedIsNeededAndNamed) {
  for (const auto* right :
       {"SELECT ON tg_link", "INSERT ON tg_link", "UPDATE ON tg_link", "SELECT ON tg_edge",
        "INSERT ON tg_edge", "UPDATE ON tg_edge", "SELECT ON tg_edge_count",
        "INSERT ON tg_edge_count", "UPDATE ON tg_edge_count", "INSERT ON tg_download",
        "UPDATE ON tg_download", "SELECT ON tg_consumer", "INSERT ON tg_consumer",
        "SELECT ON tg_dirty", "DELETE ON tg_dirty"}) {
    const std::string what = right;
    merchant.execute("REVOKE " + what + " FROM edge");
    EXPECT_NE(open_fails().find(" denied to user 'edge'"), std::string::npos) << what;
    merchant.execute("GRANT " + what + " TO edge");
    EXPECT_TRUE(another()->open(false));
  }
}

TEST_F(MariaDatabaseTest, TellsALinksDownloadsNewestFirst) {
  expect_downloads(*database);
}

TEST_F(MariaDatabaseTest, OldHistoryIsPrunedAndNothingElse) {
  expect_pruned(*database, merchant);
}

TEST_F(MariaDatabaseTest, PruningNeedsARightThatNothingElseNeeds) {
  EXPECT_NE(database->grants_sql("edge", true).find("GRANT DELETE ON `tg_download` TO 'edge'"),
            std::string::npos);
  EXPECT_EQ(database->grants_sql("edge", false).find("DELETE ON `tg_download`"), std::string::npos);
  merchant.execute("REVOKE DELETE ON tg_download FROM edge");
  ASSERT_TRUE(database->open(false));
  ASSERT_TRUE(database->register_edge({"edge-1", 7}));
  expect_pruning_refused(*database);
}

TEST_F(MariaDatabaseTest, MissingTriggersAreNamedAndNoReasonToStop) {
  EXPECT_TRUE(database->missing_triggers().value().empty());
  merchant.execute("DROP TRIGGER tg_link_deleted");
  ASSERT_TRUE(database->open(false));
  EXPECT_EQ(database->missing_triggers().value(),
            std::vector<std::string>{"trigger tg_link_deleted"});
  merchant.execute("DROP FUNCTION tg_trigger_names");
  ASSERT_TRUE(database->open(false));
  const auto unseen = database->missing_triggers().value();
  ASSERT_EQ(unseen.size(), 1u) << "an edge does not see them by itself";
  EXPECT_TRUE(unseen[0].starts_with("function tg_trigger_names"));
}

TEST_F(MariaDatabaseTest, OpenSaysWhyItCannotAndNeverThePassword) {
  const auto wrong = [&](MariaTarget target, const std::string& with) {
    MariaDatabase other(std::move(target), with, config::Schema::tallygate, "", true);
    const auto opened = other.open(false);
    EXPECT_FALSE(opened);
    EXPECT_EQ(opened.error().text.find(with), std::string::npos) << opened.error().text;
    EXPECT_FALSE(other.last_seq());
    return opened.error().text;
  };
  EXPECT_NE(wrong(edge_target(), "wrong-password").find("Access denied for user 'edge'"),
            std::string::npos);
  auto target = owner_target();
  target.database = "no_such";
  EXPECT_NE(wrong(target, password()).find("no_such"), std::string::npos);
  target = edge_target();
  target.socket = "/nowhere/mysql.sock";
  EXPECT_NE(wrong(target, password()).find("/nowhere/mysql.sock"), std::string::npos);
}

TEST_F(MariaDatabaseTest, NameAndEngineAreForPeople) {
  EXPECT_EQ(database->name(), "mysql://edge@localhost/shop");
  EXPECT_TRUE(database->engine().starts_with("MariaDB 1")) << database->engine();
}

TEST_F(MariaDatabaseTest, GrantsQuoteTheUser) {
  EXPECT_NE(database->grants_sql("edge", false).find("TO 'edge';"), std::string::npos);
  EXPECT_NE(database->grants_sql("'ed''ge'@'10.%'", false).find("@'10.%';"), std::string::npos);
  EXPECT_NE(database->grants_sql("e'; DROP", false).find("TO 'e''; DROP';"), std::string::npos);
}

TEST_F(MariaDatabaseTest, PushAppliesEachBatchOnceAndInOrder) {
  EXPECT_EQ(database->push(batch_of(2, {{"a", 0, 1}})).value().outcome, Pushed::gap);
  EXPECT_EQ(database->push(batch_of(1, {{"a", 0, 2}})).value().outcome, Pushed::applied);
  EXPECT_EQ(database->push(batch_of(1, {{"a", 0, 2}})).value().outcome, Pushed::already_applied);
  EXPECT_EQ(database->push(batch_of(2, {{"a", 0, 3}})).value().outcome, Pushed::applied);
  EXPECT_EQ(database->push(batch_of(1, {{"a", 0, 2}})).value().outcome, Pushed::already_applied);
  EXPECT_EQ(database->last_seq().value(), 2u);
  EXPECT_EQ(merchant.one("SELECT used FROM tg_link"), "5");
  EXPECT_EQ(merchant.one("SELECT total, charged FROM tg_edge_count", 2), "5|5");
}

TEST_F(MariaDatabaseTest, SameBatchFromTwoConnectionsAtOnceIsAppliedOnce) {
  constexpr std::uint64_t kBatches = 30;
  std::vector<CountedCopies> counts;
  for (int i = 100; i < 200; ++i) counts.push_back({"link-" + std::to_string(i), 0, 1});
  std::atomic<unsigned> applied = 0;
  const auto run = [&] {
    const auto connection = edge({"edge-1", 7});
    for (std::uint64_t seq = 1; seq <= kBatches; ++seq) {
      if (push(*connection, batch_of(seq, counts)) == Pushed::applied) ++applied;
    }
  };
  {
    std::jthread first(run);
    std::jthread second(run);
  }
  EXPECT_EQ(applied, kBatches);
  EXPECT_EQ(merchant.one("SELECT sum(used), min(used), max(used) FROM tg_link", 3), "3000|30|30");
  EXPECT_EQ(merchant.one("SELECT sum(total), sum(charged) FROM tg_edge_count", 2), "3000|3000");
}

TEST_F(MariaDatabaseTest, TwoEdgesOnTheSameLinksAddUp) {
  const auto run = [&](const Edge& as) {
    const auto connection = edge(as);
    for (std::uint64_t seq = 1; seq <= 20; ++seq) {
      std::vector<CountedCopies> counts;
      for (int i = 100; i < 150; ++i) counts.push_back({"link-" + std::to_string(i), 0, seq});
      EXPECT_EQ(push(*connection, batch_of(seq, counts)), Pushed::applied);
    }
  };
  {
    std::jthread first([&] { run({"edge-1", 7}); });
    std::jthread second([&] { run({"edge-2", 9}); });
  }
  EXPECT_EQ(merchant.one("SELECT min(used), max(used) FROM tg_link", 2), "420|420");
  EXPECT_EQ(load("link-120").word.used_elsewhere, 210u);
}

TEST_F(MariaDatabaseTest, CreatedRowLeavesEverythingAsSigned) {
  Batch batch;
  batch.seq = 1;
  batch.created = {{"a", "/music/Größe \"1\".flac"}, {"b", "/b"}};
  merchant.execute("INSERT INTO tg_link(link_id, file_id, max_copies) VALUES('b', 'mine', 5)");
  ASSERT_TRUE(database->push(batch));
  EXPECT_EQ(merchant.rows("SELECT link_id, file_id, max_copies, used, not_before, expires_at,"
                          " state, reset_gen, blocked FROM tg_link ORDER BY link_id",
                          9),
            (std::vector<std::string>{"a|/music/Größe \"1\".flac|NULL|0|NULL|NULL|0|0|NULL",
                                      "b|mine|5|0|NULL|NULL|0|0|NULL"}));
  EXPECT_EQ(load("a").word, Word{});
}

TEST_F(MariaDatabaseTest, CountsOfAnotherGenerationAreRecordedButNotCharged) {
  merchant.execute("INSERT INTO tg_link(link_id, used, reset_gen) VALUES('a', 0, 3)");
  ASSERT_TRUE(database->push(batch_of(1, {{"a", 2, 5}, {"a", 3, 1}})));
  EXPECT_EQ(merchant.one("SELECT used FROM tg_link"), "1");
  EXPECT_EQ(merchant.one("SELECT total, charged, reset_gen FROM tg_edge_count", 3), "6|1|3");
}

TEST_F(MariaDatabaseTest, RowTellsWhatOtherEdgesUsed) {
  const auto second = edge({"edge-2", 9});
  ASSERT_TRUE(database->push(batch_of(1, {{"a", 0, 2}})));
  ASSERT_TRUE(second->push(batch_of(1, {{"a", 0, 3}})));
  EXPECT_EQ(load("a").used, 5u);
  EXPECT_EQ(load("a").word.used_elsewhere, 3u);
  EXPECT_EQ(second->load(std::vector<std::string>{"a"}).value().front().word.used_elsewhere, 2u);

  merchant.execute("UPDATE tg_link SET used = 0, reset_gen = reset_gen + 1");
  EXPECT_EQ(load("a").word, (Word{.reset_gen = 1})) << "own part of the generation before is gone";
  ASSERT_TRUE(database->push(batch_of(2, {{"a", 1, 1}})));
  EXPECT_EQ(load("a").word.used_elsewhere, 0u);

  merchant.execute("UPDATE tg_link SET used = used + 4");
  EXPECT_EQ(load("a").word.used_elsewhere, 4u) << "an edit of `used` upwards takes copies away";
  merchant.execute("UPDATE tg_link SET used = 0");
  EXPECT_EQ(load("a").word.used_elsewhere, 0u) << "an edit downwards is no reset";
}

TEST_F(MariaDatabaseTest, RowThatWasDeletedAndMadeAgainStartsAnew) {
  ASSERT_TRUE(database->push(batch_of(1, {{"a", 0, 2}})));
  merchant.execute({"DELETE FROM tg_link", "INSERT INTO tg_link(link_id, used) VALUES('a', 2)"});
  EXPECT_EQ(load("a").word.used_elsewhere, 2u);
  EXPECT_EQ(merchant.one("SELECT total FROM tg_edge_count"), "2");
}

TEST_F(MariaDatabaseTest, EveryKindOfEditLeavesAMarkAndOwnPushesDoNot) {
  ASSERT_TRUE(database->push(batch_of(1, {{"a", 0, 2}})));
  EXPECT_TRUE(changes().empty());
  const char* edits[] = {
      "UPDATE tg_link SET max_copies = 5",
      "UPDATE tg_link SET expires_at = 5",
      "UPDATE tg_link SET not_before = 5",
      "UPDATE tg_link SET state = 3",
      "UPDATE tg_link SET used = 0, reset_gen = reset_gen + 1",
      "UPDATE tg_link SET used = 9",
      "REPLACE INTO tg_link(link_id) VALUES('a')",
      "INSERT INTO tg_link(link_id) VALUES('a') ON DUPLICATE KEY UPDATE state = 1",
      "DELETE FROM tg_link",
      "INSERT INTO tg_link(link_id) VALUES('a')",
  };
  for (const std::string edit : edits) {
    merchant.execute(edit);
    const auto found = changes();
    ASSERT_EQ(found.size(), 1u) << edit;
    EXPECT_EQ(found[0].mark.object, "a");
    EXPECT_EQ(found[0].rows.size(), edit.starts_with("DELETE") ? 0u : 1u);
    EXPECT_EQ(found[0].gone.size(), edit.starts_with("DELETE") ? 1u : 0u);
    acknowledge_all();
    EXPECT_TRUE(changes().empty()) << edit;
  }
  merchant.execute(
      {"UPDATE tg_link SET order_ref = 'x', updated_at = 5", "UPDATE tg_link SET state = state"});
  EXPECT_TRUE(changes().empty()) << "nothing that a download depends on";
  merchant.execute("UPDATE tg_link SET link_id = 'b'");
  const auto renamed = changes();
  ASSERT_EQ(renamed.size(), 2u);
  EXPECT_EQ(renamed[0].gone, std::vector<std::string>{"a"});
  EXPECT_EQ(renamed[1].rows.size(), 1u);
}

TEST_F(MariaDatabaseTest, MarkThatGrewSinceItWasTakenStays) {
  merchant.execute("INSERT INTO tg_link(link_id) VALUES('a')");
  const auto before = changes();
  merchant.execute("UPDATE tg_link SET state = 3");
  EXPECT_TRUE(database->acknowledge(std::vector<Mark>{before[0].mark}));
  const auto after = changes();
  ASSERT_EQ(after.size(), 1u);
  EXPECT_EQ(after[0].rows.at(0).word.state, State::revoked);
}

TEST_F(MariaDatabaseTest, AcknowledgingDoesNotWaitForATransactionOfTheShop) {
  merchant.execute("INSERT INTO tg_link(link_id) VALUES('a'), ('b')");
  Merchant other;
  other.execute({"BEGIN", "UPDATE tg_link SET state = 1 WHERE link_id = 'a'"});
  acknowledge_all();
  EXPECT_EQ(changes().size(), 1u) << "the one that is being marked again stays";
  other.execute("COMMIT");
  EXPECT_EQ(changes().at(0).rows.at(0).word.state, State::held);
  acknowledge_all();
  EXPECT_TRUE(changes().empty());
}

TEST_F(MariaDatabaseTest, EachEdgeHasMarksOfItsOwnAndSeesPushesOfOthers) {
  const auto second = edge({"edge-2", 9});
  ASSERT_TRUE(database->push(batch_of(1, {{"a", 0, 2}})));
  EXPECT_TRUE(changes().empty());
  const auto seen = second->take_changes(10).value();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].rows.at(0).word.used_elsewhere, 2u);
}

TEST_F(MariaDatabaseTest, TriggersDoNotBreakTheShopWhenOurTablesAreGone) {
  merchant.execute({"DROP TABLE tg_dirty", "INSERT INTO tg_link(link_id) VALUES('a')",
                    "UPDATE tg_link SET state = 3", "DELETE FROM tg_link"});
}

TEST_F(MariaDatabaseTest, ScanGoesPageByPage) {
  merchant.execute("INSERT INTO tg_link(link_id) VALUES('a'), ('B'), ('c'), ('d:1')");
  std::vector<std::string> seen;
  for (std::string after;;) {
    const auto page = database->scan(after, 2).value();
    for (const auto& row : page) seen.push_back(row.link_id);
    if (page.size() < 2) break;
    after = page.back().link_id;
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"B", "a", "c", "d:1"}));
}

TEST_F(MariaDatabaseTest, LoadKeepsTheOrderAskedAndTheCaseOfIds) {
  merchant.execute("INSERT INTO tg_link(link_id) VALUES('a'), ('A'), ('c')");
  const auto rows = database->load(std::vector<std::string>{"c", "b", "A", "a", "c"}).value();
  std::vector<std::string> seen;
  for (const auto& row : rows) seen.push_back(row.link_id);
  EXPECT_EQ(seen, (std::vector<std::string>{"c", "A", "a", "c"}));
  EXPECT_TRUE(database->load({}).value().empty());
}

TEST_F(MariaDatabaseTest, OperatorsEditChangesOnlyWhatIsSetAndLeavesAMark) {
  const auto row = [&] {
    return merchant.one("SELECT max_copies, expires_at, state, used, reset_gen FROM tg_link", 5);
  };
  EXPECT_FALSE(database->edit("a", {.state = State::revoked}).value());
  EXPECT_EQ(row(), "no row");
  EXPECT_TRUE(database->edit("a", {.state = State::revoked, .create = true}).value());
  EXPECT_EQ(row(), "NULL|NULL|3|0|0");
  EXPECT_EQ(changes().size(), 1u) << "for this edge, too";
  EXPECT_TRUE(database->edit("a", {.state = State::revoked}).value()) << "nothing to change";
  EXPECT_TRUE(database->edit("a", {.max_copies = 5, .expires_at = 99}).value());
  EXPECT_EQ(row(), "5|99|3|0|0");
  EXPECT_TRUE(database->edit("a", {.state = State::active}).value());
  merchant.execute("UPDATE tg_link SET used = 4");
  EXPECT_TRUE(database->edit("a", {.max_copies = kUnlimited}).value());
  EXPECT_EQ(row(), "-1|99|0|4|0");
  EXPECT_TRUE(database->edit("a", {.reset = true}).value());
  EXPECT_EQ(row(), "-1|99|0|0|1");
  using MaxCopies = std::optional<std::int32_t>;
  EXPECT_TRUE(database->edit("a", {.max_copies = MaxCopies()}).value());
  EXPECT_EQ(row(), "NULL|99|0|0|1");
  acknowledge_all();
  ASSERT_TRUE(database->push(batch_of(1, {{"a", 1, 2}})));
  EXPECT_TRUE(changes().empty()) << "own pushes leave none, also after an edit";
}

TEST_F(MariaDatabaseTest, HistoryIsWrittenInAbsoluteValues) {
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
  batch.history[0].ended_at = 5'000'000'000;
  batch.history[0].bytes_sent = 20;
  batch.history[0].outcome = ledger::Outcome::complete;
  batch.history[0].counted = 1;
  ASSERT_TRUE(database->push(batch));
  EXPECT_EQ(merchant.rows("SELECT length(event_id), link_id, edge_id, started_at, ended_at,"
                          " client_ip, user_agent, bytes_sent, file_size, outcome, counted"
                          " FROM tg_download",
                          11),
            std::vector<std::string>{"16|a|edge-1|1|5000000000|NULL|NULL|20|20|0|1"});
  EXPECT_EQ(merchant.one("SELECT lower(hex(event_id)) FROM tg_download").size(), 32u);
}

TEST_F(MariaDatabaseTest, BlockedIsWrittenAndTakenBack) {
  Batch batch;
  batch.seq = 1;
  batch.created = {{"a", "/f"}, {"b", "/f"}};
  batch.blocked = {{"a", ledger::Blocked::copies}, {"b", ledger::Blocked::traffic}};
  ASSERT_TRUE(database->push(batch));
  EXPECT_EQ(merchant.rows("SELECT blocked FROM tg_link ORDER BY link_id"),
            (std::vector<std::string>{"copies", "traffic"}));
  batch = {};
  batch.seq = 2;
  batch.blocked = {{"a", ledger::Blocked::none}};
  ASSERT_TRUE(database->push(batch));
  EXPECT_EQ(merchant.one("SELECT blocked FROM tg_link WHERE link_id = 'a'"), "NULL");
}

TEST_F(MariaDatabaseTest, ItemThatTheDatabaseRefusesIsParkedAndTheRestGoesOn) {
  merchant.execute({"INSERT INTO tg_link(link_id, used) VALUES('full', 9223372036854775807)",
                    "CREATE TRIGGER mine BEFORE UPDATE ON tg_link FOR EACH ROW"
                    " BEGIN IF NEW.link_id = 'no' AND NEW.used > 0 THEN"
                    " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not this one'; END IF; END"});
  const std::string long_id(97, 'x');
  const auto report =
      database->push(batch_of(1, {{"a", 0, 1}, {"full", 0, 1}, {"no", 0, 1}, {long_id, 0, 1}}));
  ASSERT_TRUE(report) << report.error().text;
  EXPECT_EQ(report->outcome, Pushed::applied);
  ASSERT_EQ(report->parked.size(), 4u);  // the long one neither made nor counted
  EXPECT_EQ(report->parked[0].link_id, long_id);
  EXPECT_EQ(report->parked[1].link_id, "full");
  EXPECT_EQ(report->parked[2].reason, "not this one");
  EXPECT_EQ(merchant.one("SELECT used FROM tg_link WHERE link_id = 'a'"), "1");
  EXPECT_EQ(merchant.one("SELECT sum(total) FROM tg_edge_count"), "3") << "the audit has it";
  EXPECT_EQ(database->last_seq().value(), 1u);
}

TEST_F(MariaDatabaseTest, WrongValuesInATableWithoutChecksAreTakenForTheNearestRight) {
  merchant.execute(
      {"DROP TABLE tg_link",
       "CREATE TABLE tg_link(link_id varchar(96) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY,"
       " file_id text, order_ref text, max_copies bigint, used bigint, not_before bigint,"
       " expires_at bigint, state int, reset_gen bigint, blocked text, updated_at bigint)",
       "INSERT INTO tg_link VALUES('a', 0, 0, 99999999999, -5, NULL, 9, 7, -1, 0, 0),"
       "('b', 0, 0, -9, 1, NULL, 9, 2, 99999999999, 0, 0)"});
  ASSERT_TRUE(database->open(false));
  const auto a = load("a");
  EXPECT_EQ(a.word.max_copies, std::numeric_limits<std::int32_t>::max());
  EXPECT_EQ(a.used, 0u);
  EXPECT_EQ(a.word.state, State::revoked);
  EXPECT_EQ(a.word.reset_gen, 0u);
  const auto b = load("b");
  EXPECT_EQ(b.word.max_copies, kUnlimited);
  EXPECT_EQ(b.word.reset_gen, std::numeric_limits<std::uint32_t>::max());
}

TEST_F(MariaDatabaseTest, LockOfTheShopsIsRetryableAndDoesNotStopReading) {
  ASSERT_TRUE(database->push(batch_of(1, {{"a", 0, 1}})));
  merchant.execute({"BEGIN", "UPDATE tg_link SET order_ref = 'x'"});
  const auto pushed = database->push(batch_of(2, {{"a", 0, 1}}));
  ASSERT_FALSE(pushed);
  EXPECT_TRUE(pushed.error().retryable) << pushed.error().text;
  EXPECT_EQ(load("a").used, 1u);
  merchant.execute("COMMIT");
  EXPECT_EQ(push(*database, batch_of(2, {{"a", 0, 1}})), Pushed::applied);
  EXPECT_EQ(merchant.one("SELECT used FROM tg_link"), "2");
}

TEST_F(MariaDatabaseTest, ConnectionThatWasKilledIsAFailureThatAsksForAnother) {
  for (const auto& id : merchant.rows("SELECT id FROM information_schema.PROCESSLIST WHERE user ="
                                      " 'edge'")) {
    merchant.execute("KILL " + id);
  }
  const auto pushed = database->push(batch_of(1, {{"a", 0, 1}}));
  if (!pushed) {
    EXPECT_FALSE(pushed.error().retryable) << pushed.error().text;
    database->close();
    ASSERT_TRUE(database->open(false));
    ASSERT_TRUE(database->register_edge({"edge-1", 7}));
    EXPECT_EQ(push(*database, batch_of(1, {{"a", 0, 1}})), Pushed::applied);
  }
  EXPECT_EQ(merchant.one("SELECT used FROM tg_link"), "1");
}

TEST_F(MariaDatabaseTest, EdgesAreListedForTheOperator) {
  ASSERT_TRUE(database->push(batch_of(1, {{"a", 0, 1}})));
  const auto other = another();
  ASSERT_TRUE(other->open(false));
  const auto edges = other->edges().value();
  ASSERT_EQ(edges.size(), 1u);
  EXPECT_EQ(edges[0].edge.edge_id, "edge-1");
  EXPECT_EQ(edges[0].edge.epoch, 7u);
  EXPECT_EQ(edges[0].last_seq, 1u);
  EXPECT_GT(edges[0].seen_at, 1'600'000'000);
}

TEST_F(MariaDatabaseTest, NamesTheLinksOfThisEdgeThatHaveNoRow) {
  ASSERT_TRUE(database->push(batch_of(1, {{"a", 0, 1}, {"b", 0, 1}, {"c", 0, 1}, {"d", 0, 1}})));
  merchant.execute("DELETE FROM tg_link WHERE link_id <> 'b'");
  const auto first = database->scan_lost("", 3).value();
  EXPECT_EQ(first.link_ids, (std::vector<std::string>{"a", "c"}));
  EXPECT_EQ(first.next, "c");
  EXPECT_FALSE(first.is_end);
  const auto second = database->scan_lost(first.next, 3).value();
  EXPECT_EQ(second.link_ids, (std::vector<std::string>{"d"}));
  EXPECT_TRUE(second.is_end);
  const auto again = edge({"edge-1", 8});
  ASSERT_TRUE(again->push(batch_of(1, {{"a", 0, 1}})));
  EXPECT_EQ(again->scan_lost("", 10).value().link_ids, (std::vector<std::string>{"c", "d"}))
      << "made again by the new epoch";
  merchant.execute("DELETE FROM tg_link");
  EXPECT_EQ(again->scan_lost("", 10).value().link_ids,
            (std::vector<std::string>{"a", "b", "c", "d"}));
}

TEST_F(MariaDatabaseTest, ReadOnlyServerIsNamed) {
  auto target = owner_target();
  target.user = getpwuid(geteuid())->pw_name;  // whoever runs the tests administers the server
  maria::Connection administrator(target, "", {});
  administrator.execute("SET GLOBAL read_only = 1");
  EXPECT_NE(open_fails().find("read-only"), std::string::npos);
  const auto pushed = database->push(batch_of(1, {{"a", 0, 1}}));
  administrator.execute("SET GLOBAL read_only = 0");
  ASSERT_FALSE(pushed);
  EXPECT_FALSE(pushed.error().retryable) << "another server may not be: connect again";
}

TEST_F(MariaDatabaseTest, FrozenServerIsAFailureAndNotAHang) {
  const auto server = std::stoi(variable("TALLYGATE_TEST_DATABASE_PID"));
  kill(server, SIGSTOP);
  const auto pushed = database->push(batch_of(1, {{"a", 0, 1}}));
  kill(server, SIGCONT);
  ASSERT_FALSE(pushed);
  EXPECT_FALSE(pushed.error().retryable) << pushed.error().text;
  ASSERT_TRUE(database->open(false));
  ASSERT_TRUE(database->register_edge({"edge-1", 7}));
  const auto outcome = push(*database, batch_of(1, {{"a", 0, 1}}));
  EXPECT_NE(outcome, Pushed::gap);
  EXPECT_EQ(merchant.one("SELECT used FROM tg_link"), "1");
}

TEST_F(MariaShop, MakesNoRowsWhereTheShopIsTheAuthority) {
  make(config::Schema::tallygate, "", false);
  EXPECT_FALSE(database->makes_rows());
  Batch batch;
  batch.seq = 1;
  batch.created.push_back({"a", "/a"});
  ASSERT_TRUE(database->push(batch));
  EXPECT_TRUE(database->scan("", 10).value().empty());
  EXPECT_EQ(database->scan_lost("", 10).value().link_ids, std::vector<std::string>{"a"});
}

}  // namespace
}  // namespace tallygate::shop
