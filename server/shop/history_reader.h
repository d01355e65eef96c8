// Reads a page of tg_download for prune_history(): what all kinds of databases do alike.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "server/shop/database.h"

namespace tallygate::shop {

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
