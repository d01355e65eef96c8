// What the system says about this process.
#pragma once
#include <cstdint>

namespace tallygate::metrics {

struct ProcessFigures {
  double cpu_seconds = 0;
  std::uint64_t resident_bytes = 0;
  std::uint64_t virtual_bytes = 0;
  std::uint64_t open_fds = 0;
  std::uint64_t max_fds = 0;  // 0: no limit
};

// Reads /proc/self; what cannot be read is 0. Counting descriptors takes some 0.1 µs for each.
[[nodiscard]] ProcessFigures look_at_process();

}  // namespace tallygate::metrics
