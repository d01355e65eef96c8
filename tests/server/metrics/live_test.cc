#include "server/metrics/live.h"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <boost/json/value_to.hpp>

namespace tallygate::metrics {
namespace {

namespace json = boost::json;

std::string text(const json::value& value) {
  return json::serialize(value);
}

Snapshot some() {
  Snapshot s;
  s.now_ms = 1'767'225'600'123;
  s.started_at = 1'767'225'000;
  s.answers[index_of_status(200)] = 3;
  s.answers[index_of_status(403)] = 2;
  s.answers[0] = 1;
  s.refusals[index_of(http::Problem::link_invalid, "bad_mac")] = 2;
  s.refusals[index_of(http::Problem::link_invalid, "something new")] = 1;
  s.transfers_begun = 3;
  s.transfers_complete = 2;
  s.file_bytes = 1 << 20;
  s.copies = 2;
  s.connections = 4;
  s.sync_seconds = {{0.0001, 0.001}, {5, 2, 1}, 0.75};
  s.batch_records = {{1, 2}, {4, 4, 0}, 12};
  s.handshakes_full = 2;
  s.handshakes_resumed = 3;
  s.handshakes_failed = 100;
  s.cold_by_ring.reads = 5;
  s.cold_by_threads.reads = 6;
  s.loop_stall_longest_seconds = 0.5;
  return s;
}

TEST(Live, HasTheTotalsThatRatesAreMadeOf) {
  const json::object live = write_live(some());
  EXPECT_EQ(live.at("now_ms"), 1'767'225'600'123);
  EXPECT_EQ(live.at("started_at"), 1'767'225'000);
  EXPECT_EQ(live.at("version"), TALLYGATE_VERSION);
  EXPECT_EQ(live.at("generation").as_uint64(), 1u);
  EXPECT_EQ(live.at("status"), "ok");
  EXPECT_EQ(live.at("requests_total").as_uint64(), 6u);
  EXPECT_EQ(live.at("transfers").as_uint64(), 1u);
  EXPECT_EQ(live.at("bytes_sent_total").as_uint64(), 1u << 20);
  EXPECT_EQ(live.at("copies_total").as_uint64(), 2u);
  EXPECT_EQ(live.at("tls_handshakes_total").as_uint64(), 5u) << "those that were done";
  EXPECT_EQ(live.at("cold_reads_total").as_uint64(), 11u);
  EXPECT_EQ(live.at("loop_stall_longest_ms").as_double(), 500);
}

TEST(Live, SaysStatusesAndRefusalsByName) {
  const json::object live = write_live(some());
  const auto& statuses = live.at("requests_by_status").as_object();
  EXPECT_EQ(statuses.size(), kStatuses.size());
  EXPECT_EQ(statuses.at("200").as_uint64(), 3u);
  EXPECT_EQ(statuses.at("none").as_uint64(), 1u);
  EXPECT_EQ(statuses.at("206").as_uint64(), 0u);
  const auto& refusals = live.at("refusals").as_object();
  EXPECT_EQ(refusals.size(), http::kProblems);
  EXPECT_EQ(refusals.at("link-invalid").as_uint64(), 3u) << "whatever the reason";
  EXPECT_EQ(refusals.at("downloads-exhausted").as_uint64(), 0u);
}

TEST(Live, AddsUpTheBuckets) {
  const json::object live = write_live(some());
  EXPECT_EQ(text(live.at("fsync").at("count")), "8");
  EXPECT_EQ(live.at("fsync").at("seconds_total").as_double(), 0.75);
  EXPECT_EQ(text(live.at("fsync").at("le")), "[[1E-4,5],[1E-3,7]]");
  EXPECT_EQ(text(live.at("batch_records")), "{\"count\":8,\"total\":12}");
}

TEST(Live, HasAShopOnlyWhereThereIsOne) {
  Snapshot s = some();
  EXPECT_TRUE(write_live(s).at("shop").is_null());
  s.shop.emplace();
  s.shop->engine = "sqlite";
  s.shop->lag_seconds = 7;
  s.shop->copies_waiting = 9;
  EXPECT_EQ(text(write_live(s).at("shop")),
            R"({"engine":"sqlite","reachable":false,"lag_seconds":7,"copies_waiting":9})");
  s.shop->last_error = "no";
  EXPECT_EQ(write_live(s).at("shop").at("last_error"), "no");
}

}  // namespace
}  // namespace tallygate::metrics
