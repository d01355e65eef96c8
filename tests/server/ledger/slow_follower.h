// A follower of the ledger whose disk lags behind what it is told, and that dies apart from it.
#pragma once
#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "core/ledger/event.h"

namespace tallygate::ledger {

// One thread. Outlives the ledgers that it follows, one after the other.
class SlowFollower {
 public:
  struct Row {
    std::map<std::uint32_t, std::uint64_t> copies;  // by generation of reset
    std::uint64_t used = 0;                         // times
    Blocked blocked = Blocked::none;
  };

  // A process begins. What it is told before `started` is on its disk at once.
  void begin() {
    alive_ = starting_ = true;
    told_ = cursor_;
  }
  void started() { starting_ = false; }
  // What is not on its disk is gone.
  void die() {
    told_before_ = std::max(told_before_, told_note_);
    alive_ = false;
    waiting_.clear();
    told_note_ = 0;
  }

  void take(const std::vector<Event>& events) {
    if (!alive_) return;
    if (events.empty() || events.front().seq <= told_)
      wrong_ = "told twice, or a number used again";
    for (const Event& event : events) {
      if (event.seq < told_) wrong_ = "told out of order";
      told_ = event.seq;
      if (const auto* ended = std::get_if<TransferEnded>(&event.what)) {
        told_note_ = ended->started_at;
      }
      waiting_.push_back(event);
    }
    if (starting_) keep(waiting_.size());
  }
  // About so many more events reach its disk; those of one number together.
  void keep(std::uint64_t count) {
    while (!waiting_.empty() && (count != 0 || waiting_.front().seq == cursor_)) {
      keep(waiting_.front());
      waiting_.pop_front();
      if (count != 0) --count;
    }
  }

  // -- its disk
  [[nodiscard]] std::uint64_t cursor() const { return cursor_; }
  [[nodiscard]] const std::vector<std::int64_t>& notes() const { return notes_; }
  [[nodiscard]] std::int64_t last_note() const { return notes_.empty() ? 0 : notes_.back(); }
  [[nodiscard]] const Row& row(const std::string& link_id) { return rows_[link_id]; }

  // The last line of the history that the process before this one was told; 0: none.
  [[nodiscard]] std::int64_t last_told_before() const { return told_before_; }
  [[nodiscard]] const std::string& wrong() const { return wrong_; }

 private:
  void keep(const Event& event) {
    cursor_ = event.seq;
    Row& row = rows_[event.link_id];
    if (const auto* ended = std::get_if<TransferEnded>(&event.what)) {
      notes_.push_back(ended->started_at);
    } else if (const auto* counted = std::get_if<CopiesCounted>(&event.what)) {
      row.copies[counted->reset_gen] += counted->copies;
    } else if (const auto* blocked = std::get_if<BlockedChanged>(&event.what)) {
      row.blocked = blocked->blocked;
    } else {
      ++row.used;
    }
  }

  bool alive_ = false;
  bool starting_ = false;
  std::uint64_t told_ = 0;
  std::uint64_t cursor_ = 0;
  std::int64_t told_note_ = 0;
  std::int64_t told_before_ = 0;
  std::deque<Event> waiting_;
  std::vector<std::int64_t> notes_;
  std::map<std::string, Row> rows_;
  std::string wrong_;
};

}  // namespace tallygate::ledger
