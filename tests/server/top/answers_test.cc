#include "server/top/answers.h"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>

#include "server/metrics/live.h"

namespace tallygate::top {
namespace {

TEST(TopAnswers, ReadWhatTheServerWrites) {
  metrics::Snapshot s;
  s.now_ms = 1'767'225'600'123;
  s.started_at = 1'767'225'000;
  s.answers[metrics::index_of_status(200)] = 3;
  s.refusals[metrics::index_of(http::Problem::link_invalid, "bad_mac")] = 2;
  s.transfers_begun = 3;
  s.transfers_complete = 2;
  s.file_bytes = 1 << 20;
  s.copies = 2;
  s.connections = 4;
  s.sync_seconds = {{0.0001, 0.001}, {5, 2, 1}, 0.75};
  s.shop.emplace();
  s.shop->engine = "SQLite";
  s.shop->reachable = true;
  s.shop->lag_seconds = 7;
  const auto live = read_live(boost::json::serialize(metrics::write_live(s)));
  ASSERT_TRUE(live);
  EXPECT_EQ(live->now_ms, s.now_ms);
  EXPECT_EQ(live->started_at, s.started_at);
  EXPECT_EQ(live->version, TALLYGATE_VERSION);
  EXPECT_EQ(live->status, "ok");
  EXPECT_EQ(live->requests, 3u);
  EXPECT_EQ(live->transfers, 1u);
  EXPECT_EQ(live->bytes_sent, 1u << 20);
  EXPECT_EQ(live->copies, 2u);
  EXPECT_EQ(live->connections, 4u);
  EXPECT_EQ(live->syncs, 8u);
  EXPECT_EQ(live->syncs_up_to,
            (std::vector<std::pair<double, std::uint64_t>>{{0.0001, 5}, {0.001, 7}}));
  ASSERT_FALSE(live->refusals.empty());
  EXPECT_EQ(live->refusals.front(), (std::pair<std::string, std::uint64_t>("link-invalid", 2)));
  ASSERT_TRUE(live->shop);
  EXPECT_EQ(live->shop->engine, "SQLite");
  EXPECT_TRUE(live->shop->reachable);
  EXPECT_EQ(live->shop->lag_seconds, 7);
}

TEST(TopAnswers, NoShopIsNone) {
  EXPECT_FALSE(read_live(R"({"now_ms": 1, "shop": null})")->shop);
}

TEST(TopAnswers, WhatIsMissingOrOfAnotherTypeIsZero) {
  const auto live = read_live(
      R"({"now_ms": 5, "transfers": "many", "connections": -1, "fsync": {"le": [1, [2], ["a", 3]]},
          "refusals": [], "version": 7})");
  ASSERT_TRUE(live);
  EXPECT_EQ(live->now_ms, 5);
  EXPECT_EQ(live->transfers, 0u);
  EXPECT_EQ(live->connections, 0u);
  EXPECT_EQ(live->version, "");
  EXPECT_EQ(live->syncs_up_to, (std::vector<std::pair<double, std::uint64_t>>{{0, 3}}));
}

TEST(TopAnswers, WhatIsNoAnswerIsSaid) {
  for (const char* text : {"", "{", "[]", "{}", "null", R"({"error": "no such resource"})"}) {
    EXPECT_FALSE(read_live(text)) << text;
    EXPECT_FALSE(read_transfers(text)) << text;
    EXPECT_EQ(read_reasons(text), "") << text;
  }
}

TEST(TopAnswers, Transfers) {
  const auto transfers = read_transfers(
      R"({"total": 9, "transfers": [{"id": "0-17", "link": "x1", "path": "/a b", "client": "192.0.2.1",
          "started_at_ms": 1000, "bytes_sent": 10, "bytes_total": 20, "rate": 5, "tls": true}, 7]})");
  ASSERT_TRUE(transfers);
  EXPECT_EQ(transfers->total, 9u);
  ASSERT_EQ(transfers->list.size(), 1u);
  const Transfer& first = transfers->list.front();
  EXPECT_EQ(first.id, "0-17");
  EXPECT_EQ(first.link, "x1");
  EXPECT_EQ(first.path, "/a b");
  EXPECT_EQ(first.client, "192.0.2.1");
  EXPECT_EQ(first.started_at_ms, 1000);
  EXPECT_EQ(first.bytes_sent, 10u);
  EXPECT_EQ(first.bytes_total, 20u);
  EXPECT_EQ(first.rate, 5u);
  EXPECT_TRUE(first.tls);
}

TEST(TopAnswers, ReasonsAreAllThatHealthHas) {
  EXPECT_EQ(
      read_reasons(R"({"ledger": {"failure": "disk full"}, "settings": {"mistakes": ["a:1: b"]},
      "shop": {"reachable": false, "last_error": "refused", "warning": "no triggers"}})"),
      "disk full; no triggers; refused; not reloaded: a:1: b");
  EXPECT_EQ(read_reasons(R"({"shop": {"reachable": true, "last_error": "of yesterday"}})"), "");
}

}  // namespace
}  // namespace tallygate::top
