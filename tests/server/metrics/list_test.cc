#include "server/metrics/list.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

namespace tallygate::metrics {
namespace {

bool is_word(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

bool is_sentence(std::string_view text) {
  return text.size() >= 15 && text.ends_with('.') && text.find('\n') == text.npos;
}

TEST(List, HasEveryMetricAtItsPlaceUnderAnAloneStandingName) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < kMetrics; ++i) {
    const Metric& metric = all_metrics()[i];
    EXPECT_EQ(static_cast<std::size_t>(metric.id), i) << metric.name;
    EXPECT_EQ(&describe(metric.id), &metric);
    EXPECT_TRUE(names.insert(metric.name).second) << metric.name;
  }
}

TEST(List, FollowsPrometheusConventions) {
  for (const Metric& metric : all_metrics()) {
    EXPECT_TRUE(is_word(metric.name)) << metric.name;
    EXPECT_TRUE(metric.name.starts_with("tallygate_") || metric.name.starts_with("process_"))
        << metric.name;
    EXPECT_EQ(metric.type == Type::counter, metric.name.ends_with("_total")) << metric.name;
    for (const std::string_view unit :
         {"_ms", "_millis", "_us", "_ns", "_kb", "_mib", "_minutes"}) {
      EXPECT_EQ(metric.name.find(unit), metric.name.npos) << metric.name;
    }
    // What a histogram's and a summary's samples end with.
    for (const std::string_view taken : {"_bucket", "_sum", "_count"}) {
      EXPECT_FALSE(metric.name.ends_with(taken)) << metric.name;
    }
    for (const std::string_view label : metric.labels) {
      EXPECT_TRUE(label.empty() || is_word(label)) << metric.name;
      EXPECT_NE(label, "le") << metric.name;
    }
    EXPECT_TRUE(!metric.labels[0].empty() || metric.labels[1].empty()) << metric.name;
    if (metric.type == Type::histogram) {
      EXPECT_TRUE(metric.labels[0].empty()) << metric.name;
    }
  }
}

TEST(List, SaysOfEachWhatItIsAndWhatToDoWhenItGrows) {
  for (const Metric& metric : all_metrics()) {
    EXPECT_TRUE(is_sentence(metric.help)) << metric.name << ": " << metric.help;
    EXPECT_TRUE(is_sentence(metric.when_it_grows)) << metric.name << ": " << metric.when_it_grows;
  }
}

// The table as README.md has to have it.
std::string table() {
  std::string out = "| metric | type | what it says | when it grows |\n|---|---|---|---|\n";
  for (const Metric& metric : all_metrics()) {
    out += "| `" + std::string(metric.name);
    if (!metric.labels[0].empty()) {
      out += '{';
      out += metric.labels[0];
      if (!metric.labels[1].empty()) out += ", " + std::string(metric.labels[1]);
      out += '}';
    }
    out += "` | " + std::string(to_string(metric.type)) + " | " + std::string(metric.help) + " | " +
           std::string(metric.when_it_grows) + " |\n";
  }
  return out;
}

TEST(List, IsTheTableOfTheReadme) {
  std::ifstream file(TALLYGATE_METRICS_README);
  std::ostringstream readme;
  readme << file.rdbuf();
  const bool there = readme.str().find(table()) != std::string::npos;
  if (!there) {
    const std::string path = testing::TempDir() + "tallygate_metrics_table.md";
    std::ofstream(path) << table();
    FAIL() << "replace the table in server/metrics/README.md by " << path;
  }
}

}  // namespace
}  // namespace tallygate::metrics
