#include "server/top/rates.h"

#include <algorithm>

namespace tallygate::top {
namespace {

double growth(std::uint64_t before, std::uint64_t now) {
  return now > before ? static_cast<double>(now - before) : 0;
}

std::uint64_t total_of(const Live& live, std::string_view refusal) {
  const auto found =
      std::ranges::find(live.refusals, refusal, [](const auto& each) { return each.first; });
  return found == live.refusals.end() ? 0 : found->second;
}

}  // namespace

std::optional<double> sync_quantile(double share, const Live& before, const Live& now) {
  const double total = growth(before.syncs, now.syncs);
  if (total == 0 || before.syncs_up_to.size() != now.syncs_up_to.size()) return std::nullopt;
  double lower = 0;
  double below = 0;
  for (std::size_t i = 0; i < now.syncs_up_to.size(); ++i) {
    const double bound = now.syncs_up_to[i].first;
    const double grown = growth(before.syncs_up_to[i].second, now.syncs_up_to[i].second);
    if (grown >= share * total && grown > below) {
      return lower + (bound - lower) * (share * total - below) / (grown - below);
    }
    lower = bound;
    below = grown;
  }
  return lower;  // beyond the last bound: at least that
}

std::optional<Rates> rates_between(const Live& before, const Live& now) {
  const double seconds = static_cast<double>(now.now_ms - before.now_ms) / 1000;
  if (seconds <= 0 || before.started_at != now.started_at) return std::nullopt;
  Rates rates;
  rates.bytes = growth(before.bytes_sent, now.bytes_sent) / seconds;
  rates.requests = growth(before.requests, now.requests) / seconds;
  for (const auto& [name, total] : now.refusals) {
    rates.refusals.emplace_back(name, growth(total_of(before, name), total) / seconds);
    rates.refused += rates.refusals.back().second;
  }
  rates.sync_half = sync_quantile(0.5, before, now);
  rates.sync_most = sync_quantile(0.99, before, now);
  return rates;
}

void History::add(Course course, std::optional<double> value) {
  Values& values = values_[static_cast<std::size_t>(course)];
  if (values.size() == kLooks) values.pop_front();
  values.push_back(value);
}

void History::add(const Live& now, const std::optional<Rates>& rates) {
  const auto of = [&rates](auto member) {
    return rates ? std::optional<double>((*rates).*member) : std::nullopt;
  };
  add(Course::bytes, of(&Rates::bytes));
  add(Course::transfers, static_cast<double>(now.transfers));
  add(Course::requests, of(&Rates::requests));
  add(Course::refused, of(&Rates::refused));
  add(Course::sync_most, rates ? rates->sync_most : std::nullopt);
  add(Course::lag,
      now.shop ? std::optional(static_cast<double>(now.shop->lag_seconds)) : std::nullopt);
}

void History::add_hole() {
  for (std::size_t i = 0; i < kCourses; ++i) add(static_cast<Course>(i), std::nullopt);
}

}  // namespace tallygate::top
