// All links in memory, in shards with a short lock each. A link is awake, as an Account, while a
// transfer of it is in flight; else it rests, as an image.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "core/ledger/account.h"
#include "core/ledger/link_table.h"

namespace tallygate::ledger {

class Links {
 public:
  explicit Links(std::uint32_t waste_permille) : waste_permille_(waste_permille) {}

  // One shard, locked as long as this lives. Never held while anything is waited for.
  class Locked;
  [[nodiscard]] Locked lock(const LinkKey& key);
  [[nodiscard]] Locked lock_shard(std::size_t index);
  static constexpr std::size_t kShards = 4096;

  // Any thread. For links that wake from now on; one that is awake keeps what it has until it
  // rests.
  void set_waste(std::uint32_t permille) { waste_permille_ = permille; }

  // Any thread; locks each shard in turn.
  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] std::size_t memory_bytes() const;
  void clear();

 private:
  struct Awake {
    LinkKey key;
    std::unique_ptr<Account> account;
  };
  struct Shard {
    mutable std::mutex mutex;
    LinkTable resting;         // also the places of those awake
    std::vector<Awake> awake;  // few: looked through, and its memory is used again
  };
  // By the high bits, so that what is read in the order of keys goes from one shard to the next.
  [[nodiscard]] static std::size_t shard_of(const LinkKey& key) { return key.high >> 52; }

  std::atomic<std::uint32_t> waste_permille_;
  std::unique_ptr<std::array<Shard, kShards>> shards_ =
      std::make_unique<std::array<Shard, kShards>>();
};

class Links::Locked {
 public:
  // The account, awake; null: no such link. Valid until it rests.
  [[nodiscard]] Account* find(const LinkKey& key, std::string_view link_id);
  // To look at only: a link that rests is not woken, its account lives in `space`.
  [[nodiscard]] const Account* look(const LinkKey& key, std::string_view link_id,
                                    std::optional<Account>& space) const;
  // The least of it; nullopt: no such link.
  [[nodiscard]] std::optional<Glance> glance(const LinkKey& key) const;
  // For a link that is awake: a transfer of it is in flight.
  [[nodiscard]] Account& awake(const LinkKey& key);
  [[nodiscard]] Account& find_or_make(const LinkKey& key, std::string_view link_id);
  // To be called last: without a transfer in flight it rests, and one of which nothing was recorded
  // is gone.
  void rest(const LinkKey& key);
  // A link that the files have; the image is not looked at.
  void put(const LinkKey& key, std::string_view image) { shard_.resting.put(key, image); }
  // Not one that is awake.
  void erase(const LinkKey& key) { shard_.resting.erase(key); }
  [[nodiscard]] bool is_awake(const LinkKey& key) const { return find_awake(key) != nullptr; }
  template <class Visit>
  void each_awake(Visit&& visit) {
    for (const Awake& link : shard_.awake) visit(*link.account);
  }
  template <class Visit>
  void each_resting(Visit&& visit) const {
    shard_.resting.each(std::forward<Visit>(visit));
  }

 private:
  friend class Links;
  Locked(Shard& shard, std::uint32_t waste_permille)
      : shard_(shard), lock_(shard.mutex), waste_permille_(waste_permille) {}
  [[nodiscard]] Account* find_awake(const LinkKey& key) const;
  Account& wake(const LinkKey& key, std::string_view link_id,
                std::optional<std::string_view> image);

  Shard& shard_;
  std::unique_lock<std::mutex> lock_;
  const std::uint32_t waste_permille_;
};

}  // namespace tallygate::ledger
