#include "core/ledger/span.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace tallygate::ledger {

void SpanSet::add(std::span<const Span> pieces, std::vector<Span>& again) {
  if (pieces.empty()) return;
  // The spans from the first that touches a piece up to those that lie wholly behind all pieces.
  const auto begin =
      std::lower_bound(spans_.begin(), spans_.end(), pieces.front().first,
                       [](const Span& s, std::uint64_t first) { return s.last < first; });
  const auto end =
      std::upper_bound(begin, spans_.end(), pieces.back().last,
                       [](std::uint64_t last, const Span& s) { return last < s.first; });
  boost::container::small_vector<Span, 4> merged;
  const auto append = [&](const Span& s) {
    if (merged.empty() || merged.back().last < s.first) {
      merged.push_back(s);
    } else {
      merged.back().last = std::max(merged.back().last, s.last);
    }
  };
  auto old = begin;
  for (const Span& piece : pieces) {
    while (old != end && old->first < piece.first) append(*old++);
    append(piece);
  }
  std::for_each(old, end, append);
  // Once inserted, the old spans are gone: what they share with the pieces is collected before.
  old = begin;
  for (const Span& piece : pieces) {
    while (old != end && old->last <= piece.first) ++old;
    for (auto at = old; at != end && at->first < piece.last; ++at) {
      again.push_back({std::max(at->first, piece.first), std::min(at->last, piece.last)});
    }
  }
  const auto replaced = std::min(merged.size(), static_cast<std::size_t>(end - begin));
  const auto rest = merged.begin() + static_cast<std::ptrdiff_t>(replaced);
  const auto kept = std::copy(merged.begin(), rest, begin);
  if (rest == merged.end()) {
    spans_.erase(kept, end);
  } else {
    spans_.insert(end, rest, merged.end());
  }
}

bool SpanSet::covers(Span span) const {
  if (span.empty()) return true;
  const auto it =
      std::upper_bound(spans_.begin(), spans_.end(), span.first,
                       [](std::uint64_t first, const Span& s) { return first < s.last; });
  return it != spans_.end() && it->first <= span.first && span.last <= it->last;
}

bool SpanSet::adjoins(Span span) const {
  const auto ends =
      std::lower_bound(spans_.begin(), spans_.end(), span.first,
                       [](const Span& s, std::uint64_t first) { return s.last < first; });
  if (ends != spans_.end() && ends->last == span.first) return true;
  const auto begins =
      std::lower_bound(ends, spans_.end(), span.last,
                       [](const Span& s, std::uint64_t last) { return s.first < last; });
  return begins != spans_.end() && begins->first == span.last;
}

std::uint64_t SpanSet::bytes() const {
  std::uint64_t sum = 0;
  for (const Span& s : spans_) sum += s.bytes();
  return sum;
}

std::uint64_t min_depth(std::uint64_t size, std::span<const SpanSet> layers,
                        std::span<const Span> spans) {
  std::vector<std::pair<std::uint64_t, int>> edges;
  edges.reserve(2 * spans.size() + 1);
  for (const Span& s : spans) {
    if (s.empty()) continue;
    edges.emplace_back(s.first, +1);
    edges.emplace_back(s.last, -1);
  }
  edges.emplace_back(size, 0);
  std::sort(edges.begin(), edges.end());
  // From one edge to the next only the layers differ, and since each contains the next, the
  // shallowest byte is in as many of them as cover the whole of it.
  std::int64_t depth = 0;
  std::uint64_t low = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t at = 0;
  for (const auto& [position, change] : edges) {
    if (at < position) {
      const Span between{at, position};
      const auto covering = std::partition_point(
          layers.begin(), layers.end(), [&](const SpanSet& l) { return l.covers(between); });
      low = std::min(low, static_cast<std::uint64_t>(depth + (covering - layers.begin())));
      at = position;
    }
    depth += change;
  }
  return low;
}

}  // namespace tallygate::ledger
