// Numbers that one thread writes and any thread reads, without anybody waiting.
//
// Relaxed, and with one writer no locked instruction: to add is a load, an addition and a store. A
// reader may see one number of an event and not yet the other.
#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace tallygate::metrics {

// Only ever grows.
class Counter {
 public:
  void add(std::uint64_t by = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// Goes up and down.
class Level {
 public:
  void set(std::uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// How many values were at most so large: one counter for each bound, which are given with every
// call since they are the same for all histograms of a kind, and one for what is beyond the last.
template <std::size_t kBounds>
class Histogram {
 public:
  void add(std::uint64_t value, std::span<const std::uint64_t, kBounds> bounds) {
    std::size_t bucket = 0;
    while (bucket < kBounds && value > bounds[bucket]) ++bucket;
    buckets_[bucket].add();
    sum_.add(value);
  }
  [[nodiscard]] std::uint64_t in_bucket(std::size_t bucket) const {
    return buckets_[bucket].value();
  }
  [[nodiscard]] std::uint64_t sum() const { return sum_.value(); }

 private:
  std::array<Counter, kBounds + 1> buckets_;
  Counter sum_;
};

}  // namespace tallygate::metrics
