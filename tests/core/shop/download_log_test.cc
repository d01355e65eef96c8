#include "core/shop/download_log.h"

#include <gtest/gtest.h>

namespace tallygate::shop {
namespace {

HistoryRow row(std::string link_id, std::int64_t ended_at, std::uint64_t counted, std::string ip) {
  HistoryRow row;
  row.link_id = std::move(link_id);
  row.ended_at = ended_at;
  row.counted = counted;
  row.client_ip = std::move(ip);
  return row;
}

TEST(DownloadLog, EachCopyHasTheTransferThatCompletedItNewestFirst) {
  const CopiesOfLink counted[] = {{"7", 3}, {"8", 1}};
  const HistoryRow history[] = {row("7", 10, 1, "a"), row("7", 30, 2, "b"), row("7", 40, 0, "no"),
                                row("8", 20, 1, "c"), row("9", 50, 1, "other")};
  EXPECT_EQ(download_log(counted, history, 99),
            (std::vector<LogLine>{{"7", 30, "b"}, {"7", 30, "b"}, {"7", 10, "a"}, {"8", 20, "c"}}));
}

TEST(DownloadLog, CopyWithoutATransferHasTheNewestTimeOfTheBatch) {
  const CopiesOfLink counted[] = {{"7", 2}};
  const HistoryRow history[] = {row("7", 10, 1, "a"), row("8", 20, 0, "b")};
  EXPECT_EQ(download_log(counted, history, 99),
            (std::vector<LogLine>{{"7", 10, "a"}, {"7", 20, ""}}));
  EXPECT_EQ(download_log(counted, {}, 99), (std::vector<LogLine>{{"7", 99, ""}, {"7", 99, ""}}));
}

TEST(DownloadLog, NeverMoreLinesThanCopies) {
  const CopiesOfLink counted[] = {{"7", 1}, {"8", 0}};
  const HistoryRow history[] = {row("7", 10, 5, "a"), row("8", 10, 5, "a")};
  EXPECT_EQ(download_log(counted, history, 99).size(), 1u);
  const CopiesOfLink many[] = {{"7", 1'000'000'000'000}};
  EXPECT_EQ(download_log(many, history, 99).size(), kLogLinesPerLinkMax);
}

}  // namespace
}  // namespace tallygate::shop
