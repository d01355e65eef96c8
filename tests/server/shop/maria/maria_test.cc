#include "server/shop/maria/maria.h"

#include <gtest/gtest.h>

#include <limits>
#include <mutex>
#include <thread>

#include "tests/server/shop/maria/fixture.h"

namespace tallygate::shop::maria {
namespace {

class MariaTest : public testing::Test {
 protected:
  MariaTest() {
    db.execute("CREATE OR REPLACE TABLE t(a bigint PRIMARY KEY, b longtext, c varbinary(300))");
  }
  ~MariaTest() override { db.execute("DROP TABLE t"); }
  // What executing it throws.
  Error error_of(std::string_view sql) {
    try {
      db.execute(sql);
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << sql;
    return {0, "", ""};
  }

  Connection db{owner_target(), password(), {}};
};

TEST_F(MariaTest, ValuesComeBackAsTheyWere) {
  const std::string text = "Größe 😀 " + std::string(100'000, 'x');
  const std::uint8_t blob[] = {0, 255, 39};
  Statement insert(db, "INSERT INTO t VALUES(?, ?, ?)");
  EXPECT_EQ(insert.run({std::numeric_limits<std::int64_t>::max(), text,
                        std::span<const std::uint8_t>(blob)}),
            1u);
  EXPECT_EQ(insert.run({-1, std::nullopt, std::optional<int>()}), 1u);
  EXPECT_EQ(insert.run({0, "", std::string_view()}), 1u);
  Statement query(db, "SELECT a, b, c, a IS NULL FROM t ORDER BY a");
  query.execute();
  ASSERT_TRUE(query.step());
  EXPECT_EQ(query.integer(0), -1);
  EXPECT_TRUE(query.is_null(1));
  EXPECT_EQ(query.maybe_integer(2), std::nullopt);
  ASSERT_TRUE(query.step());
  EXPECT_FALSE(query.is_null(1));
  EXPECT_EQ(query.text(1), "");
  ASSERT_TRUE(query.step());
  EXPECT_EQ(query.integer(0), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(query.text(1), text);
  EXPECT_EQ(query.text(2), std::string("\0\xff'", 3));
  EXPECT_EQ(query.text(0), "9223372036854775807");
  EXPECT_FALSE(query.step());
}

TEST_F(MariaTest, NumbersBeyondBoundsAreTheNearest) {
  Statement query(db, "SELECT 18446744073709551615, -99999999999999999999, 12.75, 'x', '7 days'");
  query.execute();
  ASSERT_TRUE(query.step());
  EXPECT_EQ(query.integer(0), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(query.integer(1), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(query.integer(2), 12);
  EXPECT_EQ(query.integer(3), 0);
  EXPECT_EQ(query.integer(4), 7);
}

TEST_F(MariaTest, StatementCanBeLeftHalfReadAndUsedAgain) {
  db.execute("INSERT INTO t VALUES(1, 'a', ''), (2, 'b', '')");
  Statement query(db, "SELECT b FROM t WHERE a >= ? ORDER BY a");
  ASSERT_TRUE(query.execute({1}).step());
  ASSERT_TRUE(query.execute({2}).step());
  EXPECT_EQ(query.text(0), "b");
  db.execute("DELETE FROM t");
  EXPECT_FALSE(query.execute({0}).step());
}

TEST_F(MariaTest, TransactionIsUndoneUnlessCommitted) {
  const auto count = [&] {
    Statement query(db, "SELECT count(*) FROM t");
    query.execute();
    return query.step() ? query.integer(0) : -1;
  };
  {
    Transaction transaction(db);
    db.execute("INSERT INTO t(a) VALUES(1)");
    EXPECT_EQ(count(), 1);
  }
  EXPECT_EQ(count(), 0);
  {
    Transaction transaction(db);
    db.execute("INSERT INTO t(a) VALUES(1)");
    transaction.commit();
  }
  EXPECT_EQ(count(), 1);
}

TEST_F(MariaTest, ErrorsAreToldApart) {
  db.execute("SET sql_mode = 'STRICT_ALL_TABLES'");
  db.execute("INSERT INTO t(a) VALUES(1)");
  for (const auto* refused :
       {"INSERT INTO t(a) VALUES(1)", "INSERT INTO t(a) VALUES('x')",
        "INSERT INTO t(a) VALUES(99999999999999999999)", "INSERT INTO t(a) VALUES(NULL)",
        "INSERT INTO t(a, c) VALUES(2, REPEAT('x', 301))", "SELECT 9223372036854775807 + a FROM t",
        "SIGNAL SQLSTATE '45000'"}) {
    const auto error = error_of(refused);
    EXPECT_TRUE(error.is_refusal_of_data()) << refused << ": " << error.code();
    EXPECT_FALSE(error.is_transient() || error.is_connection_lost());
  }
  EXPECT_TRUE(error_of("SELECT * FROM no_such").is_missing_object());
  EXPECT_TRUE(error_of("SELECT no_such FROM t").is_missing_object());
  EXPECT_TRUE(error_of("SELECT no_such()").is_missing_object());
  EXPECT_TRUE(error_of("SET GLOBAL read_only = 1").is_missing_right());
  EXPECT_FALSE(error_of("no SQL").is_refusal_of_data());
}

TEST_F(MariaTest, LocksAndDeadlocksAreTransient) {
  db.execute("INSERT INTO t(a, b) VALUES(1, ''), (2, '')");
  Connection other(owner_target(), password(), {});
  other.execute("SET innodb_lock_wait_timeout = 1");
  db.execute("BEGIN");
  db.execute("UPDATE t SET b = 'x' WHERE a = 1");
  try {
    other.execute("UPDATE t SET b = 'y' WHERE a = 1");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), 1205u);
    EXPECT_TRUE(error.is_transient());
  }
  // Whichever comes second closes the circle; one of the two is the victim.
  other.execute("BEGIN");
  other.execute("UPDATE t SET b = 'y' WHERE a = 2");
  std::vector<unsigned> codes;
  std::mutex mutex;
  const auto update = [&](Connection& connection, const char* sql) {
    try {
      connection.execute(sql);
    } catch (const Error& error) {
      EXPECT_TRUE(error.is_transient()) << error.what();
      const std::scoped_lock lock(mutex);
      codes.push_back(error.code());
    }
    connection.execute("ROLLBACK");
  };
  {
    std::jthread first([&] { update(db, "UPDATE t SET b = 'x' WHERE a = 2"); });
    std::jthread second([&] { update(other, "UPDATE t SET b = 'y' WHERE a = 1"); });
  }
  EXPECT_EQ(codes.size(), 1u);
}

TEST_F(MariaTest, ConnectionThatIsGoneIsSaidToBe) {
  Statement query(db, "SELECT CONNECTION_ID()");
  ASSERT_TRUE(query.execute().step());
  const auto id = query.text(0);
  {
    Connection victim(owner_target(), password(), {});
    Statement who(victim, "SELECT CONNECTION_ID()");
    ASSERT_TRUE(who.execute().step());
    db.execute("KILL " + who.text(0));
    try {
      for (int i = 0; i < 100; ++i) who.execute();
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_TRUE(error.is_connection_lost()) << error.code() << error.what();
    }
  }
  ASSERT_TRUE(query.execute().step());
  EXPECT_EQ(query.text(0), id);
}

}  // namespace
}  // namespace tallygate::shop::maria
