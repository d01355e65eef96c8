#include "core/http/problem.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/http/syntax.h"

namespace tallygate::http {
namespace {

// A transfer whose peer is silent is cut after 10 s: then a copy may be free again.
constexpr std::uint32_t kRetryAfterBusySeconds = 10;
// What was missing is tried again at least every 2 s.
constexpr std::uint32_t kRetryAfterOutageSeconds = 5;

constexpr std::array<ProblemText, kProblems> kTable = {{
    {Problem::link_invalid, Status::forbidden, "link-invalid", "This link is not valid",
     "It may have been cut or changed on its way to you. Please copy the whole link from your "
     "order "
     "and try again."},
    {Problem::link_not_yet_valid, Status::forbidden, "link-not-yet-valid",
     "This link is not valid yet",
     "The download has not been released. Please try again at the time the shop has named."},
    {Problem::link_expired, Status::gone, "link-expired", "This link has expired",
     "The time for this download is over. The shop can give you a new link."},
    {Problem::link_revoked, Status::forbidden, "link-revoked", "This link has been withdrawn",
     "The shop has closed this download. Please ask the shop if you think it should be open."},
    {Problem::downloads_exhausted, Status::forbidden, "downloads-exhausted", "No download is left",
     "The file has been downloaded as often as this link allows. The shop can allow more."},
    {Problem::traffic_exhausted, Status::forbidden, "traffic-exhausted",
     "This download was interrupted too often",
     "Your line broke so often that the data this link pays for is used up. The shop can reopen "
     "this link."},
    {Problem::downloads_in_progress, Status::too_many_requests, "downloads-in-progress",
     "This download is already running",
     "Every download that is left on this link is in progress. Please wait until one has finished, "
     "or stop it, and try again.",
     kRetryAfterBusySeconds},
    {Problem::file_missing, Status::not_found, "file-missing", "The file is missing",
     "Your link is fine, but the file is not here at the moment. The shop can put it back."},
    {Problem::temporarily_unavailable, Status::service_unavailable, "temporarily-unavailable",
     "Downloads are unavailable for a moment",
     "Nothing has been counted. Please try again in a few seconds.", kRetryAfterOutageSeconds},
    {Problem::bad_request, Status::bad_request, "http-400", "The request was not understood",
     "What your program sent is not valid HTTP. Please try another browser or download program."},
    {Problem::method_not_allowed, Status::method_not_allowed, "http-405",
     "This method is not supported", "Files can only be fetched: with GET, HEAD or OPTIONS."},
    {Problem::request_timeout, Status::request_timeout, "http-408", "The request took too long",
     "It did not arrive completely in time. Please try again."},
    {Problem::precondition_failed, Status::precondition_failed, "http-412", "The file has changed",
     "It is not the version that your program asked for. Please start the download again."},
    {Problem::content_too_large, Status::content_too_large, "http-413", "The request is too large",
     "Nothing can be uploaded here."},
    {Problem::uri_too_long, Status::uri_too_long, "http-414", "The link is too long",
     "Please copy the link from your order and try again."},
    {Problem::range_not_satisfiable, Status::range_not_satisfiable, "http-416",
     "The file has no such part",
     "Your program asked for a part beyond the end of the file. Please start the download again."},
    {Problem::expectation_failed, Status::expectation_failed, "http-417",
     "The expectation cannot be met", "The only expectation known here is 100-continue."},
    {Problem::header_fields_too_large, Status::header_fields_too_large, "http-431",
     "The request is too large",
     "Its header fields exceed the limit. Deleting the cookies of this site may help."},
    {Problem::internal_error, Status::internal_error, "http-500", "Something went wrong here",
     "It was not your fault. Please try again, and tell the shop if it happens again."},
    {Problem::version_not_supported, Status::version_not_supported, "http-505",
     "This version of HTTP is not supported", "Please use HTTP/1.1."},
}};

constexpr bool is_in_order_and_plain() {
  const auto is_plain = [](std::string_view text) {
    return std::ranges::all_of(text, [](char c) {
      return c >= 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '<' && c != '&';
    });
  };
  for (std::size_t i = 0; i < kTable.size(); ++i) {
    const auto& row = kTable[i];
    if (static_cast<std::size_t>(row.problem) != i) return false;
    if (!is_plain(row.name) || !is_plain(row.title) || !is_plain(row.detail)) return false;
  }
  return true;
}
static_assert(is_in_order_and_plain(), "rows are looked up by index and need no escaping");

constexpr std::string_view kPage = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 0; padding: 12vh 1.5rem; font: 1.125rem/1.6 system-ui, sans-serif; }}
main {{ max-width: 36rem; margin: auto; }}
h1 {{ font-size: 1.6rem; line-height: 1.25; }}
small {{ opacity: .75; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{detail}</p>
{contact}<p><small>{status} {name}</small></p>
</main>
</body>
</html>
)";

bool is_link(std::string_view url) {
  const auto has_scheme = [&](std::string_view scheme) {
    return url.size() > scheme.size() && equal_ignoring_case(url.substr(0, scheme.size()), scheme);
  };
  return (has_scheme("https://") || has_scheme("http://") || has_scheme("mailto:")) &&
         std::ranges::all_of(url, [](char c) { return is_field_char(c) && c != '\t'; });
}

std::string escape_attribute(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

}  // namespace

const ProblemText& describe(Problem problem) noexcept {
  return kTable[static_cast<std::size_t>(problem)];
}

Problem http_problem(Status status) noexcept {
  const auto found = std::ranges::find_if(kTable, [&](const ProblemText& row) {
    return row.status == status && row.name.starts_with("http-");
  });
  return found == kTable.end() ? Problem::internal_error : found->problem;
}

std::string problem_json(Problem problem) {
  const auto& text = describe(problem);
  return fmt::format(R"({{"type":"urn:tallygate:{}","status":{},"title":"{}","detail":"{}"}})"
                     "\n",
                     text.name, code(text.status), text.title, text.detail);
}

std::string problem_page(Problem problem, std::string_view contact_url) {
  const auto& text = describe(problem);
  std::string contact;
  if (is_link(contact_url)) {
    contact =
        fmt::format("<p><a href=\"{}\">Contact the shop</a></p>\n", escape_attribute(contact_url));
  }
  return fmt::format(kPage, fmt::arg("title", text.title), fmt::arg("detail", text.detail),
                     fmt::arg("contact", contact), fmt::arg("status", code(text.status)),
                     fmt::arg("name", text.name));
}

}  // namespace tallygate::http
