#include "server/metrics/exposition.h"

#include <gtest/gtest.h>

#include <limits>
#include <sstream>

namespace tallygate::metrics {
namespace {

// The lines that begin with `start`, without HELP.
std::string lines_of(const std::string& text, std::string_view start) {
  std::istringstream in(text);
  std::string out;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(start)) out += line + "\n";
  }
  return out;
}

std::string after_help(const Exposition& exposition) {
  const std::string& text = exposition.text();
  return text.substr(text.find("# TYPE"));
}

TEST(Exposition, SaysHelpAndTypeOnceBeforeTheSamples) {
  Exposition out;
  out.add(Id::tls_handshakes, {"full"}, std::uint64_t{3});
  out.add(Id::tls_handshakes, {"failed"}, std::uint64_t{4});
  out.add(Id::ledger_links, {}, std::uint64_t{5});
  EXPECT_EQ(out.text(), "# HELP tallygate_tls_handshakes_total " +
                            std::string(describe(Id::tls_handshakes).help) +
                            "\n"
                            "# TYPE tallygate_tls_handshakes_total counter\n"
                            "tallygate_tls_handshakes_total{result=\"full\"} 3\n"
                            "tallygate_tls_handshakes_total{result=\"failed\"} 4\n"
                            "# HELP tallygate_ledger_links " +
                            std::string(describe(Id::ledger_links).help) +
                            "\n"
                            "# TYPE tallygate_ledger_links gauge\n"
                            "tallygate_ledger_links 5\n");
}

TEST(Exposition, SeparatesSeveralLabelsWithCommas) {
  Exposition out;
  out.add(Id::refusals, {"link-invalid", "bad_mac"}, std::uint64_t{1});
  EXPECT_EQ(lines_of(out.text(), "tallygate"),
            "tallygate_refusals_total{refusal=\"link-invalid\",reason=\"bad_mac\"} 1\n");
}

TEST(Exposition, EscapesWhatWouldEndALabelOrALine) {
  Exposition out;
  out.add(Id::build_info, {"a\\b\"c\nd {}, é"}, std::uint64_t{1});
  EXPECT_EQ(lines_of(out.text(), "tallygate"),
            "tallygate_build_info{version=\"a\\\\b\\\"c\\nd {}, é\"} 1\n");
}

TEST(Exposition, WritesNumbersAsTheyCanBeReadBack) {
  const std::pair<double, std::string_view> numbers[] = {
      {0, "0"},
      {0.25, "0.25"},
      {1e-9, "1e-09"},
      {1767225600, "1767225600"},
      {0.1 + 0.2, "0.30000000000000004"},
      {-1.5, "-1.5"},
      {std::numeric_limits<double>::infinity(), "+Inf"},
      {-std::numeric_limits<double>::infinity(), "-Inf"},
      {std::numeric_limits<double>::quiet_NaN(), "NaN"},
  };
  for (const auto& [number, text] : numbers) {
    Exposition out;
    out.add(Id::process_cpu, {}, number);
    EXPECT_EQ(lines_of(out.text(), "process"),
              "process_cpu_seconds_total " + std::string(text) + "\n");
  }
  Exposition out;
  out.add(Id::sent_bytes, {}, UINT64_MAX);
  EXPECT_EQ(lines_of(out.text(), "tallygate"), "tallygate_sent_bytes_total 18446744073709551615\n");
}

TEST(Exposition, AddsUpTheBucketsOfAHistogram) {
  Exposition out;
  out.add(Id::journal_sync, HistogramFigures{{0.0001, 0.25, 1}, {4, 0, 2, 1}, 12.5});
  EXPECT_EQ(after_help(out),
            "# TYPE tallygate_journal_fsync_seconds histogram\n"
            "tallygate_journal_fsync_seconds_bucket{le=\"0.0001\"} 4\n"
            "tallygate_journal_fsync_seconds_bucket{le=\"0.25\"} 4\n"
            "tallygate_journal_fsync_seconds_bucket{le=\"1\"} 6\n"
            "tallygate_journal_fsync_seconds_bucket{le=\"+Inf\"} 7\n"
            "tallygate_journal_fsync_seconds_sum 12.5\n"
            "tallygate_journal_fsync_seconds_count 7\n");
}

// -- the figures --------------------------------------------------------------------------------

Snapshot with_shop() {
  Snapshot snapshot;
  snapshot.shop.emplace();
  const HistogramFigures figures{{1}, {0, 0}, 0};
  snapshot.sync_seconds = snapshot.batch_records = snapshot.batch_bytes = figures;
  snapshot.loop_stall_seconds = figures;
  return snapshot;
}

TEST(Text, HasEveryMetricOfTheList) {
  const std::string text = write_text(with_shop());
  std::string types;
  for (const Metric& metric : all_metrics()) {
    types +=
        "# TYPE " + std::string(metric.name) + " " + std::string(to_string(metric.type)) + "\n";
  }
  EXPECT_EQ(lines_of(text, "# TYPE"), types);
}

