// The rules of core/http/range.h a second time, slow and plain.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <vector>

#include "core/http/range.h"

namespace tallygate::http {

struct NaiveSelection {
  Selection::Kind kind = Selection::Kind::whole;
  std::vector<ByteSpan> spans;
};

// Both inclusive.
struct InclusiveSpec {
  std::uint64_t first;
  std::uint64_t last;
};

// On a set of bytes instead of intervals: each byte of the file remembers the earliest spec that
// named it.
inline NaiveSelection select_naively(const std::vector<InclusiveSpec>& specs,
                                     std::uint64_t file_size) {
  constexpr auto kUnnamed = std::numeric_limits<std::size_t>::max();
  std::vector<std::size_t> named(file_size, kUnnamed);
  for (std::size_t i = specs.size(); i-- > 0;) {
    for (auto at = specs[i].first; at <= specs[i].last && at < file_size; ++at) named[at] = i;
  }
  std::map<std::size_t, ByteSpan> by_position;
  std::uint64_t bytes = 0;
  for (std::uint64_t at = 0; at < file_size;) {
    if (named[at] == kUnnamed) {
      ++at;
      continue;
    }
    ByteSpan run{at, at};
    auto position = kUnnamed;
    for (; at < file_size && at < run.last + kRangeGapBytes; ++at) {
      if (named[at] == kUnnamed) continue;
      run.last = at + 1;
      position = std::min(position, named[at]);
    }
    bytes += run.bytes();
    by_position[position] = run;
  }
  if (by_position.empty()) return {Selection::Kind::unsatisfiable, {}};
  const auto parts = by_position.size();
  if (parts > kRangesMax || (parts > 1 && bytes + parts * kPartOverheadBytesMax > file_size)) {
    return {Selection::Kind::whole, {{0, file_size}}};
  }
  NaiveSelection result{Selection::Kind::ranges, {}};
  for (const auto& [position, span] : by_position) result.spans.push_back(span);
  return result;
}

}  // namespace tallygate::http
