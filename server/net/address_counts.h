// How many connections each client address has open, over all workers.
//
// Any thread. A connection costs two looks into a table, one when it comes and one when it goes,
// each under a lock that it shares with 1 in 64 of the addresses: some 50 ns, beside the 20 us of
// accepting it. Memory: 16 bytes for each address, and as many again that are free; it grows with
// the number of addresses there have been at a time, so that in the steady state nothing is
// allocated.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace tallygate::net {

class AddressCounts {
 public:
  // A connection's place among those of its address, which it gives back at its end. A default one
  // holds none. Must end before the table does.
  class Place {
   public:
    Place() = default;
    Place(Place&& other) noexcept
        : counts_(std::exchange(other.counts_, nullptr)), key_(other.key_) {}
    Place& operator=(Place&& other) noexcept {
      std::swap(counts_, other.counts_);
      std::swap(key_, other.key_);
      return *this;
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() {
      if (counts_ != nullptr) counts_->give_back(key_);
    }

   private:
    friend class AddressCounts;
    Place(AddressCounts& counts, std::uint64_t key) : counts_(&counts), key_(key) {}

    AddressCounts* counts_ = nullptr;
    std::uint64_t key_ = 0;
  };

  AddressCounts();
  AddressCounts(const AddressCounts&) = delete;
  AddressCounts& operator=(const AddressCounts&) = delete;

  // `key`: net::address_key. nullopt: the address has `most` already (0: it may have any number),
  // or there is no memory to count one more address.
  [[nodiscard]] std::optional<Place> take(std::uint64_t key, std::uint32_t most);

  // How many there are of `key` now.
  [[nodiscard]] std::uint32_t count(std::uint64_t key) const;

 private:
  struct Slot {
    std::uint64_t key = 0;
    std::uint32_t count = 0;  // 0: free
  };
  // Open addressing, at most half full; what ends leaves no mark (Knuth 6.4, algorithm R).
  struct alignas(64) Shard {
    mutable std::mutex mutex;
    std::vector<Slot> slots;
    std::size_t used = 0;
  };
  static constexpr std::size_t kShards = 64;

  [[nodiscard]] std::uint64_t hash(std::uint64_t key) const;
  [[nodiscard]] Shard& shard_of(std::uint64_t hash) { return shards_[hash % kShards]; }
  // Where `key` is, or would be put.
  [[nodiscard]] std::size_t find(const Shard& shard, std::uint64_t key) const;
  [[nodiscard]] std::size_t home(const Shard& shard, std::uint64_t key) const;
  [[nodiscard]] bool grow(Shard& shard) const;
  void give_back(std::uint64_t key);

  const std::uint64_t seed_;  // nobody can choose addresses that meet in one place
  std::array<Shard, kShards> shards_;
};

}  // namespace tallygate::net
