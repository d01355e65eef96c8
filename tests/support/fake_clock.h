// Time that stands still until a test moves it. Callable from any thread.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>

#include "server/net/clock.h"

namespace tallygate {

class FakeClock final : public Clock {
 public:
  [[nodiscard]] std::int64_t unix_now() const noexcept override { return unix_seconds_; }
  [[nodiscard]] std::chrono::steady_clock::time_point steady_now() const noexcept override {
    return std::chrono::steady_clock::time_point(steady_.load());
  }
  // Both clocks.
  void advance(std::chrono::milliseconds by) {
    steady_ = steady_.load() + by;
    unix_seconds_ += std::chrono::duration_cast<std::chrono::seconds>(by).count();
  }
  // The wall clock alone: somebody set it.
  void set_unix(std::int64_t seconds) { unix_seconds_ = seconds; }

 private:
  std::atomic<std::int64_t> unix_seconds_{1'767'225'600};
  std::atomic<std::chrono::steady_clock::duration> steady_{std::chrono::hours(1)};
};

}  // namespace tallygate
