// Every refusal: its status, its name, and what a customer is told (RFC 9457).
//
// One table, in problem.cc; nothing else in tallygate knows these words. The exact reason of a
// refusal is for the log and never stands in an answer.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/http/status.h"

namespace tallygate::http {

enum class Problem : std::uint8_t {
  link_invalid,
  link_not_yet_valid,
  link_expired,
  link_revoked,
  downloads_exhausted,
  traffic_exhausted,
  downloads_in_progress,
  file_missing,
  temporarily_unavailable,
  // HTTP's own, named http-<status>.
  bad_request,
  method_not_allowed,
  request_timeout,
  precondition_failed,
  content_too_large,
  uri_too_long,
  range_not_satisfiable,
  expectation_failed,
  header_fields_too_large,
  internal_error,
  version_not_supported,
};
inline constexpr std::size_t kProblems = 20;

struct ProblemText {
  Problem problem;
  Status status;
  std::string_view name;    // the type is "urn:tallygate:<name>"
  std::string_view title;   // what happened
  std::string_view detail;  // what it means, and what to do
  std::optional<std::uint32_t> retry_after_seconds = std::nullopt;
};
[[nodiscard]] const ProblemText& describe(Problem problem) noexcept;

// HTTP's own problem for a status; `internal_error` for one that no such problem has.
[[nodiscard]] Problem http_problem(Status status) noexcept;

inline constexpr std::string_view kProblemJsonType = "application/problem+json";
inline constexpr std::string_view kProblemPageType = "text/html; charset=utf-8";

// The body for programs.
[[nodiscard]] std::string problem_json(Problem problem);

// The body for people: a page on its own, without scripts or other files, light or dark as the
// browser is. `contact_url` becomes a link if it is an http, https or mailto URL.
[[nodiscard]] std::string problem_page(Problem problem, std::string_view contact_url);

}  // namespace tallygate::http
