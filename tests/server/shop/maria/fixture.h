// What the tests of MariaDB share: the server of with_database.py, a merchant, a shop and its edge.
#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "server/shop/maria/maria.h"
#include "server/shop/maria/maria_database.h"

namespace tallygate::shop {

inline std::string variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) throw std::runtime_error(std::string(name) + " is not set");
  return value;
}
inline MariaTarget target_of(const std::string& url) {
  const auto target = parse_maria_url(url);
  if (!target) throw std::runtime_error(url + " " + target.error().text);
  return *target;
}
inline MariaTarget owner_target() {
  return target_of(variable("TALLYGATE_TEST_DATABASE"));
}
inline MariaTarget edge_target() {
  return target_of(variable("TALLYGATE_TEST_DATABASE_EDGE"));
}
inline std::string password() {
  return variable("TALLYGATE_TEST_DATABASE_PASSWORD");
}

// Somebody with the mariadb shell, or the shop's own program: plain SQL, own connection, the
// server's defaults.
class Merchant {
 public:
  void execute(const std::string& sql) {
    try {
      connection_.execute(sql);
    } catch (const maria::Error& error) {
      ADD_FAILURE() << sql << ": " << error.what();
    }
  }
  void execute(std::initializer_list<const char*> list) {
    for (const auto* sql : list) execute(std::string(sql));
  }
  // Again and again until no lock is in the way.
  void insist(const std::string& sql) {
    for (int i = 0; i < 1000; ++i) {
      try {
        return connection_.execute(sql);
      } catch (const maria::Error& error) {
        if (!error.is_transient()) throw;
      }
    }
    throw std::runtime_error("no end to the deadlocks");
  }
  // All rows, columns joined by '|'.
  std::vector<std::string> rows(const std::string& sql, unsigned columns = 1) {
    std::vector<std::string> rows;
    maria::Statement query(connection_, sql);
    query.execute();
    while (query.step()) {
      std::string row;
      for (unsigned i = 0; i < columns; ++i) {
        if (i > 0) row += '|';
        row += query.is_null(i) ? "NULL" : query.text(i);
      }
      rows.push_back(row);
    }
    return rows;
  }
  std::string one(const std::string& sql, unsigned columns = 1) {
    const auto all = rows(sql, columns);
    return all.empty() ? "no row" : all.front();
  }
  maria::Connection& connection() { return connection_; }

 private:
  maria::Connection connection_{owner_target(), password(), {.read = std::chrono::seconds(60)}};
};

inline void drop_everything(Merchant& merchant) {
  merchant.execute("SET foreign_key_checks = 0");
  for (const auto& name : merchant.rows("SELECT TABLE_NAME FROM information_schema.TABLES WHERE"
                                        " TABLE_SCHEMA = DATABASE()")) {
    merchant.execute("DROP TABLE `" + name + "`");
  }
  merchant.execute("SET foreign_key_checks = 1");
  merchant.execute("DROP FUNCTION IF EXISTS tg_trigger_names");
}

// Rights on what was dropped stay, and a right on anything is needed to connect at all.
inline void grant(Merchant& merchant, const Database& database) {
  const auto sql = database.grants_sql("edge", true);
  for (std::size_t start = 0; start < sql.size();) {
    const auto end = sql.find(";\n", start);
    merchant.execute(sql.substr(start, end - start));
    start = end + 2;
  }
}

inline Batch batch_of(std::uint64_t seq, std::vector<CountedCopies> counts) {
  Batch batch;
  batch.seq = seq;
  for (const auto& count : counts) batch.created.push_back({count.link_id, "/f"});
  batch.counted = std::move(counts);
  return batch;
}

// A shop in an empty database, an edge that has the least rights.
class MariaShop : public testing::Test {
 protected:
  void make(config::Schema schema, const std::string& prefix, bool makes_rows = true) {
    schema_ = schema;
    prefix_ = prefix;
    MariaDatabase owner(owner_target(), password(), schema, prefix, makes_rows);
    const auto made = owner.create_schema();
    ASSERT_TRUE(made) << made.error().text;
    grant(merchant, owner);
    database = another(makes_rows);
    const auto opened = database->open(false);
    ASSERT_TRUE(opened) << opened.error().text;
    ASSERT_EQ(database->register_edge({"edge-1", 7}).value(), 0u);
  }
  std::unique_ptr<MariaDatabase> another(bool makes_rows = true) const {
    return std::make_unique<MariaDatabase>(edge_target(), password(), schema_, prefix_, makes_rows);
  }
  std::unique_ptr<MariaDatabase> edge(const Edge& as) const {
    auto other = another();
    EXPECT_TRUE(other->open(false));
    EXPECT_TRUE(other->register_edge(as));
    return other;
  }
  // Why opening fails.
  std::string open_fails() const {
    const auto opened = another()->open(false);
    EXPECT_FALSE(opened);
    return opened ? "" : opened.error().text;
  }
  Row load(const std::string& link_id) {
    const std::string ids[] = {link_id};
    const auto rows = database->load(ids).value();
    EXPECT_EQ(rows.size(), 1u) << link_id;
    return rows.empty() ? Row{} : rows.front();
  }
  std::vector<Change> changes() { return database->take_changes(100).value(); }
  void acknowledge_all() {
    std::vector<Mark> marks;
    for (const auto& change : changes()) marks.push_back(change.mark);
    EXPECT_TRUE(database->acknowledge(marks));
  }
  // Pushes until no lock is in the way.
  static Pushed push(Database& to, const Batch& batch) {
    for (int i = 0; i < 1000; ++i) {
      const auto pushed = to.push(batch);
      if (pushed) {
        EXPECT_TRUE(pushed->parked.empty()) << pushed->parked.front().reason;
        return pushed->outcome;
      }
      if (!pushed.error().retryable) throw std::runtime_error(pushed.error().text);
    }
    throw std::runtime_error("no end to the deadlocks");
  }

  struct Clean {
    explicit Clean(Merchant& merchant) { drop_everything(merchant); }
  };
  Merchant merchant;
  Clean clean{merchant};
  std::unique_ptr<MariaDatabase> database;

 private:
  config::Schema schema_{};
  std::string prefix_;
};

}  // namespace tallygate::shop
