// Bytes of a file from `first` up to, not including, `last`.
#pragma once
#include <cstdint>

namespace tallygate {

struct ByteSpan {
  std::uint64_t first = 0;
  std::uint64_t last = 0;  // one past the end

  [[nodiscard]] constexpr std::uint64_t bytes() const { return last - first; }
  [[nodiscard]] constexpr bool empty() const { return first >= last; }
  friend constexpr bool operator==(const ByteSpan&, const ByteSpan&) = default;
};

}  // namespace tallygate
