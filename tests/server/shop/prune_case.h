// What pruning the history must do on every kind of database with tallygate's own tables.
#pragma once
#include <gtest/gtest.h>

#include <string>

#include "server/shop/database.h"

namespace tallygate::shop {

inline HistoryRow row_that_ended(std::uint64_t epoch, std::uint64_t seq, std::int64_t ended_at) {
  return {.event_id = event_id(epoch, seq, 0),
          .link_id = "a",
          .started_at = ended_at - 10,
          .ended_at = ended_at,
          .file_size = 10};
}

// On empty tables, at which `database` is registered and has pushed nothing.
template <class Merchant>
void expect_pruned(Database& database, Merchant& merchant) {
  const auto rows = [&](const std::string& where) {
    return merchant.one("SELECT count(*) FROM tg_download" + where);
  };
  Batch batch;
  batch.seq = 1;
  batch.created.push_back({"a", "/f"});
  batch.counted.push_back({"a", 0, 3});
  for (std::uint64_t seq = 1; seq <= 10; ++seq) {
    batch.history.push_back(row_that_ended(7, seq, 100));
    batch.history.push_back(row_that_ended(7, 100 + seq, 500));  // just young enough
  }
  batch.history.push_back(row_that_ended(8, 1, 499));  // another stream's
  ASSERT_EQ(database.push(batch).value().outcome, Pushed::applied);
  ASSERT_EQ(rows(""), "21");

  EventId after{};
  std::size_t looked_at = 0;
  std::size_t deleted = 0;
  for (;;) {
    const auto page = database.prune_history(after, 500, 6);
    ASSERT_TRUE(page) << page.error().text;
    looked_at += page->rows;
    deleted += page->deleted;
    ASSERT_LE(page->rows, 6u);
    if (page->rows < 6) break;
    ASSERT_LT(after, page->last);
    after = page->last;
  }
  EXPECT_EQ(looked_at, 21u);
  EXPECT_EQ(deleted, 11u);
  EXPECT_EQ(rows(""), "10");
  EXPECT_EQ(rows(" WHERE ended_at < 500"), "0");

  // Nothing but history is gone, and an old batch does not bring it back.
  EXPECT_EQ(merchant.one("SELECT used FROM tg_link"), "3");
  EXPECT_EQ(merchant.one("SELECT sum(total) FROM tg_edge_count"), "3");
  EXPECT_EQ(database.push(batch).value().outcome, Pushed::already_applied);
  EXPECT_EQ(rows(""), "10");
  EXPECT_EQ(merchant.one("SELECT used FROM tg_link"), "3");

  // A row that grows after all is there once, as it now is.
  Batch grown;
  grown.seq = 2;
  grown.history.push_back(row_that_ended(7, 1, 600));
  ASSERT_EQ(database.push(grown).value().outcome, Pushed::applied);
  EXPECT_EQ(rows(" WHERE ended_at = 600"), "1");
  EXPECT_EQ(database.prune_history({}, 0, 100).value().deleted, 0u);
  EXPECT_EQ(database.prune_history({}, 1000, 100).value().deleted, 11u);
  EXPECT_EQ(rows(""), "0");
  const auto none = database.prune_history({}, 1000, 100).value();
  EXPECT_EQ(none.rows, 0u);
}

// What the history of a link is, newest first. On empty tables, as above.
inline void expect_downloads(Database& database) {
  Batch batch;
  batch.seq = 1;
  for (std::uint64_t seq = 1; seq <= 5; ++seq) {
    HistoryRow row = row_that_ended(7, seq, 100 * static_cast<std::int64_t>(seq));
    row.bytes_sent = seq;
    batch.history.push_back(row);
  }
  batch.history[4].client_ip = "192.0.2.1";
  batch.history[4].user_agent = "curl/8";
  batch.history[4].outcome = ledger::Outcome::complete;
  batch.history[4].counted = 1;
  HistoryRow other = row_that_ended(7, 9, 900);
  other.link_id = "b";
  batch.history.push_back(other);
  ASSERT_EQ(database.push(batch).value().outcome, Pushed::applied);

  const auto found = database.downloads_of("a", 3);
  ASSERT_TRUE(found) << found.error().text;
  ASSERT_EQ(found->size(), 3u);
  HistoryRow newest = batch.history[4];
  newest.event_id = {};
  EXPECT_EQ((*found)[0], newest);
  EXPECT_EQ((*found)[1].ended_at, 400);
  EXPECT_EQ((*found)[1].client_ip, "");
  EXPECT_EQ((*found)[1].outcome, ledger::Outcome::partial);
  EXPECT_EQ((*found)[2].ended_at, 300);
  EXPECT_EQ(database.downloads_of("a", 100).value().size(), 5u);
  EXPECT_TRUE(database.downloads_of("nobody", 100).value().empty());
}

// `database` has no right to delete: it says so, and all else goes on.
inline void expect_pruning_refused(Database& database) {
  Batch batch;
  batch.seq = 1;
  batch.history.push_back(row_that_ended(7, 1, 100));
  ASSERT_EQ(database.push(batch).value().outcome, Pushed::applied);
  const auto page = database.prune_history({}, 500, 6);
  ASSERT_FALSE(page);
  EXPECT_FALSE(page.error().retryable);
  EXPECT_NE(page.error().text.find("denied"), std::string::npos) << page.error().text;
  EXPECT_EQ(database.prune_history({}, 50, 6).value().deleted, 0u);
  batch.seq = 2;
  EXPECT_EQ(database.push(batch).value().outcome, Pushed::applied);
}

}  // namespace tallygate::shop
