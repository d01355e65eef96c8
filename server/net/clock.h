// Time comes in through the door: wall time for expiry, steady time for durations.
#pragma once
#include <chrono>
#include <cstdint>

namespace tallygate {

// Callable from any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;

  // Seconds since 1970, UTC. May step.
  [[nodiscard]] virtual std::int64_t unix_now() const noexcept = 0;
  // Never steps.
  [[nodiscard]] virtual std::chrono::steady_clock::time_point steady_now() const noexcept = 0;
};

// The machine's clocks.
[[nodiscard]] const Clock& system_clock() noexcept;

}  // namespace tallygate
