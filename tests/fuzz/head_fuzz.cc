// What a connection received: one head, or the beginning of one, and whatever stands behind it.
//
// Byte by byte it is the same as all at once. A head that is accepted is one to a strict second
// reader as well, which ends where ours does and sees the same fields: nobody can be told another
// story about the same bytes. Written out again it is accepted as the same. Its lines in the access
// log are one each, and harmless.
#include <algorithm>
#include <boost/json/parse.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/http/accept.h"
#include "core/http/precondition.h"
#include "core/http/request_check.h"
#include "server/http/access_line.h"
#include "server/http/head_parser.h"
#include "tests/core/link/naive_link.h"
#include "tests/fuzz/target.h"

namespace tallygate::http {
namespace {

using link::naive::made_of;

constexpr const char* kTokenCharacters =
    "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

std::string lower(std::string text) {
  for (char& c : text) c = to_lower(c);
  return text;
}

// -- a strict reader ----------------------------------------------------------------------------

struct StrictHead {
  std::string method;
  std::string target;
  unsigned version = 0;
  std::vector<std::pair<std::string, std::string>> fields;
};

// RFC 9112 §2 to §5 and nothing besides. `text` ends with the empty line.
std::optional<StrictHead> read_strictly(std::string_view text) {
  StrictHead head;
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto end = text.find("\r\n");
    if (end == text.npos) return std::nullopt;
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 2);
    for (const char c : lines.back()) {
      if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f) return std::nullopt;
    }
  }
  if (lines.size() < 2 || !lines.back().empty()) return std::nullopt;
  const auto words = link::naive::split(lines.front(), ' ');
  if (words.size() != 3 || words[0].empty() || words[1].empty()) return std::nullopt;
  if (!made_of(words[0], kTokenCharacters)) return std::nullopt;
  if (words[2] != "HTTP/1.0" && words[2] != "HTTP/1.1") return std::nullopt;
  head.method = words[0];
  head.target = words[1];
  head.version = words[2] == "HTTP/1.0" ? 10 : 11;
  for (std::size_t i = 1; i + 1 < lines.size(); ++i) {
    const auto colon = lines[i].find(':');
    if (colon == 0 || colon == lines[i].npos) return std::nullopt;
    auto value = lines[i].substr(colon + 1);
    while (value.starts_with(' ') || value.starts_with('\t')) value.erase(0, 1);
    while (value.ends_with(' ') || value.ends_with('\t')) value.pop_back();
    if (!made_of(lines[i].substr(0, colon), kTokenCharacters)) return std::nullopt;
    head.fields.emplace_back(lower(lines[i].substr(0, colon)), value);
  }
  return head;
}

std::size_t count_of(const StrictHead& head, std::string_view name) {
  return static_cast<std::size_t>(
      std::ranges::count(head.fields, name, [](const auto& field) { return field.first; }));
}

void check_same_fields(const RequestHead& head, const StrictHead& strict) {
  REQUIRE(head.method() == strict.method && head.target() == strict.target);
  REQUIRE(head.version() == strict.version && head.fields() == strict.fields.size());
  std::map<std::string, std::vector<std::string>> by_name;
  for (const auto& [name, value] : strict.fields) by_name[name].push_back(value);
  for (const auto& [name, values] : by_name) {
    std::vector<std::string> ours;
    head.each(name, [&](std::string_view value) { ours.emplace_back(value); });
    REQUIRE(ours == values);
    REQUIRE(head.find(name) == values.front());
    REQUIRE(head.find_only(name).has_value() == (values.size() == 1));
  }
}

void check_accepted(const CheckedRequest& request, const StrictHead& strict) {
  REQUIRE(strict.fields.size() <= kFieldsMax);
  REQUIRE(count_of(strict, "transfer-encoding") == 0);
  REQUIRE(count_of(strict, "content-length") <= 1);
  REQUIRE(count_of(strict, "host") == 1 || (count_of(strict, "host") == 0 && strict.version == 10));
  REQUIRE(strict.method == "GET" || strict.method == "HEAD" || strict.method == "OPTIONS");
  REQUIRE(request.target.starts_with('/') ||
          (request.target == "*" && request.method == Method::options));
  REQUIRE(std::ranges::all_of(request.target, [](char c) { return c > 0x20 && c < 0x7f; }));
  REQUIRE(strict.target.size() <= kTargetBytesMax);
  REQUIRE(strict.target.ends_with(request.target) || request.target.size() == 1);
  REQUIRE(request.body_bytes <= kUnusedBodyBytesMax);
  for (const auto& [name, value] : strict.fields) {
    if (name == "content-length") REQUIRE(!value.empty() && made_of(value, link::naive::kDigits));
  }
}

// -- reading ------------------------------------------------------------------------------------

struct Reading {
  ParsedHead parsed;
  RequestHead head;
};

void read_at_once(std::string_view received, Reading& reading) {
  std::size_t scanned = 0;
  reading.parsed = parse_head(received, scanned, reading.head);
}

