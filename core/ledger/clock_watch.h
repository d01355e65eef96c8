// Whether the wall clock may be believed when something is to be thrown away for good.
//
// A clock that was set looks like one that ran. So after a step, or a pause so long that one could
// hide in it, the clock is not believed until it has run for a week without another. Values only.
#pragma once
#include <cstdint>
#include <optional>

namespace tallygate::ledger {

class ClockWatch {
 public:
  static constexpr std::int64_t kPauseMax = 7 * 86400;  // seconds, between two runs or two batches
  static constexpr std::int64_t kStepMax = 3600;        // seconds, against the steady clock
  static constexpr std::int64_t kDoubtFor = 7 * 86400;

  ClockWatch() = default;
  ClockWatch(std::optional<std::int64_t> last, std::optional<std::int64_t> doubted_at)
      : last_(last), doubted_at_(doubted_at) {}

  // The wall clock said `unix_now`; `elapsed` seconds of the steady clock after the last time, if
  // that is known.
  void observe(std::int64_t unix_now, std::optional<std::int64_t> elapsed) {
    if (last_) {
      const std::int64_t expected = elapsed ? add(*last_, *elapsed) : *last_;
      if (distance(unix_now, expected) > (elapsed ? kStepMax : kPauseMax)) doubted_at_ = unix_now;
    }
    last_ = unix_now;
  }
  [[nodiscard]] bool believes(std::int64_t unix_now) const {
    if (last_ && unix_now < *last_ && distance(unix_now, *last_) > kStepMax) return false;
    return !doubted_at_ ||
           (unix_now >= *doubted_at_ && distance(unix_now, *doubted_at_) >= kDoubtFor);
  }
  [[nodiscard]] std::optional<std::int64_t> last() const { return last_; }
  [[nodiscard]] std::optional<std::int64_t> doubted_at() const { return doubted_at_; }
  friend bool operator==(const ClockWatch&, const ClockWatch&) = default;

 private:
  // Of times that may be anything.
  static std::int64_t distance(std::int64_t a, std::int64_t b) {
    std::int64_t d = 0;
    if (__builtin_sub_overflow(a > b ? a : b, a > b ? b : a, &d)) return INT64_MAX;
    return d;
  }
  static std::int64_t add(std::int64_t a, std::int64_t b) {
    std::int64_t sum = 0;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
  }

  std::optional<std::int64_t> last_;
  std::optional<std::int64_t> doubted_at_;
};

}  // namespace tallygate::ledger
