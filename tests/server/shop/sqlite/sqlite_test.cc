#include "server/shop/sqlite/sqlite.h"

#include <gtest/gtest.h>

#include "tests/server/shop/fixture.h"

namespace tallygate::shop::sqlite {
namespace {

class SqliteTest : public testing::Test {
 protected:
  SqliteTest() { db.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)"); }
  std::int64_t rows() {
    Statement query(db, "SELECT count(*) FROM t");
    query.step();
    return query.integer(0);
  }

  TempDir dir;
  std::filesystem::path file = dir / "t.db";
  Connection db{file.string(), OpenMode::create, 50ms};
};

TEST_F(SqliteTest, ValuesComeBackAsTheyWent) {
  Statement insert(db, "INSERT INTO t(a, b) VALUES(?1, ?2)");
  const std::string text(
      "gr\xc3\xb6\xc3\x9f"
      "e\0end",
      11);
  insert.run(1, text);
  insert.run(2, std::optional<std::string_view>());
  insert.run(3, std::string_view());
  insert.run(4, std::optional<std::int64_t>(-7));
  insert.run(5, std::array<std::uint8_t, 3>{0, 255, 1});
  insert.run(6, std::nullopt);

  Statement query(db, "SELECT b FROM t ORDER BY a");
  query.bind();
  ASSERT_TRUE(query.step());
  EXPECT_EQ(query.text(0), text);
  ASSERT_TRUE(query.step());
  EXPECT_TRUE(query.is_null(0));
  ASSERT_TRUE(query.step());
  EXPECT_FALSE(query.is_null(0)) << "an empty text is not NULL";
  EXPECT_EQ(query.text(0), "");
  ASSERT_TRUE(query.step());
  EXPECT_EQ(query.maybe_integer(0), -7);
  ASSERT_TRUE(query.step());
  EXPECT_EQ(query.text(0), std::string("\0\xff\1", 3));
  ASSERT_TRUE(query.step());
  EXPECT_EQ(query.maybe_integer(0), std::nullopt);
  EXPECT_FALSE(query.step());
}

TEST_F(SqliteTest, TransactionIsRolledBackUnlessCommitted) {
  {
    Transaction transaction(db, Transaction::Kind::write);
    db.execute("INSERT INTO t(a) VALUES(1)");
  }
  EXPECT_EQ(rows(), 0);
  {
    Transaction transaction(db, Transaction::Kind::write);
    db.execute("INSERT INTO t(a) VALUES(1)");
    transaction.commit();
  }
  EXPECT_EQ(rows(), 1);
  EXPECT_FALSE(db.in_transaction());
}

TEST_F(SqliteTest, RefusedStatementLeavesTheTransactionUsable) {
  Transaction transaction(db, Transaction::Kind::write);
  Statement insert(db, "INSERT INTO t(a) VALUES(?1)");
  insert.run(1);
  try {
    insert.run(1);
    FAIL() << "the key is there";
  } catch (const Error& error) {
    EXPECT_TRUE(error.is_constraint());
    EXPECT_FALSE(error.is_transient());
  }
  insert.run(2);
  transaction.commit();
  EXPECT_EQ(rows(), 2);
}

TEST_F(SqliteTest, SomebodyElsesLockIsTransient) {
  Connection other(file.string(), OpenMode::existing, 50ms);
  Transaction held(other, Transaction::Kind::write);
  try {
    Transaction transaction(db, Transaction::Kind::write);
    FAIL() << "locked";
  } catch (const Error& error) {
    EXPECT_TRUE(error.is_transient());
  }
}

TEST_F(SqliteTest, NoticesThatItsFileHasMoved) {
  EXPECT_FALSE(db.has_moved());
  std::filesystem::rename(file, dir / "moved.db");
  EXPECT_TRUE(db.has_moved());
  std::filesystem::rename(dir / "moved.db", file);
  EXPECT_FALSE(db.has_moved());
}

TEST_F(SqliteTest, OpensOnlyAsItWasTold) {
  EXPECT_THROW(Connection((dir / "none.db").string(), OpenMode::existing, 50ms), Error);
  EXPECT_FALSE(std::filesystem::exists(dir / "none.db"));
  Connection reader(file.string(), OpenMode::read_only, 50ms);
  EXPECT_THROW(reader.execute("INSERT INTO t(a) VALUES(1)"), Error);
}

}  // namespace
}  // namespace tallygate::shop::sqlite
