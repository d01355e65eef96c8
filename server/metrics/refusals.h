// Every refusal that can be counted: its name (core/http/problem.h) and the reason that the log
// gives. A closed list, so that nothing a client sends can become a label.
#pragma once
#include <cstddef>
#include <span>
#include <string_view>

#include "core/http/problem.h"

namespace tallygate::metrics {

struct RefusalKind {
  http::Problem problem;
  std::string_view reason;
};

// What is not listed is counted under this reason, with its name.
inline constexpr std::string_view kOtherReason = "other";
inline constexpr std::size_t kRefusalKinds = 47 + http::kProblems;

// The listed ones, then `other` of each name in the order of http::Problem.
[[nodiscard]] std::span<const RefusalKind, kRefusalKinds> refusal_kinds() noexcept;

// Where in refusal_kinds(). Costs a few comparisons of short texts.
[[nodiscard]] std::size_t index_of(http::Problem problem, std::string_view reason) noexcept;

}  // namespace tallygate::metrics
