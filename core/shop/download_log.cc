#include "core/shop/download_log.h"

#include <algorithm>
#include <unordered_map>

namespace tallygate::shop {

std::vector<LogLine> download_log(std::span<const CopiesOfLink> counted,
                                  std::span<const HistoryRow> history, std::int64_t now) {
  std::unordered_map<std::string_view, std::vector<const HistoryRow*>> by_link;
  std::int64_t newest = history.empty() ? now : history.front().ended_at;
  for (const auto& row : history) {
    newest = std::max(newest, row.ended_at);
    if (row.counted > 0) by_link[row.link_id].push_back(&row);
  }
  std::vector<LogLine> lines;
  for (const auto& [link_id, copies] : counted) {
    auto left = std::min(copies, kLogLinesPerLinkMax);
    auto& rows = by_link[link_id];
    std::ranges::stable_sort(rows, std::ranges::greater(), &HistoryRow::ended_at);
    for (const auto* row : rows) {
      const auto of_row = std::min(left, row->counted);
      lines.insert(lines.end(), of_row, {row->link_id, row->ended_at, row->client_ip});
      left -= of_row;
    }
    lines.insert(lines.end(), left, {std::string(link_id), newest, {}});
  }
  return lines;
}

}  // namespace tallygate::shop
