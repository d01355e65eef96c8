// Reads tg_download: what all kinds of databases do alike.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "server/shop/database.h"

namespace tallygate::shop {

// The columns of a download in the order in which read_download() takes them.
inline constexpr std::string_view kDownloadColumns =
    "started_at, ended_at, client_ip, user_agent, bytes_sent, file_size, outcome, counted";

// A row of tg_download; `text(column)` and `integer(column)` read its columns. A table without our
// CHECKs may hold anything: an unknown outcome is `partial`, a negative number 0.
template <class Text, class Integer>
[[nodiscard]] HistoryRow read_download(std::string_view link_id, Text text, Integer integer) {
  const auto amount = [&](int column) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(integer(column), 0));
  };
  HistoryRow row;
  row.link_id = link_id;
  row.started_at = integer(0);
  row.ended_at = integer(1);
  row.client_ip = text(2);
  row.user_agent = text(3);
  row.bytes_sent = amount(4);
  row.file_size = amount(5);
  const std::int64_t outcome = integer(6);
  const bool known = outcome >= 0 && outcome <= static_cast<std::int64_t>(ledger::Outcome::refused);
  row.outcome = known ? static_cast<ledger::Outcome>(outcome) : ledger::Outcome::partial;
  row.counted = amount(7);
  return row;
}

// A page for prune_history().
class HistoryReader {
 public:
  explicit HistoryReader(std::int64_t ended_before) : ended_before_(ended_before) {}

  // The next row, by event_id, which is in hex.
  void add(std::string_view event_id, std::int64_t ended_at);
  [[nodiscard]] std::size_t old_rows() const { return old_rows_; }
  void deleted(std::size_t rows) { page_.deleted = rows; }
  [[nodiscard]] const HistoryPage& result() const { return page_; }

 private:
  const std::int64_t ended_before_;
  std::size_t old_rows_ = 0;
  HistoryPage page_;
};

}  // namespace tallygate::shop
