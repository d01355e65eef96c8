// The latencies of a run, every one of them.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

namespace tallygate::load {

class Latencies {
 public:
  void add(std::chrono::nanoseconds latency) {
    us_.push_back(std::chrono::duration<float, std::micro>(latency).count());
  }
  // In microseconds; 0 if there is none.
  [[nodiscard]] double quantile(double part) {
    if (us_.empty()) return 0;
    const auto at = static_cast<std::ptrdiff_t>(part * static_cast<double>(us_.size() - 1));
    std::nth_element(us_.begin(), us_.begin() + at, us_.end());
    return us_[static_cast<std::size_t>(at)];
  }
  [[nodiscard]] std::size_t count() const { return us_.size(); }

 private:
  std::vector<float> us_;
};

}  // namespace tallygate::load
