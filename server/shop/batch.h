// One batch of the stream that an edge sends to the shop's database: what is applied in one
// transaction, or not at all.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/ledger/event.h"
#include "core/shop/history.h"

namespace tallygate::shop {

// A link that was used for the first time. Where the database makes rows, there is one from now on;
// an existing one is left alone.
struct CreatedRow {
  std::string link_id;
  std::string file_id;
  friend bool operator==(const CreatedRow&, const CreatedRow&) = default;
};

struct CountedCopies {
  std::string link_id;
  std::uint32_t reset_gen = 0;  // charged to the row only while it is in this generation
  std::uint64_t copies = 0;
  friend bool operator==(const CountedCopies&, const CountedCopies&) = default;
};

struct BlockedRow {
  std::string link_id;
  ledger::Blocked blocked = ledger::Blocked::none;
  friend bool operator==(const BlockedRow&, const BlockedRow&) = default;
};

// Each list is sorted by its key, so that concurrent edges lock rows in one order.
struct Batch {
  std::uint64_t seq = 0;  // 1, 2, 3, ... within an epoch
  std::vector<CreatedRow> created;
  std::vector<CountedCopies> counted;
  std::vector<BlockedRow> blocked;
  std::vector<HistoryRow> history;

  [[nodiscard]] std::size_t items() const noexcept {
    return created.size() + counted.size() + blocked.size() + history.size();
  }
};

// The same batch as batches of one item each, in the order in which a database applies them: for
// the rare one of which a single item is refused.
[[nodiscard]] std::vector<Batch> split_items(const Batch& batch);

// Whom such an item is about.
[[nodiscard]] const std::string& link_of_item(const Batch& item);

}  // namespace tallygate::shop
