// A follower of the ledger that keeps what it was told, as the shop's outbox does on its disk.
#pragma once
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/ledger/event.h"

namespace tallygate::ledger {

// Any thread. Outlives the ledgers that it follows, one after the other.
class DurableFollower {
 public:
  void take(const std::vector<Event>& events) {
    const std::lock_guard lock(mutex_);
    if (dead_) return;
    ASSERT_FALSE(events.empty());
    ASSERT_GT(events.front().seq, cursor_) << "told twice, or a number was used again";
    for (const Event& event : events) {
      ASSERT_GE(event.seq, cursor_) << "out of order";
      cursor_ = event.seq;
      events_.push_back(event);
      if (const auto* counted = std::get_if<CopiesCounted>(&event.what)) {
        copies_[{event.link_id, counted->reset_gen}] += counted->copies;
      } else if (const auto* blocked = std::get_if<BlockedChanged>(&event.what)) {
        blocked_[event.link_id] = blocked->blocked;
      } else if (std::holds_alternative<LinkUsed>(event.what)) {
        EXPECT_TRUE(used_.insert(event.link_id).second) << event.link_id << " used twice";
      }
    }
  }
  // Its process dies: what it is told from here on it does not keep.
  void die() { set_dead(true); }
  void revive() { set_dead(false); }

  [[nodiscard]] std::uint64_t cursor() const {
    const std::lock_guard lock(mutex_);
    return cursor_;
  }
  [[nodiscard]] std::uint64_t copies(const std::string& link_id, std::uint32_t reset_gen) const {
    const std::lock_guard lock(mutex_);
    const auto it = copies_.find({link_id, reset_gen});
    return it == copies_.end() ? 0 : it->second;
  }
  [[nodiscard]] Blocked blocked(const std::string& link_id) const {
    const std::lock_guard lock(mutex_);
    const auto it = blocked_.find(link_id);
    return it == blocked_.end() ? Blocked::none : it->second;
  }
  [[nodiscard]] bool knows_used(const std::string& link_id) const {
    const std::lock_guard lock(mutex_);
    return used_.contains(link_id);
  }
  [[nodiscard]] std::vector<Event> events() const {
    const std::lock_guard lock(mutex_);
    return events_;
  }

 private:
  void set_dead(bool dead) {
    const std::lock_guard lock(mutex_);
    dead_ = dead;
  }

  mutable std::mutex mutex_;
  bool dead_ = false;
  std::uint64_t cursor_ = 0;
  std::vector<Event> events_;
  std::map<std::pair<std::string, std::uint32_t>, std::uint64_t> copies_;
  std::map<std::string, Blocked> blocked_;
  std::set<std::string> used_;
};

}  // namespace tallygate::ledger
