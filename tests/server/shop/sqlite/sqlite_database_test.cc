#include "server/shop/sqlite/sqlite_database.h"

#include <gtest/gtest.h>

#include <fstream>
#include <limits>

#include "tests/server/shop/fixture.h"
#include "tests/server/shop/prune_case.h"

namespace tallygate::shop {
namespace {

class SqliteDatabaseTest : public testing::Test {
 protected:
  SqliteDatabaseTest() {
    EXPECT_TRUE(database.open(true));
    EXPECT_EQ(database.register_edge({"edge-1", 7}).value(), 0u);
    merchant.emplace(file);
  }
  Row load(const std::string& link_id) {
    const std::string ids[] = {link_id};
    const auto rows = database.load(ids).value();
    EXPECT_EQ(rows.size(), 1u);
    return rows.empty() ? Row{} : rows.front();
  }
  std::vector<Change> changes() { return database.take_changes(100).value(); }
  void acknowledge_all() {
    std::vector<Mark> marks;
    for (const auto& change : changes()) marks.push_back(change.mark);
    EXPECT_TRUE(database.acknowledge(marks));
  }

  TempDir dir;
  std::filesystem::path file = dir / "shop.db";
  SqliteDatabase database{file};
  std::optional<Merchant> merchant;
};

Batch batch_of(std::uint64_t seq, std::vector<CountedCopies> counts) {
  Batch batch;
  batch.seq = seq;
  for (const auto& count : counts) batch.created.push_back({count.link_id, "/f"});
  batch.counted = std::move(counts);
  return batch;
}

TEST_F(SqliteDatabaseTest, SchemaCanBeMadeTwiceAndByTheShellItself) {
  EXPECT_TRUE(database.create_schema());
  merchant->execute(database.schema_sql());
  EXPECT_EQ(merchant->one("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'tg_%'"), "11");
}

TEST_F(SqliteDatabaseTest, OpenNamesWhatIsMissing) {
  const auto other = dir / "other.db";
  EXPECT_NE(SqliteDatabase(other).open(false).error().text.find("no such file"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(other)) << "open(false) makes no file";

  ASSERT_TRUE(SqliteDatabase(other).create_schema());
  Merchant shell(other);
  shell.execute("DROP TABLE tg_edge; ALTER TABLE tg_link DROP COLUMN order_ref");
  const auto text = SqliteDatabase(other).open(false).error().text;
  EXPECT_NE(text.find("missing: column tg_link.order_ref, table tg_edge;"), std::string::npos)
      << text;
}

TEST_F(SqliteDatabaseTest, OpenMakesMissingTriggersAgain) {
  merchant->execute("DROP TRIGGER tg_link_deleted");
  EXPECT_TRUE(database.open(false));
  EXPECT_EQ(merchant->one("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'"), "4");
}

TEST_F(SqliteDatabaseTest, OpenSaysWhyItCannot) {
  SqliteDatabase nowhere(dir / "no/such/dir.db");
  EXPECT_FALSE(nowhere.open(true));
  EXPECT_FALSE(nowhere.load({}));
  std::ofstream(dir / "text.db") << std::string(5000, 'x');
  const auto opened = SqliteDatabase(dir / "text.db").open(true);
  EXPECT_NE(opened.error().text.find("not a database"), std::string::npos) << opened.error().text;
}

TEST_F(SqliteDatabaseTest, PushAppliesEachBatchOnceAndInOrder) {
  EXPECT_EQ(database.push(batch_of(2, {{"a", 0, 1}})).value().outcome, Pushed::gap);
  EXPECT_EQ(database.push(batch_of(1, {{"a", 0, 2}})).value().outcome, Pushed::applied);
  EXPECT_EQ(database.push(batch_of(1, {{"a", 0, 2}})).value().outcome, Pushed::already_applied);
  EXPECT_EQ(database.push(batch_of(2, {{"a", 0, 3}})).value().outcome, Pushed::applied);
  EXPECT_EQ(database.push(batch_of(1, {{"a", 0, 2}})).value().outcome, Pushed::already_applied);
  EXPECT_EQ(database.last_seq().value(), 2u);
  EXPECT_EQ(merchant->one("SELECT used FROM tg_link"), "5");
  EXPECT_EQ(merchant->one("SELECT total, charged FROM tg_edge_count"), "5|5");
}

TEST_F(SqliteDatabaseTest, CreatedRowLeavesEverythingAsSigned) {
  Batch batch;
  batch.seq = 1;
  batch.created = {{"a", "/music/a.flac"}, {"b", "/b"}};
  merchant->execute("INSERT INTO tg_link(link_id, file_id, max_copies) VALUES('b', 'mine', 5)");
  ASSERT_TRUE(database.push(batch));
  EXPECT_EQ(merchant->rows("SELECT link_id, file_id, max_copies, used, not_before, expires_at,"
                           " state, reset_gen, blocked FROM tg_link ORDER BY link_id"),
            (std::vector<std::string>{"a|/music/a.flac|NULL|0|NULL|NULL|0|0|NULL",
                                      "b|mine|5|0|NULL|NULL|0|0|NULL"}));
  EXPECT_EQ(load("a").word, Word{});
}

TEST_F(SqliteDatabaseTest, CountsOfAnotherGenerationAreRecordedButNotCharged) {
  merchant->execute("INSERT INTO tg_link(link_id, used, reset_gen) VALUES('a', 0, 3)");
  ASSERT_TRUE(database.push(batch_of(1, {{"a", 2, 5}, {"a", 3, 1}})));
  EXPECT_EQ(merchant->one("SELECT used FROM tg_link"), "1");
  EXPECT_EQ(merchant->one("SELECT total, charged, reset_gen FROM tg_edge_count"), "6|1|3");
}

TEST_F(SqliteDatabaseTest, RowTellsWhatOtherEdgesUsed) {
  SqliteDatabase second(file);
  ASSERT_TRUE(second.open(false));
  ASSERT_TRUE(second.register_edge({"edge-2", 9}));
  ASSERT_TRUE(database.push(batch_of(1, {{"a", 0, 2}})));
  ASSERT_TRUE(second.push(batch_of(1, {{"a", 0, 3}})));
  EXPECT_EQ(load("a").used, 5u);
  EXPECT_EQ(load("a").word.used_elsewhere, 3u);
  EXPECT_EQ(second.load(std::vector<std::string>{"a"}).value().front().word.used_elsewhere, 2u);

  merchant->execute("UPDATE tg_link SET used = 0, reset_gen = reset_gen + 1");
  EXPECT_EQ(load("a").word, (Word{.reset_gen = 1})) << "own part of the generation before is gone";
  ASSERT_TRUE(database.push(batch_of(2, {{"a", 1, 1}})));
  EXPECT_EQ(load("a").word.used_elsewhere, 0u);

  merchant->execute("UPDATE tg_link SET used = used + 4");
  EXPECT_EQ(load("a").word.used_elsewhere, 4u) << "an edit of `used` upwards takes copies away";
  merchant->execute("UPDATE tg_link SET used = 0");
  EXPECT_EQ(load("a").word.used_elsewhere, 0u) << "an edit downwards is no reset";
}

TEST_F(SqliteDatabaseTest, RowThatWasDeletedAndMadeAgainStartsAnew) {
  ASSERT_TRUE(database.push(batch_of(1, {{"a", 0, 2}})));
  merchant->execute("DELETE FROM tg_link; INSERT INTO tg_link(link_id, used) VALUES('a', 2)");
  EXPECT_EQ(load("a").word.used_elsewhere, 2u);
  EXPECT_EQ(merchant->one("SELECT total FROM tg_edge_count"), "2");
}

TEST_F(SqliteDatabaseTest, EveryKindOfEditLeavesAMarkAndOwnPushesDoNot) {
  ASSERT_TRUE(database.push(batch_of(1, {{"a", 0, 2}})));
  EXPECT_TRUE(changes().empty());
  const char* edits[] = {
      "UPDATE tg_link SET max_copies = 5",
      "UPDATE tg_link SET expires_at = 5",
      "UPDATE tg_link SET not_before = 5",
      "UPDATE tg_link SET state = 3",
      "UPDATE tg_link SET used = 0, reset_gen = reset_gen + 1",
      "UPDATE tg_link SET used = 9",
      "UPDATE OR IGNORE tg_link SET max_copies = 6",
      "INSERT OR REPLACE INTO tg_link(link_id) VALUES('a')",
      "INSERT INTO tg_link(link_id) VALUES('a') ON CONFLICT DO UPDATE SET state = 1",
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

TEST_F(SqliteDatabaseTest, MarkThatGrewSinceItWasTakenStays) {
  merchant->execute("INSERT INTO tg_link(link_id) VALUES('a')");
  const auto before = changes();
  merchant->execute("UPDATE tg_link SET state = 3");
  EXPECT_TRUE(database.acknowledge(std::vector<Mark>{before[0].mark}));
  const auto after = changes();
  ASSERT_EQ(after.size(), 1u);
  EXPECT_EQ(after[0].rows.at(0).word.state, State::revoked);
}

TEST_F(SqliteDatabaseTest, EachEdgeHasMarksOfItsOwnAndSeesPushesOfOthers) {
  SqliteDatabase second(file);
  ASSERT_TRUE(second.open(false));
  ASSERT_TRUE(second.register_edge({"edge-2", 9}));
  ASSERT_TRUE(database.push(batch_of(1, {{"a", 0, 2}})));
  EXPECT_TRUE(changes().empty());
  const auto seen = second.take_changes(10).value();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].rows.at(0).word.used_elsewhere, 2u);
  EXPECT_EQ(merchant->one("SELECT sum(muted) FROM tg_consumer"), "0");
}

TEST_F(SqliteDatabaseTest, ChangeStampMovesWithTheCommitsOfOthersOnly) {
  const auto stamp = database.change_stamp().value();
  ASSERT_TRUE(database.push(batch_of(1, {{"a", 0, 2}})));
  EXPECT_EQ(database.change_stamp().value(), stamp);
  merchant->execute("UPDATE tg_link SET state = 3");
  EXPECT_NE(database.change_stamp().value(), stamp);
}

TEST_F(SqliteDatabaseTest, ScanGoesPageByPage) {
  merchant->execute("INSERT INTO tg_link(link_id) VALUES('a'), ('b'), ('c'), ('d:1')");
  std::vector<std::string> seen;
  for (std::string after;;) {
    const auto page = database.scan(after, 2).value();
    for (const auto& row : page) seen.push_back(row.link_id);
    if (page.size() < 2) break;
    after = page.back().link_id;
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"a", "b", "c", "d:1"}));
}

TEST_F(SqliteDatabaseTest, OperatorsEditChangesOnlyWhatIsSet) {
  const auto row = [&] {
    return merchant->one("SELECT max_copies, expires_at, state, used, reset_gen FROM tg_link");
  };
  EXPECT_FALSE(database.edit("a", {.state = State::revoked}).value());
  EXPECT_EQ(row(), "no row");
  EXPECT_TRUE(database.edit("a", {.state = State::revoked, .create = true}).value());
  EXPECT_EQ(row(), "NULL|NULL|3|0|0");
  EXPECT_TRUE(database.edit("a", {.max_copies = 5, .expires_at = 99}).value());
  EXPECT_EQ(row(), "5|99|3|0|0");
  EXPECT_TRUE(database.edit("a", {.state = State::active}).value());
  merchant->execute("UPDATE tg_link SET used = 4");
  EXPECT_TRUE(database.edit("a", {.max_copies = kUnlimited}).value());
  EXPECT_EQ(row(), "-1|99|0|4|0");
  EXPECT_TRUE(database.edit("a", {.reset = true}).value());
  EXPECT_EQ(row(), "-1|99|0|0|1");
  using MaxCopies = std::optional<std::int32_t>;
  EXPECT_TRUE(database.edit("a", {.max_copies = MaxCopies()}).value());
  EXPECT_EQ(row(), "NULL|99|0|0|1");
}

TEST_F(SqliteDatabaseTest, HistoryIsWrittenInAbsoluteValues) {
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
  ASSERT_TRUE(database.push(batch));
  batch.seq = 2;
  batch.history[0].ended_at = 5;
  batch.history[0].bytes_sent = 20;
  batch.history[0].outcome = ledger::Outcome::complete;
  batch.history[0].counted = 1;
  ASSERT_TRUE(database.push(batch));
  EXPECT_EQ(merchant->rows("SELECT length(event_id), link_id, edge_id, started_at, ended_at,"
                           " client_ip, user_agent, bytes_sent, file_size, outcome, counted"
                           " FROM tg_download"),
            std::vector<std::string>{"16|a|edge-1|1|5|NULL|NULL|20|20|0|1"});
}

TEST_F(SqliteDatabaseTest, TellsALinksDownloadsNewestFirst) {
  expect_downloads(database);
}

TEST_F(SqliteDatabaseTest, OldHistoryIsPrunedAndNothingElse) {
  expect_pruned(database, *merchant);
}

TEST_F(SqliteDatabaseTest, BlockedIsWrittenAndTakenBack) {
  Batch batch;
  batch.seq = 1;
  batch.created = {{"a", "/f"}, {"b", "/f"}};
  batch.blocked = {{"a", ledger::Blocked::copies}, {"b", ledger::Blocked::traffic}};
  ASSERT_TRUE(database.push(batch));
  EXPECT_EQ(merchant->rows("SELECT blocked FROM tg_link ORDER BY link_id"),
            (std::vector<std::string>{"copies", "traffic"}));
  batch.seq = 2;
  batch.blocked = {{"a", ledger::Blocked::none}};
  ASSERT_TRUE(database.push(batch));
  EXPECT_EQ(merchant->one("SELECT blocked FROM tg_link WHERE link_id = 'a'"), "NULL");
}

TEST_F(SqliteDatabaseTest, ItemThatTheDatabaseRefusesIsParkedAndTheRestGoesOn) {
  merchant->execute(
      "INSERT INTO tg_link(link_id, used) VALUES('full', 9223372036854775807);"
      "CREATE TRIGGER mine BEFORE UPDATE OF used ON tg_link WHEN NEW.link_id = 'no'"
      " BEGIN SELECT RAISE(ABORT, 'not this one'); END");
  const std::string long_id(97, 'x');
  const auto report =
      database.push(batch_of(1, {{"a", 0, 1}, {"full", 0, 1}, {"no", 0, 1}, {long_id, 0, 1}}))
          .value();
  EXPECT_EQ(report.outcome, Pushed::applied);
  ASSERT_EQ(report.parked.size(), 3u);
  EXPECT_EQ(report.parked[0].link_id, long_id);
  EXPECT_EQ(report.parked[2].reason, "not this one");
  EXPECT_EQ(merchant->one("SELECT used FROM tg_link WHERE link_id = 'a'"), "1");
  EXPECT_EQ(merchant->one("SELECT sum(total) FROM tg_edge_count"), "4") << "the audit has it";
}

TEST_F(SqliteDatabaseTest, WrongValuesInATableWithoutChecksAreTakenForTheNearestRight) {  // S11
  database.close();
  merchant->execute(
      "DROP TABLE tg_link; CREATE TABLE tg_link(link_id PRIMARY KEY, file_id,"
      " order_ref, max_copies, used, not_before, expires_at, state, reset_gen,"
      " blocked, updated_at);"
      "INSERT INTO tg_link VALUES('a', 0, 0, 99999999999, -5, NULL, 9, 7, -1, 0, 0),"
      "('b', 0, 0, -9, 1, NULL, 9, 2, 99999999999, 0, 0)");
  ASSERT_TRUE(database.open(false));
  const auto a = load("a");
  EXPECT_EQ(a.word.max_copies, std::numeric_limits<std::int32_t>::max());
  EXPECT_EQ(a.used, 0u);
  EXPECT_EQ(a.word.state, State::revoked);
  EXPECT_EQ(a.word.reset_gen, 0u);
  const auto b = load("b");
  EXPECT_EQ(b.word.max_copies, kUnlimited);
  EXPECT_EQ(b.word.reset_gen, std::numeric_limits<std::uint32_t>::max());
}

TEST_F(SqliteDatabaseTest, AStateThatIsNotItsDigitIsRevoked) {  // S11
  database.close();
  merchant->execute(
      "DROP TABLE tg_link; CREATE TABLE tg_link(link_id PRIMARY KEY, file_id,"
      " order_ref, max_copies, used, not_before, expires_at, state, reset_gen,"
      " blocked, updated_at);"
      "INSERT INTO tg_link(link_id, used, state, reset_gen) VALUES('a', 0, 'active', 0),"
      "('b', 0, 1e30, 0), ('c', 0, '0', 0)");
  ASSERT_TRUE(database.open(false));
  EXPECT_EQ(load("a").word.state, State::revoked);
  EXPECT_EQ(load("b").word.state, State::revoked);
  EXPECT_EQ(load("c").word.state, State::active);
}

// Parameters only: a text is never a part of a statement.
TEST_F(SqliteDatabaseTest, HostileTextsAreTexts) {  // S11
  const std::string hostile[] = {"'; DROP TABLE tg_link; --", "\"", "\\", "%", "a\nb",
                                 std::string("a\0b", 3)};
  Batch batch;
  batch.seq = 1;
  for (const auto& text : hostile) {
    batch.created.push_back({text, text});
    batch.counted.push_back({text, 0, 1});
  }
  const std::string endless(1'000'000, 'x');
  batch.created.push_back({endless, "/f"});
  const auto report = database.push(batch).value();
  ASSERT_EQ(report.parked.size(), 1u);
  EXPECT_EQ(report.parked.front().link_id, endless);
  for (const auto& text : hostile) {
    EXPECT_EQ(load(text).link_id, text);
    EXPECT_EQ(load(text).used, 1u);
  }
  EXPECT_EQ(database.scan("", 100).value().size(), std::size(hostile));
}

TEST_F(SqliteDatabaseTest, AnotherWritersLockIsRetryableAndDoesNotStopReading) {
  merchant->execute("BEGIN IMMEDIATE");
  const auto pushed = database.push(batch_of(1, {{"a", 0, 1}}));
  ASSERT_FALSE(pushed);
  EXPECT_TRUE(pushed.error().retryable);
  EXPECT_TRUE(database.load({}));
  merchant->execute("COMMIT");
  EXPECT_EQ(database.push(batch_of(1, {{"a", 0, 1}})).value().outcome, Pushed::applied);
}

TEST_F(SqliteDatabaseTest, FileThatWasReplacedIsNoticedAndTheNewOneLeftAlone) {
  ASSERT_TRUE(database.push(batch_of(1, {{"a", 0, 1}})));
  merchant.reset();
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(file.string() + suffix);
  SqliteDatabase fresh(file);
  ASSERT_TRUE(fresh.open(true));
  const auto pushed = database.push(batch_of(2, {{"a", 0, 1}}));
  ASSERT_FALSE(pushed);
  EXPECT_FALSE(pushed.error().retryable);
  database.close();
  EXPECT_TRUE(std::filesystem::exists(file.string() + "-wal")) << "that is the new file's";
  ASSERT_TRUE(database.open(false));
  EXPECT_EQ(database.register_edge({"edge-1", 7}).value(), 0u);
}

TEST_F(SqliteDatabaseTest, EdgesAreListedForTheOperator) {
  ASSERT_TRUE(database.push(batch_of(1, {{"a", 0, 1}})));
  const auto edges = database.edges().value();
  ASSERT_EQ(edges.size(), 1u);
  EXPECT_EQ(edges[0].edge.edge_id, "edge-1");
  EXPECT_EQ(edges[0].edge.epoch, 7u);
  EXPECT_EQ(edges[0].last_seq, 1u);
  EXPECT_GT(edges[0].seen_at, 1'600'000'000);
}

TEST_F(SqliteDatabaseTest, NamesTheLinksOfThisEdgeThatHaveNoRow) {
  ASSERT_TRUE(database.push(batch_of(1, {{"a", 0, 1}, {"b", 0, 1}, {"c", 0, 1}, {"d", 0, 1}})));
  merchant->execute("DELETE FROM tg_link WHERE link_id <> 'b'");
  const auto first = database.scan_lost("", 3).value();
  EXPECT_EQ(first.link_ids, (std::vector<std::string>{"a", "c"}));
  EXPECT_EQ(first.next, "c");
  EXPECT_FALSE(first.is_end);
  const auto second = database.scan_lost(first.next, 3).value();
  EXPECT_EQ(second.link_ids, (std::vector<std::string>{"d"}));
  EXPECT_TRUE(second.is_end);
}

TEST(SqliteDatabase, MakesNoRowsWhereTheShopIsTheAuthority) {
  const TempDir dir;
  SqliteDatabase database(dir / "shop.db", false);
  ASSERT_TRUE(database.open(true));
  ASSERT_TRUE(database.register_edge({"edge-1", 7}));
  Batch batch;
  batch.seq = 1;
  batch.created.push_back({"a", "/a"});
  ASSERT_TRUE(database.push(batch));
  EXPECT_TRUE(database.scan("", 10).value().empty());
  EXPECT_EQ(database.scan_lost("", 10).value().link_ids, std::vector<std::string>{"a"});
}

TEST(MakeDatabase, KnowsTheUrlsOfWhatIsSupported) {
  config::Settings settings;
  settings.shop.url = "sqlite:/var/lib/shop.db";
  EXPECT_EQ(make_database(settings, {}).value()->name(), "sqlite:/var/lib/shop.db");
}

}  // namespace
}  // namespace tallygate::shop
