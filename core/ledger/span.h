// Half-open byte spans and sorted sets of them. Unit: bytes of a file.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tallygate::ledger {

struct Span {
  std::uint64_t first = 0;
  std::uint64_t last = 0;  // one past the end
  [[nodiscard]] std::uint64_t bytes() const { return last - first; }
  [[nodiscard]] bool empty() const { return first >= last; }
  friend bool operator==(const Span&, const Span&) = default;
};

// Sorted, disjoint, non-adjacent spans.
class SpanSet {
 public:
  // Adds `span`, and appends to `again` the parts of it that were there before.
  // Cost: logarithmic in the set, plus the spans that `span` touches.
  void add(Span span, std::vector<Span>& again);
  [[nodiscard]] bool covers(Span span) const;
  [[nodiscard]] std::uint64_t bytes() const;
  [[nodiscard]] std::size_t fragments() const { return spans_.size(); }
  [[nodiscard]] const std::vector<Span>& spans() const { return spans_; }
  friend bool operator==(const SpanSet&, const SpanSet&) = default;

 private:
  std::vector<Span> spans_;
};

// The smallest number of `spans` (any order, overlapping) that any byte of [0, size) lies in.
// `size` > 0. Cost: one sort.
[[nodiscard]] std::uint64_t min_depth(std::uint64_t size, const std::vector<Span>& spans);

}  // namespace tallygate::ledger
