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

const std::string& link_of_item(const Batch& item) {
  if (!item.created.empty()) return item.created.front().link_id;
  if (!item.counted.empty()) return item.counted.front().link_id;
  if (!item.blocked.empty()) return item.blocked.front().link_id;
  return item.history.front().link_id;
}

}  // namespace tallygate::shop
