#include "server/shop/batch.h"

namespace tallygate::shop {

std::vector<Batch> split_items(const Batch& batch) {
  std::vector<Batch> items;
  items.reserve(batch.items());
  const auto split = [&](const auto& list, auto member) {
    for (const auto& item : list) {
      items.emplace_back().seq = batch.seq;
      (items.back().*member).push_back(item);
    }
  };
  split(batch.created, &Batch::created);
  split(batch.counted, &Batch::counted);
  split(batch.blocked, &Batch::blocked);
  split(batch.history, &Batch::history);
  return items;
}

}  // namespace tallygate::shop
