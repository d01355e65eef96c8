// One batch of the stream that an edge sends to the shop's database: what is applied in one
// transaction, or not at all.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/ledger/event.h"
#include "core/shop/history.h"

namespace tallygate::shop {

// A row that should exist since the link was used; an existing one is left alone.
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
};

}  // namespace tallygate::shop
