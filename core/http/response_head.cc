#include "core/http/response_head.h"

#include <array>

#include "core/http/head_writer.h"
#include "core/http/request_check.h"

namespace tallygate::http {
namespace {

constexpr std::string_view kCorsExposedFields =
    "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Last-Modified, "
    "Retry-After";
constexpr std::string_view kCorsAllowedFields =
    "If-Match, If-Modified-Since, If-None-Match, If-Range, If-Unmodified-Since, Range";
constexpr std::uint64_t kPreflightMaxAgeSeconds = 86'400;

// The page has one style sheet, inside; whatever else were in it stays dead.
constexpr std::string_view kPagePolicy =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";

HeadWriter begin(std::span<char> out, Status status, const Common& common) {
  HeadWriter head(out);
  head.status(status).text_field("Date", common.date);
  return head;
}

// The URL of this very answer may be a download link: it is nobody else's business.
void put_hygiene(HeadWriter& head) {
  head.field("X-Content-Type-Options", "nosniff").field("Referrer-Policy", "no-referrer");
}

void put_cors(HeadWriter& head, const CorsGrant& cors) {
  head.text_field("Access-Control-Allow-Origin", cors.allow_origin);
  if (cors.vary) head.field("Vary", "Origin");
}

void put_cors_of_content(HeadWriter& head, const CorsGrant& cors) {
  put_cors(head, cors);
  if (!cors.allow_origin.empty()) head.field("Access-Control-Expose-Headers", kCorsExposedFields);
}

std::string_view end(HeadWriter& head, Persistence persistence) {
  if (persistence == Persistence::close) head.field("Connection", "close");
  if (persistence == Persistence::keep_alive) head.field("Connection", "keep-alive");
  return head.finish();
}

std::string_view end_of_content(HeadWriter& head, const Common& common,
                                const Representation& file) {
  head.field("Accept-Ranges", "bytes")
      .text_field("ETag", file.etag)
      .text_field("Last-Modified", file.last_modified)
      .text_field("Content-Disposition", file.content_disposition)
      .text_field("Cache-Control", file.cache_control)
      // nginx in front would take in the whole file ahead of the customer (it keeps up to 1 GiB in
      // a temporary file): what it takes counts, and a customer who broke off could not go on.
      .field("X-Accel-Buffering", "no");
  put_hygiene(head);
  put_cors_of_content(head, common.cors);
  return end(head, common.persistence);
}

}  // namespace

std::string_view write_whole(std::span<char> out, const Common& common,
                             const Representation& file) noexcept {
  auto head = begin(out, Status::ok, common);
  head.text_field("Content-Type", file.content_type).field("Content-Length", file.size);
  return end_of_content(head, common, file);
}

std::string_view write_range(std::span<char> out, const Common& common, const Representation& file,
                             ByteSpan span) noexcept {
  auto head = begin(out, Status::partial_content, common);
  head.text_field("Content-Type", file.content_type)
      .field("Content-Length", span.bytes())
      .text_field("Content-Range", content_range(span, file.size).view());
  return end_of_content(head, common, file);
}

std::string_view write_multipart(std::span<char> out, const Common& common,
                                 const Representation& file, const Multipart& parts) noexcept {
  std::array<char, 80> buffer;
  TextWriter type(buffer);
  type.put("multipart/byteranges; boundary=").put(parts.boundary().view());
  auto head = begin(out, Status::partial_content, common);
  head.text_field("Content-Type", type.text()).field("Content-Length", parts.content_length());
  return end_of_content(head, common, file);
}

std::string_view write_not_modified(std::span<char> out, const Common& common,
                                    const Representation& file) noexcept {
  auto head = begin(out, Status::not_modified, common);
  head.text_field("ETag", file.etag).text_field("Cache-Control", file.cache_control);
  put_cors_of_content(head, common.cors);
  return end(head, common.persistence);
}

std::string_view write_options(std::span<char> out, const Common& common,
                               bool is_preflight) noexcept {
  auto head = begin(out, Status::no_content, common);
  head.field("Allow", kAllowedMethods);
  put_cors(head, common.cors);
  if (is_preflight && !common.cors.allow_origin.empty()) {
    head.field("Access-Control-Allow-Methods", kAllowedMethods)
        .field("Access-Control-Allow-Headers", kCorsAllowedFields)
        .field("Access-Control-Max-Age", kPreflightMaxAgeSeconds);
  }
  return end(head, common.persistence);
}

std::string_view write_problem(std::span<char> out, const Common& common, Problem problem,
                               ProblemForm form, std::uint64_t body_bytes,
                               std::optional<std::uint64_t> file_size) noexcept {
  const auto& text = describe(problem);
  auto head = begin(out, text.status, common);
  head.text_field("Content-Type", form == ProblemForm::page ? kProblemPageType : kProblemJsonType)
      .field("Content-Length", body_bytes);
  if (problem == Problem::range_not_satisfiable && file_size) {
    head.text_field("Content-Range", unsatisfied_content_range(*file_size).view());
  }
  if (problem == Problem::method_not_allowed) head.field("Allow", kAllowedMethods);
  if (text.retry_after_seconds) {
    head.field("Retry-After", std::uint64_t{*text.retry_after_seconds});
  }
  head.field("Cache-Control", "no-store");
  put_hygiene(head);
  if (form == ProblemForm::page) head.field("Content-Security-Policy", kPagePolicy);
  put_cors_of_content(head, common.cors);
  return end(head, common.persistence);
}

}  // namespace tallygate::http
