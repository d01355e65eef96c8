#include "core/http/accept.h"

#include <algorithm>
#include <compare>
#include <optional>

namespace tallygate::http {
namespace {

// How well a type is accepted. The most specific range that covers a type decides its quality.
struct Preference {
  int specificity = 0;  // 0: not covered, 1: */*, 2: type/*, 3: type/subtype
  int thousandths = 0;  // of quality
};

// 0 to 1 with at most three decimals (§12.4.2), as thousandths.
std::optional<int> parse_quality(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1')) return std::nullopt;
  if (text.size() > 1 && text[1] != '.') return std::nullopt;
  int thousandths = (text[0] - '0') * 1000;
  int unit = 100;
  for (const char c : text.substr(std::min<std::size_t>(2, text.size()))) {
    if (!is_digit(c)) return std::nullopt;
    thousandths += (c - '0') * unit;
    unit /= 10;
  }
  return thousandths <= 1000 ? std::optional(thousandths) : std::nullopt;
}

// The quality among the parameters behind a media range; 1 without one.
std::optional<int> quality_of(std::string_view parameters) {
  while (!parameters.empty()) {
    const auto end = std::min(parameters.find(';'), parameters.size());
    const auto parameter = trim(parameters.substr(0, end));
    if (parameter.size() >= 2 && to_lower(parameter[0]) == 'q' && parameter[1] == '=') {
      return parse_quality(parameter.substr(2));
    }
    parameters.remove_prefix(std::min(end + 1, parameters.size()));
  }
  return 1000;
}

int specificity_for(std::string_view range, std::string_view type) {
  if (equal_ignoring_case(range, type)) return 3;
  if (range == "*/*") return 1;
  const auto slash = type.find('/');
  const bool is_main_type = range.size() == slash + 2 && range.ends_with("/*") &&
                            equal_ignoring_case(range.substr(0, slash), type.substr(0, slash));
  return is_main_type ? 2 : 0;
}

Preference preference_for(const RequestHead& head, std::string_view type) {
  Preference best;
  head.each("Accept", [&](std::string_view line) {
    while (const auto member = next_list_member(line)) {
      const auto end = std::min(member->find(';'), member->size());
      const auto specificity = specificity_for(trim(member->substr(0, end)), type);
      const auto quality = quality_of(member->substr(end));
      if (quality && specificity > best.specificity) best = {specificity, *quality};
    }
  });
  return best;
}

bool is_preferred(const Preference& a, const Preference& b) {
  if (a.thousandths != b.thousandths) return a.thousandths > b.thousandths;
  return a.thousandths > 0 && a.specificity > b.specificity;
}

}  // namespace

bool prefers_html(const RequestHead& head) noexcept {
  const auto html = preference_for(head, "text/html");
  return is_preferred(html, preference_for(head, "application/problem+json")) &&
         is_preferred(html, preference_for(head, "application/json"));
}

}  // namespace tallygate::http
