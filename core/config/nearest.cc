#include "core/config/nearest.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

namespace tallygate::config {
namespace {

constexpr std::size_t kNameMax = 64;      // beyond it nothing is near any name of ours
constexpr std::size_t kBeginningMin = 3;  // letters that a beginning must have to be telling

bool is_beginning(std::string_view a, std::string_view b) {
  return std::min(a.size(), b.size()) >= kBeginningMin && (a.starts_with(b) || b.starts_with(a));
}

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
  const auto width = b.size() + 1;
  std::vector<std::size_t> before_last(width);
  std::vector<std::size_t> last(width);
  std::vector<std::size_t> row(width);
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j < width; ++j) {
      const std::size_t replaced = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
    }
    std::swap(before_last, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

std::optional<std::string_view> nearest(std::string_view name,
                                        std::span<const std::string_view> known) {
  if (name.size() > kNameMax) return std::nullopt;
  std::optional<std::string_view> best;
  std::pair<std::size_t, std::size_t> best_distance;
  for (const auto candidate : known) {
    const auto edits = edit_distance(name, candidate);
    const auto distance = is_beginning(name, candidate) ? 1 : edits;
    if (distance > std::max<std::size_t>(1, candidate.size() / 3)) continue;
    if (!best || std::pair(distance, edits) < best_distance) {
      best = candidate;
      best_distance = {distance, edits};
    }
  }
  return best;
}

}  // namespace tallygate::config
