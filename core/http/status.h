// The status codes that tallygate answers with, and their reason phrases (RFC 9110 §15, 6585).
#pragma once
#include <cstdint>
#include <string_view>

namespace tallygate::http {

enum class Status : std::uint16_t {
  ok = 200,
  no_content = 204,
  partial_content = 206,
  not_modified = 304,
  bad_request = 400,
  forbidden = 403,
  not_found = 404,
  method_not_allowed = 405,
  request_timeout = 408,
  gone = 410,
  precondition_failed = 412,
  content_too_large = 413,
  uri_too_long = 414,
  range_not_satisfiable = 416,
  expectation_failed = 417,
  too_many_requests = 429,
  header_fields_too_large = 431,
  internal_error = 500,
  service_unavailable = 503,
  version_not_supported = 505,
};

[[nodiscard]] constexpr std::uint16_t code(Status status) {
  return static_cast<std::uint16_t>(status);
}

[[nodiscard]] std::string_view reason_phrase(Status status) noexcept;

}  // namespace tallygate::http
