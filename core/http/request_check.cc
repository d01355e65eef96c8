#include "core/http/request_check.h"

#include <algorithm>
#include <optional>

namespace tallygate::http {
namespace {

using MaybeRejection = std::optional<Rejection>;

Rejection bad_request(std::string_view reason) {
  return {Status::bad_request, reason};
}

bool is_reg_name(std::string_view host) {
  for (std::size_t i = 0; i < host.size(); ++i) {
    const char c = host[i];
    if (c == '%') {
      if (host.size() - i < 3 || !is_hex_digit(host[i + 1]) || !is_hex_digit(host[i + 2])) {
        return false;
      }
      i += 2;
    } else if (!is_alnum(c) &&
               std::string_view("-._~!$&'()*+,;=").find(c) == std::string_view::npos) {
      return false;
    }
  }
  return true;
}

bool is_ip_literal(std::string_view inside_brackets) {
  return !inside_brackets.empty() && std::ranges::all_of(inside_brackets, [](char c) {
    return is_hex_digit(c) || c == ':' || c == '.';
  });
}

// uri-host [ ":" port ] (RFC 3986 §3.2). An empty host is one; user information is not allowed.
bool is_host_and_port(std::string_view text) {
  std::string_view port;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos || !is_ip_literal(text.substr(1, close - 1))) return false;
    port = text.substr(close + 1);
    if (!port.empty() && port.front() != ':') return false;
  } else {
    const auto colon = std::min(text.find(':'), text.size());
    if (!is_reg_name(text.substr(0, colon))) return false;
    port = text.substr(colon);
  }
  if (!port.empty()) port.remove_prefix(1);
  return port.size() <= 5 && std::ranges::all_of(port, is_digit);
}

MaybeRejection check_fields(const RequestHead& head) {
  if (head.version() != 10 && head.version() != 11) {
    return Rejection{Status::version_not_supported, "HTTP version other than 1.0 and 1.1"};
  }
  if (head.has_folded_field()) return bad_request("folded field");
  if (head.has_too_many_fields()) {
    return Rejection{Status::header_fields_too_large, "too many fields"};
  }
  return std::nullopt;
}

// No method of ours has a body worth decoding, so any transfer coding is refused (RFC 9112 §6.1
// allows that), and with it the oldest way to smuggle a request.
MaybeRejection check_framing(const RequestHead& head) {
  if (head.count("Transfer-Encoding") > 0) return bad_request("Transfer-Encoding");
  const auto lengths = head.count("Content-Length");
  if (lengths > 1) return bad_request("several Content-Length");
  if (lengths == 1 && !parse_saturating(*head.find("Content-Length"))) {
    return bad_request("Content-Length is not a number");
  }
  return std::nullopt;
}

// RFC 9112 §3.2: exactly one Host on HTTP/1.1; before that the field was optional.
MaybeRejection check_host(const RequestHead& head) {
  const auto hosts = head.count("Host");
  if (hosts > 1) return bad_request("several Host");
  if (hosts == 0) {
    return head.version() == 10 ? MaybeRejection() : bad_request("no Host");
  }
  if (!is_host_and_port(*head.find("Host"))) return bad_request("invalid Host");
  return std::nullopt;
}

std::optional<Method> known_method(std::string_view name) {
  if (name == "GET") return Method::get;
  if (name == "HEAD") return Method::head;
  if (name == "OPTIONS") return Method::options;
  return std::nullopt;
}

// What follows scheme and authority; nullopt when `target` is no http or https URI.
std::optional<std::string_view> strip_authority(std::string_view target, Method method) {
  const auto scheme_end = target.find("://");
  if (scheme_end == std::string_view::npos) return std::nullopt;
  const auto scheme = target.substr(0, scheme_end);
  if (!equal_ignoring_case(scheme, "http") && !equal_ignoring_case(scheme, "https")) {
    return std::nullopt;
  }
  target.remove_prefix(scheme_end + 3);
  const auto authority = target.substr(0, target.find_first_of("/?"));
  if (authority.empty() || authority.front() == ':' || !is_host_and_port(authority)) {
    return std::nullopt;
  }
  target.remove_prefix(authority.size());
  if (target.starts_with('/')) return target;
  // An empty path is the root, where no file is: its query says nothing. RFC 9112 §3.2.4 has "*".
  return method == Method::options && target.empty() ? "*" : "/";
}

Result<std::string_view, Rejection> check_target(std::string_view target, Method method) {
  if (target.size() > kTargetBytesMax) return Rejection{Status::uri_too_long, "target too long"};
  // A fragment is never sent (RFC 9112 §3.2); a proxy that cuts it would see another resource.
  if (!std::ranges::all_of(target, [](char c) { return c >= 0x21 && c <= 0x7e && c != '#'; })) {
    return bad_request("byte that does not belong into a target");
  }
  if (target.starts_with('/')) return target;
  if (target == "*" && method == Method::options) return target;
  if (const auto path = strip_authority(target, method)) return *path;
  return bad_request("target is neither a path nor an http URI");
}

bool expects_only_100_continue(const RequestHead& head) {
  bool only = true;
  head.each("Expect", [&](std::string_view line) {
    while (const auto member = next_list_member(line)) {
      only = only && equal_ignoring_case(*member, "100-continue");
    }
  });
  return only;
}

bool wants_keep_alive(const RequestHead& head) {
  if (head.lists("Connection", "close")) return false;
  return head.version() == 11 || head.lists("Connection", "keep-alive");
}

}  // namespace

Result<CheckedRequest, Rejection> check_request(const RequestHead& head) noexcept {
  if (const auto rejection = check_fields(head)) return *rejection;
  if (const auto rejection = check_framing(head)) return *rejection;
  if (const auto rejection = check_host(head)) return *rejection;

  const auto method = known_method(head.method());
  if (!method) return Rejection{Status::method_not_allowed, "method"};
  const auto target = check_target(head.target(), *method);
  if (!target) return target.error();
  if (!expects_only_100_continue(head)) {
    return Rejection{Status::expectation_failed, "expectation other than 100-continue"};
  }
  const auto length = parse_saturating(head.find("Content-Length").value_or("0")).value_or(0);
  if (length > kUnusedBodyBytesMax) return Rejection{Status::content_too_large, "body too large"};

  CheckedRequest request{*method, *target, wants_keep_alive(head),
                         static_cast<std::uint32_t>(length)};
  // A client that waits for 100 is answered without one and may or may not send its body then
  // (RFC 9110 §10.1.1), so no next request can be told from it.
  if (length > 0 && head.version() == 11 && head.count("Expect") > 0) {
    request.body_bytes = 0;
    request.keep_alive = false;
  }
  return request;
}

}  // namespace tallygate::http
