// Half-open byte spans and sorted sets of them. Unit: bytes of a file.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
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
  // Adds `pieces` (sorted, disjoint, none empty), and appends to `again` the parts of them that
  // were there before, sorted and disjoint as well.
  // Cost: linear in the pieces and in the spans from the first to the last of them.
  void add(std::span<const Span> pieces, std::vector<Span>& again);
  void add(Span piece, std::vector<Span>& again) {
    if (!piece.empty()) add(std::span<const Span>(&piece, 1), again);
  }
  [[nodiscard]] bool covers(Span span) const;
  // Whether a span of the set ends where `span` begins, or begins where it ends.
  [[nodiscard]] bool adjoins(Span span) const;
  [[nodiscard]] std::uint64_t bytes() const;
  [[nodiscard]] std::size_t fragments() const { return spans_.size(); }
  [[nodiscard]] const std::vector<Span>& spans() const { return spans_; }
  friend bool operator==(const SpanSet&, const SpanSet&) = default;

 private:
  std::vector<Span> spans_;
};

// The smallest number of `layers` (each contains the next) and `spans` (any order, overlapping)
// that any byte of [0, size) lies in. `size` > 0.
// Cost: a sort of `spans`, then a few binary searches for each, however scattered the layers are.
[[nodiscard]] std::uint64_t min_depth(std::uint64_t size, const std::vector<SpanSet>& layers,
                                      const std::vector<Span>& spans);

}  // namespace tallygate::ledger
