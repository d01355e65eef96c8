// What happened between two answers of /v1/live, and the course of the last minutes.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/top/answers.h"

namespace tallygate::top {

struct Rates {
  double bytes = 0;  // per second, as all that follow
  double requests = 0;
  double refused = 0;
  std::vector<std::pair<std::string, double>> refusals{};  // by name
  // Seconds that so many of the journal's syncs took at most; none: there was no sync.
  std::optional<double> sync_half{};
  std::optional<double> sync_most{};  // 99 of 100
};

// nullopt: the answers are of two lives of the server, or of one moment.
[[nodiscard]] std::optional<Rates> rates_between(const Live& before, const Live& now);

// The seconds that a share of the syncs between two answers took at most; within a bucket by
// proportion. nullopt: there was none.
[[nodiscard]] std::optional<double> sync_quantile(double share, const Live& before,
                                                  const Live& now);

// What moves. One place in History for each.
enum class Course : std::uint8_t { bytes, transfers, requests, refused, sync_most, lag };
inline constexpr std::size_t kCourses = 6;

// The values of the last looks, oldest first; none where there was nothing to be seen.
class History {
 public:
  static constexpr std::size_t kLooks = 300;
  using Values = std::deque<std::optional<double>>;

  void add(const Live& now, const std::optional<Rates>& rates);
  // The server did not answer: a hole.
  void add_hole();
  [[nodiscard]] const Values& of(Course course) const {
    return values_[static_cast<std::size_t>(course)];
  }

 private:
  void add(Course course, std::optional<double> value);
  std::array<Values, kCourses> values_;
};

}  // namespace tallygate::top
