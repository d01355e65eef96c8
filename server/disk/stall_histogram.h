// How long a worker was away from its loop.
//
// Written by one thread, read by any; a reader may see a call in the count that is not in the sum
// yet.
#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tallygate::disk {

class StallHistogram {
 public:
  // Bucket i counts what took at most 0.25 ms · 2^i; the one before the last ends at 16.384 s, the
  // last has no end.
  static constexpr std::size_t kBuckets = 18;
  static constexpr std::chrono::nanoseconds kFirst{250'000};
  [[nodiscard]] static constexpr std::chrono::nanoseconds upper_bound(std::size_t bucket) {
    return kFirst * (std::int64_t{1} << bucket);
  }
  [[nodiscard]] static constexpr std::size_t bucket_of(std::chrono::nanoseconds took) {
    if (took <= kFirst) return 0;
    const auto whole = static_cast<std::uint64_t>((took - std::chrono::nanoseconds(1)) / kFirst);
    return std::min(static_cast<std::size_t>(std::bit_width(whole)), kBuckets - 1);
  }

  // Its worker.
  void add(std::chrono::nanoseconds took) {
    increase(buckets_[bucket_of(took)], 1);
    increase(sum_ns_, static_cast<std::uint64_t>(std::max<std::int64_t>(took.count(), 0)));
    if (took.count() > max_ns_.load(std::memory_order_relaxed)) {
      max_ns_.store(took.count(), std::memory_order_relaxed);
    }
  }

  // Any thread.
  [[nodiscard]] std::uint64_t in_bucket(std::size_t bucket) const {
    return buckets_[bucket].load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t count() const {
    std::uint64_t all = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) all += in_bucket(i);
    return all;
  }
  [[nodiscard]] std::chrono::nanoseconds sum() const {
    return std::chrono::nanoseconds(sum_ns_.load(std::memory_order_relaxed));
  }
  [[nodiscard]] std::chrono::nanoseconds max() const {
    return std::chrono::nanoseconds(max_ns_.load(std::memory_order_relaxed));
  }

 private:
  // One writer: no locked instruction.
  static void increase(std::atomic<std::uint64_t>& counter, std::uint64_t by) {
    counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }

  std::array<std::atomic<std::uint64_t>, kBuckets> buckets_{};
  std::atomic<std::uint64_t> sum_ns_{0};
  std::atomic<std::int64_t> max_ns_{0};
};

// Counts its own scope: around a call that might block. Costs two looks at the clock.
class Timed {
 public:
  explicit Timed(StallHistogram& histogram)
      : histogram_(histogram), begin_(std::chrono::steady_clock::now()) {}
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;
  ~Timed() { histogram_.add(elapsed()); }
  [[nodiscard]] std::chrono::nanoseconds elapsed() const {
    return std::chrono::steady_clock::now() - begin_;
  }

 private:
  StallHistogram& histogram_;
  const std::chrono::steady_clock::time_point begin_;
};

}  // namespace tallygate::disk
