#include "server/ledger/links.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace tallygate::ledger {

Links::Locked Links::lock(const LinkKey& key) {
  return lock_shard(shard_of(key));
}
Links::Locked Links::lock_shard(std::size_t index) {
  return Locked((*shards_)[index], waste_permille_);
}

Account& Links::Locked::wake(const LinkKey& key, std::string_view link_id,
                             std::optional<std::string_view> image) {
  auto account = std::make_unique<Account>(waste_permille_, link_id);
  // What cannot be read was refused when it came from the files; the rest was written here.
  if (image) TALLYGATE_ASSERT(account->read_image(*image, true));
  return *shard_.awake.emplace_back(Awake{key, std::move(account)}).account;
}

Account* Links::Locked::find_awake(const LinkKey& key) const {
  for (const Awake& link : shard_.awake) {
    if (link.key == key) return link.account.get();
  }
  return nullptr;
}

Account* Links::Locked::find(const LinkKey& key, std::string_view link_id) {
  if (Account* const account = find_awake(key)) return account;
  const auto image = shard_.resting.find(key);
  return image ? &wake(key, link_id, image) : nullptr;
}

const Account* Links::Locked::look(const LinkKey& key, std::string_view link_id,
                                   std::optional<Account>& space) const {
  if (Account* const account = find_awake(key)) return account;
  const auto image = shard_.resting.find(key);
  if (!image) return nullptr;
  TALLYGATE_ASSERT(space.emplace(waste_permille_, link_id).read_image(*image, true));
  return &*space;
}

std::optional<Glance> Links::Locked::glance(const LinkKey& key) const {
  if (Account* const account = find_awake(key)) {
    return Glance{account->spoken(), account->unfinished_copy()};
  }
  const auto image = shard_.resting.find(key);
  return image ? image_glance(*image) : std::nullopt;
}

Account& Links::Locked::awake(const LinkKey& key) {
  Account* const account = find_awake(key);
  TALLYGATE_ASSERT(account != nullptr);
  return *account;
}

Account& Links::Locked::find_or_make(const LinkKey& key, std::string_view link_id) {
  Account* known = find(key, link_id);
  return known != nullptr ? *known : wake(key, link_id, std::nullopt);
}

void Links::Locked::rest(const LinkKey& key) {
  const auto it = std::find_if(shard_.awake.begin(), shard_.awake.end(),
                               [&](const Awake& link) { return link.key == key; });
  if (it == shard_.awake.end() || it->account->in_flight() != 0) return;
  if (it->account->is_blank()) {
    shard_.resting.erase(key);
  } else {
    static thread_local std::string image;
    image.clear();
    it->account->write_image(image);
    shard_.resting.put(key, image);
  }
  std::swap(*it, shard_.awake.back());
  shard_.awake.pop_back();
}

std::size_t Links::size() const {
  std::size_t count = 0;
  for (const Shard& shard : *shards_) {
    const std::lock_guard lock(shard.mutex);
    count += shard.resting.size();
    for (const Awake& link : shard.awake) count += shard.resting.find(link.key) ? 0u : 1u;
  }
  return count;
}

std::size_t Links::memory_bytes() const {
  std::size_t bytes = sizeof(*shards_);
  for (const Shard& shard : *shards_) {
    const std::lock_guard lock(shard.mutex);
    bytes += shard.resting.memory_bytes();
  }
  return bytes;
}

void Links::clear() {
  shards_ = std::make_unique<std::array<Shard, kShards>>();
}

}  // namespace tallygate::ledger
