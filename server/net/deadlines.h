// The deadlines of a worker's connections, on one wheel instead of a timer for each.
//
// To the tick, never early. Worker's thread only. Setting a deadline is a store, or a move from one
// list to another; nothing is allocated. A deadline that moves further into the future, the usual
// case, stays where it is on the wheel and is looked at once when its old place comes by.
#pragma once
#include <algorithm>
#include <array>
#include <boost/intrusive/list.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tallygate::net {

class Deadlines {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Hook =
      boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;
  static constexpr Time kNever = Time::max();

  // Somebody who has a deadline. Takes itself off the wheel when it ends.
  class Owner : public Hook {
   public:
    [[nodiscard]] Time deadline() const { return deadline_; }

   protected:
    ~Owner() = default;

   private:
    friend class Deadlines;
    Time deadline_ = kNever;
    std::uint64_t turn_ = 0;  // when it is looked at, if it is on the wheel
  };

  // `tick`: how often advance() is called, and how fine deadlines are.
  Deadlines(Time now, std::chrono::milliseconds tick) : begin_(now), tick_(tick) {}

  void set(Owner& owner, Time deadline) {
    owner.deadline_ = deadline;
    if (deadline == kNever || (owner.is_linked() && owner.turn_ <= turn_of(deadline))) return;
    place(owner);
  }

  // Calls `expired(owner)` for each whose deadline is not after `now`. It has none from then on,
  // until `expired` sets one.
  template <class Expired>
  void advance(Time now, Expired&& expired) {
    const std::uint64_t until = turn_before(now);
    for (; turn_ <= until; ++turn_) {
      List due;
      due.swap(slots_[turn_ % kSlots]);
      while (!due.empty()) {
        auto& owner = static_cast<Owner&>(due.front());
        due.pop_front();
        if (owner.deadline_ == kNever) continue;
        if (owner.deadline_ > now) {
          place(owner);
          continue;
        }
        owner.deadline_ = kNever;
        expired(owner);
      }
    }
  }

 private:
  // 102 s at a tick of 100 ms; what is further away is looked at once on the way.
  static constexpr std::uint64_t kSlots = 1024;
  using List = boost::intrusive::list<Hook, boost::intrusive::constant_time_size<false>>;

  [[nodiscard]] std::uint64_t turn_before(Time t) const {
    return t <= begin_ ? 0 : static_cast<std::uint64_t>((t - begin_) / tick_);
  }
  // The first turn at which the deadline is over.
  [[nodiscard]] std::uint64_t turn_of(Time deadline) const { return turn_before(deadline) + 1; }
  void place(Owner& owner) {
    owner.unlink();
    owner.turn_ = std::clamp(turn_of(owner.deadline_), turn_ + 1, turn_ + kSlots - 1);
    slots_[owner.turn_ % kSlots].push_back(owner);
  }

  const Time begin_;
  const std::chrono::milliseconds tick_;
  std::uint64_t turn_ = 0;  // the next one to be looked at
  std::array<List, kSlots> slots_;
};

}  // namespace tallygate::net
