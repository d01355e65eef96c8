#include "server/net/address_counts.h"

#include <xxhash.h>

#include <new>
#include <random>

namespace tallygate::net {
namespace {

constexpr std::size_t kSlotsAtFirst = 16;  // a power of two, as all later ones

std::uint64_t random_seed() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

}  // namespace

AddressCounts::AddressCounts() : seed_(random_seed()) {
  for (Shard& shard : shards_) shard.slots.resize(kSlotsAtFirst);
}

std::uint64_t AddressCounts::hash(std::uint64_t key) const {
  return XXH3_64bits_withSeed(&key, sizeof key, seed_);
}

std::size_t AddressCounts::home(const Shard& shard, std::uint64_t key) const {
  return (hash(key) / kShards) & (shard.slots.size() - 1);
}

std::size_t AddressCounts::find(const Shard& shard, std::uint64_t key) const {
  const std::size_t mask = shard.slots.size() - 1;
  std::size_t at = home(shard, key);
  while (shard.slots[at].count != 0 && shard.slots[at].key != key) at = (at + 1) & mask;
  return at;
}

// False: there is no memory.
bool AddressCounts::grow(Shard& shard) const {
  try {
    Shard larger;
    larger.slots.resize(2 * shard.slots.size());
    for (const Slot& slot : shard.slots) {
      if (slot.count != 0) larger.slots[find(larger, slot.key)] = slot;
    }
    shard.slots.swap(larger.slots);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

std::optional<AddressCounts::Place> AddressCounts::take(std::uint64_t key, std::uint32_t most) {
  Shard& shard = shard_of(hash(key));
  const std::lock_guard lock(shard.mutex);
  std::size_t at = find(shard, key);
  if (shard.slots[at].count == 0) {
    if (2 * (shard.used + 1) > shard.slots.size()) {
      if (!grow(shard)) return std::nullopt;
      at = find(shard, key);
    }
    ++shard.used;
    shard.slots[at].key = key;
  } else if (most != 0 && shard.slots[at].count >= most) {
    return std::nullopt;
  }
  ++shard.slots[at].count;
  return Place(*this, key);
}

std::uint32_t AddressCounts::count(std::uint64_t key) const {
  const Shard& shard = shards_[hash(key) % kShards];
  const std::lock_guard lock(shard.mutex);
  return shard.slots[find(shard, key)].count;
}

void AddressCounts::give_back(std::uint64_t key) {
  Shard& shard = shard_of(hash(key));
  const std::lock_guard lock(shard.mutex);
  std::vector<Slot>& slots = shard.slots;
  std::size_t hole = find(shard, key);
  if (--slots[hole].count != 0) return;
  --shard.used;
  // What was put behind the hole because of who stood there moves up.
  const std::size_t mask = slots.size() - 1;
  for (std::size_t at = (hole + 1) & mask; slots[at].count != 0; at = (at + 1) & mask) {
    const std::size_t wanted = home(shard, slots[at].key);
    if (((at - wanted) & mask) < ((at - hole) & mask)) continue;
    slots[hole] = slots[at];
    slots[at].count = 0;
    hole = at;
  }
}

}  // namespace tallygate::net