void read_by_bytes(std::string_view received, Reading& reading) {
  std::size_t scanned = 0;
  for (std::size_t size = 1; size <= received.size(); ++size) {
    reading.parsed = parse_head(received.substr(0, size), scanned, reading.head);
    if (reading.parsed.state != HeadState::incomplete) return;
  }
}

bool is_of_head(Status status) {
  return status == Status::bad_request || status == Status::uri_too_long ||
         status == Status::header_fields_too_large || status == Status::version_not_supported;
}

void check_again(const StrictHead& strict, const CheckedRequest& request) {
  std::string text = strict.method + " " + strict.target + " HTTP/1." +
                     std::to_string(strict.version % 10) + "\r\n";
  for (const auto& [name, value] : strict.fields) text += name + ": " + value + "\r\n";
  text += "\r\n";
  if (text.size() > kHeadBytesMax) return;  // spaces that were left out before
  Reading again;
  read_at_once(text, again);
  REQUIRE(again.parsed.state == HeadState::complete && again.parsed.bytes == text.size());
  const auto checked = check_request(again.head);
  REQUIRE(checked && checked->method == request.method && checked->target == request.target);
  REQUIRE(checked->keep_alive == request.keep_alive);
  REQUIRE(checked->body_bytes == request.body_bytes);
}

// -- what is asked of a head --------------------------------------------------------------------

void check_conditions(const RequestHead& head, Method method) {
  const Validators current{"\"abc\"", 784'111'777};
  const auto outcome = evaluate_preconditions(head, method, current, 1'700'000'000);
  bool conditional = false;
  for (const char* name :
       {"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"}) {
    conditional = conditional || head.count(name) > 0;
  }
  REQUIRE(conditional || outcome == Precondition::proceed);
  const auto range = applicable_range(head, method, current, 1'700'000'000);
  REQUIRE(range.empty() || (method == Method::get && head.find_only("Range") == range));
  if (prefers_html(head)) REQUIRE(head.count("Accept") > 0);
}

std::string unescaped_quotes(const std::string& line) {
  std::string quotes;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\') {
      ++i;
    } else if (line[i] == '"') {
      quotes += '"';
    }
  }
  return quotes;
}

void check_log(const RequestHead& head) {
  AccessRecord record;
  record.unix_ms = 1'767'225'600'042;
  record.client = "192.0.2.7";
  record.method = head.method();
  record.target = head.target();
  record.status = 206;
  record.range = head.find("Range").value_or("");
  record.user_agent = head.find("User-Agent").value_or("");
  record.referer = head.find("Referer").value_or("");
  std::string json;
  append_json_line(json, record);
  REQUIRE(link::naive::is_utf8(json));
  REQUIRE(std::ranges::none_of(
      json, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }));
  boost::json::error_code ec;
  const auto value = boost::json::parse(json, ec);
  REQUIRE(!ec && value.is_object() && value.at("status") == 206);
  std::string combined;
  append_combined_line(combined, record);
  REQUIRE(std::ranges::all_of(combined, [](char c) { return c >= 0x20 && c < 0x7f; }));
  REQUIRE(unescaped_quotes(combined).size() == 6);
  std::string fields;
  append_journal_fields(fields, record);
  REQUIRE(std::ranges::all_of(fields, [](char c) { return c == '\n' || (c >= 0x20 && c < 0x7f); }));
}

void check(std::string_view received) {
  Reading whole;
  read_at_once(received, whole);
  Reading bytewise;
  read_by_bytes(received, bytewise);
  REQUIRE(whole.parsed.state == bytewise.parsed.state);
  REQUIRE(whole.parsed.bytes == bytewise.parsed.bytes);
  if (whole.parsed.state == HeadState::malformed) {
    REQUIRE(whole.parsed.status == bytewise.parsed.status && is_of_head(whole.parsed.status));
  }
  if (whole.parsed.state != HeadState::complete) return;

  const auto bytes = whole.parsed.bytes;
  REQUIRE(bytes <= received.size() && bytes <= kHeadBytesMax);
  REQUIRE(received.substr(0, bytes).ends_with("\r\n\r\n"));
  check_log(whole.head);
  const auto request = check_request(whole.head);
  const auto second = check_request(bytewise.head);
  REQUIRE(request.has_value() == second.has_value());
  if (!request) {
    REQUIRE(request.error().status == second.error().status && !request.error().reason.empty());
    return;
  }
  auto text = received.substr(0, bytes);
  if (text.starts_with("\r\n")) text.remove_prefix(2);
  const auto strict = read_strictly(text);
  REQUIRE(strict);
  check_same_fields(whole.head, *strict);
  check_same_fields(bytewise.head, *strict);
  check_accepted(*request, *strict);
  check_again(*strict, *request);
  check_conditions(whole.head, request->method);
}

}  // namespace
}  // namespace tallygate::http

TALLYGATE_FUZZ(head) {
  using namespace tallygate::http;
  check(input.substr(0, kHeadBytesMax));  // a connection's buffer takes no more
}
