#include "core/http/status.h"

#include <gtest/gtest.h>

namespace tallygate::http {
namespace {

TEST(HttpStatus, EveryStatusHasItsRegisteredPhrase) {
  const std::pair<Status, std::string_view> cases[] = {
      {Status::ok, "200 OK"},
      {Status::no_content, "204 No Content"},
      {Status::partial_content, "206 Partial Content"},
      {Status::not_modified, "304 Not Modified"},
      {Status::bad_request, "400 Bad Request"},
      {Status::forbidden, "403 Forbidden"},
      {Status::not_found, "404 Not Found"},
      {Status::method_not_allowed, "405 Method Not Allowed"},
      {Status::request_timeout, "408 Request Timeout"},
      {Status::gone, "410 Gone"},
      {Status::precondition_failed, "412 Precondition Failed"},
      {Status::content_too_large, "413 Content Too Large"},
      {Status::uri_too_long, "414 URI Too Long"},
      {Status::range_not_satisfiable, "416 Range Not Satisfiable"},
      {Status::expectation_failed, "417 Expectation Failed"},
      {Status::too_many_requests, "429 Too Many Requests"},
      {Status::header_fields_too_large, "431 Request Header Fields Too Large"},
      {Status::internal_error, "500 Internal Server Error"},
      {Status::service_unavailable, "503 Service Unavailable"},
      {Status::version_not_supported, "505 HTTP Version Not Supported"},
  };
  for (const auto& [status, text] : cases) {
    EXPECT_EQ(std::to_string(code(status)) + " " + std::string(reason_phrase(status)), text);
  }
}

}  // namespace
}  // namespace tallygate::http
