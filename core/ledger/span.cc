#include "core/ledger/span.h"

#include <algorithm>
#include <utility>

namespace tallygate::ledger {

void SpanSet::add(Span span, std::vector<Span>& again) {
  if (span.empty()) return;
  // The first span that touches or follows ours, and the first that lies wholly behind it.
  const auto begin =
      std::lower_bound(spans_.begin(), spans_.end(), span.first,
                       [](const Span& s, std::uint64_t first) { return s.last < first; });
  auto end = begin;
  Span merged = span;
  for (; end != spans_.end() && end->first <= span.last; ++end) {
    const Span both{std::max(end->first, span.first), std::min(end->last, span.last)};
    if (!both.empty()) again.push_back(both);
    merged.first = std::min(merged.first, end->first);
    merged.last = std::max(merged.last, end->last);
  }
  if (begin == end) {
    spans_.insert(begin, merged);
  } else {
    *begin = merged;
    spans_.erase(begin + 1, end);
  }
}

bool SpanSet::covers(Span span) const {
  if (span.empty()) return true;
  const auto it =
      std::upper_bound(spans_.begin(), spans_.end(), span.first,
                       [](std::uint64_t first, const Span& s) { return first < s.last; });
  return it != spans_.end() && it->first <= span.first && span.last <= it->last;
}

std::uint64_t SpanSet::bytes() const {
  std::uint64_t sum = 0;
  for (const Span& s : spans_) sum += s.bytes();
  return sum;
}

std::uint64_t min_depth(std::uint64_t size, const std::vector<Span>& spans) {
  std::vector<std::pair<std::uint64_t, int>> edges;
  edges.reserve(2 * spans.size());
  for (const Span& s : spans) {
    if (s.empty()) continue;
    edges.emplace_back(s.first, +1);
    edges.emplace_back(s.last, -1);
  }
  std::sort(edges.begin(), edges.end());
  std::int64_t depth = 0;
  std::int64_t low = -1;
  std::uint64_t at = 0;
  for (auto it = edges.begin(); at < size;) {
    while (it != edges.end() && it->first == at) depth += (it++)->second;
    low = low < 0 ? depth : std::min(low, depth);
    at = it == edges.end() ? size : it->first;
  }
  return static_cast<std::uint64_t>(low);
}

}  // namespace tallygate::ledger
