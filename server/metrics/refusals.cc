#include "server/metrics/refusals.h"

#include <algorithm>
#include <array>

namespace tallygate::metrics {
namespace {

using http::Problem;

// In the order of http::Problem.
constexpr std::array<RefusalKind, kRefusalKinds - http::kProblems> kListed{{
    {Problem::link_invalid, "malformed"},
    {Problem::link_invalid, "unknown_key"},
    {Problem::link_invalid, "bad_mac"},
    {Problem::link_invalid, "out_of_scope"},
    {Problem::link_invalid, "wrong_client"},
    {Problem::link_not_yet_valid, "not_yet_valid"},
    {Problem::link_expired, "expired"},
    {Problem::link_revoked, "held"},
    {Problem::link_revoked, "refunded"},
    {Problem::link_revoked, "revoked"},
    {Problem::link_revoked, "no row in the shop"},
    {Problem::downloads_exhausted, "copies used up"},
    {Problem::traffic_exhausted, "traffic used up"},
    {Problem::downloads_in_progress, "copies in progress"},
    {Problem::file_missing, "no such file"},
    {Problem::file_missing, "the file may not be read"},
    {Problem::file_missing, "a symbolic link, or out of the root"},
    {Problem::temporarily_unavailable, "ledger unavailable"},
    {Problem::temporarily_unavailable, "shop unavailable"},
    {Problem::temporarily_unavailable, "ledger older than the shop's table"},
    {Problem::temporarily_unavailable, "the clock is wrong"},
    {Problem::temporarily_unavailable, "no descriptor left"},
    {Problem::temporarily_unavailable, "no memory left"},
    {Problem::temporarily_unavailable, "the disk does not answer"},
    {Problem::temporarily_unavailable, "the disk fails"},
    {Problem::bad_request, "malformed head"},
    {Problem::bad_request, "folded field"},
    {Problem::bad_request, "Transfer-Encoding"},
    {Problem::bad_request, "several Content-Length"},
    {Problem::bad_request, "Content-Length is not a number"},
    {Problem::bad_request, "no Host"},
    {Problem::bad_request, "several Host"},
    {Problem::bad_request, "invalid Host"},
    {Problem::bad_request, "byte that does not belong into a target"},
    {Problem::bad_request, "target is neither a path nor an http URI"},
    {Problem::method_not_allowed, "method"},
    {Problem::request_timeout, "the head took too long"},
    {Problem::precondition_failed, "precondition"},
    {Problem::content_too_large, "body too large"},
    {Problem::uri_too_long, "target too long"},
    {Problem::uri_too_long, "malformed head"},
    {Problem::range_not_satisfiable, "range"},
    {Problem::expectation_failed, "expectation other than 100-continue"},
    {Problem::header_fields_too_large, "too many fields"},
    {Problem::header_fields_too_large, "malformed head"},
    {Problem::version_not_supported, "HTTP version other than 1.0 and 1.1"},
    {Problem::version_not_supported, "malformed head"},
}};

constexpr std::array<RefusalKind, kRefusalKinds> all() {
  std::array<RefusalKind, kRefusalKinds> kinds{};
  std::copy(kListed.begin(), kListed.end(), kinds.begin());
  for (std::size_t i = 0; i < http::kProblems; ++i) {
    kinds[kListed.size() + i] = {static_cast<Problem>(i), kOtherReason};
  }
  return kinds;
}
constexpr auto kKinds = all();

}  // namespace

std::span<const RefusalKind, kRefusalKinds> refusal_kinds() noexcept {
  return kKinds;
}

std::size_t index_of(Problem problem, std::string_view reason) noexcept {
  const auto* const found = std::ranges::find_if(kListed, [&](const RefusalKind& kind) {
    return kind.problem == problem && kind.reason == reason;
  });
  if (found != kListed.end()) return static_cast<std::size_t>(found - kListed.begin());
  return kListed.size() + static_cast<std::size_t>(problem);
}

}  // namespace tallygate::metrics
