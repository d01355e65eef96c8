// Whether the wall clock was set since it was last looked at: it then went on by something else
// than the steady clock. Values only.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>

namespace tallygate::clock {

class StepWatch {
 public:
  using Steady = std::chrono::steady_clock::time_point;
  // What clocks that are kept by NTP do is less, and so is the rounding of whole seconds.
  static constexpr std::chrono::seconds kTolerated{2};

  // Both clocks at one moment; `unix_now` in seconds. Returns by how much the wall clock was set
  // since the last time, negative: back. nullopt: it was not.
  [[nodiscard]] std::optional<std::chrono::seconds> observe(std::int64_t unix_now, Steady steady) {
    const bool first = !seen_;
    const std::int64_t before = unix_;
    const auto elapsed = std::chrono::round<std::chrono::seconds>(steady - steady_).count();
    seen_ = true;
    unix_ = unix_now;
    steady_ = steady;
    std::int64_t expected = 0;
    std::int64_t step = 0;
    if (first) return std::nullopt;
    // Times may be anything.
    if (__builtin_add_overflow(before, elapsed, &expected)) expected = INT64_MAX;
    if (__builtin_sub_overflow(unix_now, expected, &step)) {
      step = unix_now > expected ? INT64_MAX : -INT64_MAX;
    }
    const std::chrono::seconds by(step);
    return by > kTolerated || by < -kTolerated ? std::optional(by) : std::nullopt;
  }

 private:
  bool seen_ = false;
  std::int64_t unix_ = 0;
  Steady steady_{};
};

}  // namespace tallygate::clock