TEST(Text, OfAServerWithoutAShopSaysNothingOfOne) {
  Snapshot snapshot = with_shop();
  snapshot.shop.reset();
  EXPECT_EQ(write_text(snapshot).find("tallygate_shop"), std::string::npos);
}

TEST(Text, HasEveryStatusAndEveryRefusalFromTheStart) {
  Snapshot snapshot = with_shop();
  snapshot.answers[index_of_status(206)] = 9;
  snapshot.refusals[index_of(http::Problem::link_invalid, "bad_mac")] = 2;
  const std::string text = write_text(snapshot);
  for (const auto status : kStatuses) {
    const std::string name = status == 0 ? "none" : std::to_string(status);
    EXPECT_EQ(
        lines_of(text, "tallygate_requests_total{status=\"" + name + "\"}"),
        "tallygate_requests_total{status=\"" + name + "\"} " + (status == 206 ? "9" : "0") + "\n");
  }
  EXPECT_EQ(lines_of(text, "tallygate_refusals_total{refusal=\"link-invalid\",reason=\"bad_mac\"}"),
            "tallygate_refusals_total{refusal=\"link-invalid\",reason=\"bad_mac\"} 2\n");
  std::size_t refusals = 0;
  std::istringstream in(lines_of(text, "tallygate_refusals_total{"));
  for (std::string line; std::getline(in, line);) ++refusals;
  EXPECT_EQ(refusals, kRefusalKinds);
}

TEST(Text, IsInOneStateAtATime) {
  Snapshot snapshot = with_shop();
  snapshot.state = State::failed;
  EXPECT_EQ(lines_of(write_text(snapshot), "tallygate_status{"),
            "tallygate_status{status=\"ok\"} 0\n"
            "tallygate_status{status=\"degraded\"} 0\n"
            "tallygate_status{status=\"failed\"} 1\n"
            "tallygate_status{status=\"draining\"} 0\n");
}

TEST(Snapshot, HasNoFewerThanNoTransfersInFlight) {
  Snapshot snapshot;
  snapshot.transfers_begun = 5;
  snapshot.transfers_complete = 2;
  snapshot.transfers_partial = 1;
  EXPECT_EQ(snapshot.transfers_in_flight(), 2u);
  snapshot.transfers_partial = 4;  // read a little later than what began
  EXPECT_EQ(snapshot.transfers_in_flight(), 0u);
}

TEST(Snapshot, IsFailedBeforeItIsDegraded) {
  Snapshot snapshot;
  EXPECT_EQ(state_of(snapshot, false), State::ok);
  snapshot.shop.emplace();
  EXPECT_EQ(state_of(snapshot, false), State::degraded) << "the shop is away";
  snapshot.shop->reachable = true;
  EXPECT_EQ(state_of(snapshot, false), State::ok);
  for (bool* trouble : {&snapshot.shop->alarm, &snapshot.shop->warning, &snapshot.ledger_warning}) {
    *trouble = true;
    EXPECT_EQ(state_of(snapshot, false), State::degraded);
    *trouble = false;
  }
  snapshot.configuration.last_reload_successful = false;
  EXPECT_EQ(state_of(snapshot, false), State::degraded) << "the next start would fail";
  snapshot.configuration.last_reload_successful = true;
  snapshot.shop->history_dropped = 1;
  EXPECT_EQ(state_of(snapshot, false), State::degraded);
  snapshot.ledger_failed = true;
  EXPECT_EQ(state_of(snapshot, false), State::failed);
  snapshot.ledger_failed = false;
  snapshot.clock_wrong = true;
  EXPECT_EQ(state_of(snapshot, false), State::failed) << "nobody knows what has expired";
  snapshot.clock_wrong = false;
  snapshot.stands_still = true;
  EXPECT_EQ(state_of(snapshot, false), State::failed);
  EXPECT_EQ(state_of(snapshot, true), State::draining);
}

TEST(Statuses, AreTheOnesThatThereAre) {
  for (std::size_t i = 0; i < kStatuses.size(); ++i) {
    EXPECT_EQ(index_of_status(kStatuses[i]), i);
    EXPECT_TRUE(i == 0 || !http::reason_phrase(static_cast<http::Status>(kStatuses[i])).empty());
  }
  std::size_t known = 0;
  for (unsigned code = 100; code < 600; ++code) {
    if (http::reason_phrase(static_cast<http::Status>(code)).empty()) {
      EXPECT_EQ(index_of_status(code), 0u) << code;
    } else {
      EXPECT_NE(index_of_status(code), 0u) << code;
      ++known;
    }
  }
  EXPECT_EQ(known + 1, kStatuses.size());
}

}  // namespace
}  // namespace tallygate::metrics
