#include "core/http/log_quota.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tallygate::http {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

using Told = std::vector<std::pair<std::string, std::uint64_t>>;
Told end(LogQuota& quota) {
  Told told;
  quota.end_window([&](std::string_view shown, std::uint64_t lines) {
    told.emplace_back(std::string(shown), lines);
  });
  return told;
}

TEST(LogQuota, LeavesOutAndCountsWhatIsBeyondAClientsLines) {  // L14
  LogQuota quota;
  unsigned written = 0;
  for (int i = 0; i < 100'000; ++i) written += quota.admit(1, "192.0.2.1", 100) ? 1u : 0u;
  EXPECT_EQ(written, 100u);
  EXPECT_TRUE(quota.admit(2, "192.0.2.2", 100));  // whoever else comes has his own
  EXPECT_THAT(end(quota), ElementsAre(Pair("192.0.2.1", 99'900)));
}

TEST(LogQuota, BeginsAnewWithEachWindow) {
  LogQuota quota;
  EXPECT_TRUE(quota.is_empty());
  for (int window = 0; window < 3; ++window) {
    EXPECT_TRUE(quota.admit(1, "192.0.2.1", 1));
    EXPECT_FALSE(quota.is_empty());
    EXPECT_FALSE(quota.admit(1, "192.0.2.1", 1));
    EXPECT_THAT(end(quota), ElementsAre(Pair("192.0.2.1", 1)));
    EXPECT_TRUE(quota.is_empty());
  }
  EXPECT_THAT(end(quota), IsEmpty());
}

TEST(LogQuota, SaysNothingOfClientsWithinTheirLines) {
  LogQuota quota;
  for (std::uint64_t key = 0; key < 10; ++key) {
    EXPECT_TRUE(quota.admit(key, "192.0.2.1", 2));
    EXPECT_TRUE(quota.admit(key, "192.0.2.1", 2));
  }
  EXPECT_THAT(end(quota), IsEmpty());
}

TEST(LogQuota, HasABoundWhoeverSends) {  // L14
  LogQuota quota;
  std::uint64_t written = 0;
  for (std::uint64_t key = 0; key < 50'000; ++key) {
    for (int i = 0; i < 2; ++i) written += quota.admit(key, "192.0.2.9", 1) ? 1u : 0u;
  }
  EXPECT_EQ(written, LogQuota::kClientsMax);
  const Told told = end(quota);
  ASSERT_EQ(told.size(), LogQuota::kClientsMax + 1);
  EXPECT_THAT(told.front(), Pair("192.0.2.9", 1));
  EXPECT_THAT(told.back(), Pair("", 2 * (50'000 - LogQuota::kClientsMax)));
}

TEST(LogQuota, TellsClientsApartWhoseKeysDifferLittle) {
  LogQuota quota;
  EXPECT_TRUE(quota.admit(0, "::1", 1));
  EXPECT_TRUE(quota.admit(1ull << 63, "8000::", 1));
  EXPECT_FALSE(quota.admit(0, "::1", 1));
  EXPECT_FALSE(quota.admit(1ull << 63, "8000::", 1));
  EXPECT_THAT(end(quota), UnorderedElementsAre(Pair("::1", 1), Pair("8000::", 1)));
}

TEST(LogQuota, WithoutLinesOnlyCounts) {
  LogQuota quota;
  EXPECT_FALSE(quota.admit(1, "192.0.2.1", 0));
  EXPECT_THAT(end(quota), ElementsAre(Pair("", 1)));
}

}  // namespace
}  // namespace tallygate::http
