// Half-open byte spans and sorted sets of them. Unit: bytes of a file.
#pragma once
#include <boost/container/small_vector.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/base/byte_span.h"

namespace tallygate::ledger {

using Span = ByteSpan;

// Sorted, disjoint, non-adjacent spans. None and one, the usual cases, take no memory of their own.
class SpanSet {
 public:
  // Adds a span that begins where the last one ends or behind it: what a download that goes on
  // does. False: it does not, and nothing was added.
  bool append(Span piece) {
    if (!spans_.empty() && piece.first <= spans_.back().last) {
      if (piece.first != spans_.back().last) return false;
      spans_.back().last = piece.last;
    } else {
      spans_.push_back(piece);
    }
    return true;
  }
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
  void reserve(std::size_t fragments) { spans_.reserve(fragments); }
  [[nodiscard]] std::size_t fragments() const { return spans_.size(); }
  [[nodiscard]] std::span<const Span> spans() const { return spans_; }
  friend bool operator==(const SpanSet&, const SpanSet&) = default;

 private:
  boost::container::small_vector<Span, 1> spans_;
};

// The smallest number of `layers` (each contains the next) and `spans` (any order, overlapping)
// that any byte of [0, size) lies in. `size` > 0.
// Cost: a sort of `spans`, then a few binary searches for each, however scattered the layers are.
[[nodiscard]] std::uint64_t min_depth(std::uint64_t size, std::span<const SpanSet> layers,
                                      std::span<const Span> spans);

}  // namespace tallygate::ledger
