#include "server/admin/routes.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "server/admin/figures.h"
#include "server/admin/health.h"
#include "server/admin/history.h"
#include "server/admin/links.h"
#include "server/admin/login.h"
#include "server/admin/pages.h"
#include "server/admin/reload.h"
#include "server/admin/sign.h"
#include "server/admin/transfers.h"

namespace tallygate::admin {
namespace {

// clang-format off
constexpr std::array kRoutes{
    Route{Verb::get,  "/",                      get_page,  Login::for_a_page},
    Route{Verb::get,  "/page.js",               get_page,  Login::not_needed},
    Route{Verb::get,  "/page.css",              get_page,  Login::not_needed},
    Route{Verb::get,  "/modules/{id}",          get_page,  Login::not_needed},
    Route{Verb::get,  "/login",                 get_page,  Login::not_needed},
    Route{Verb::post, "/login",                 post_login, Login::not_needed},
    Route{Verb::post, "/logout",                post_logout},
    Route{Verb::get,  "/healthz",               get_health},
    Route{Verb::get,  "/readyz",                get_readiness, Login::not_needed},
    Route{Verb::get,  "/metrics",               get_metrics},
    Route{Verb::get,  "/v1/session",            get_session},
    Route{Verb::get,  "/v1/live",               get_live},
    Route{Verb::get,  "/v1/links/{id}",         get_link},
    Route{Verb::post, "/v1/links/{id}",         post_link},
    Route{Verb::get,  "/v1/links/{id}/history", get_history},
    Route{Verb::get,  "/v1/transfers",          get_transfers},
    Route{Verb::post, "/v1/transfers/{id}",     post_transfer},
    Route{Verb::post, "/v1/sign",               post_sign},
    Route{Verb::post, "/v1/reload",             post_reload},
    Route{Verb::post, "/v1/drain",              post_drain},
};
// clang-format on

// What stands in place of {id}, empty where the pattern has none; nullopt: another path.
std::optional<std::string_view> match(std::string_view pattern, std::string_view path) {
  constexpr std::string_view kId = "{id}";
  const auto at = pattern.find(kId);
  if (at == std::string_view::npos) {
    return pattern == path ? std::optional(std::string_view()) : std::nullopt;
  }
  const std::string_view before = pattern.substr(0, at);
  const std::string_view behind = pattern.substr(at + kId.size());
  if (path.size() <= before.size() + behind.size()) return std::nullopt;
  if (!path.starts_with(before) || !path.ends_with(behind)) return std::nullopt;
  const auto id = path.substr(before.size(), path.size() - before.size() - behind.size());
  return id.find('/') == std::string_view::npos ? std::optional(id) : std::nullopt;
}

std::string allow(const std::vector<Verb>& methods) {
  std::string list;
  for (const Verb method : methods) {
    if (!list.empty()) list += ", ";
    list += boost::beast::http::to_string(method);
    if (method == Verb::get) list += ", HEAD";
  }
  return list;
}

}  // namespace

std::span<const Route> routes() {
  return kRoutes;
}

Match find_route(std::span<const Route> routes, Verb method, std::string_view path) {
  Match found;
  if (method == Verb::head) method = Verb::get;
  for (const Route& route : routes) {
    const auto parameter = match(route.pattern, path);
    if (!parameter) continue;
    if (route.method == method) return {&route, std::string(*parameter), {}};
    found.others.push_back(route.method);
  }
  return found;
}

std::string_view query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (pair.starts_with(name) && pair.substr(name.size()).starts_with('=')) {
      return pair.substr(name.size() + 1);
    }
  }
  return {};
}

std::optional<std::size_t> read_limit(std::string_view query, std::size_t otherwise) {
  const std::string_view text = query_value(query, "limit");
  if (text.empty()) return otherwise;
  std::size_t limit = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), limit);
  const bool whole = ec == std::errc() && end == text.data() + text.size();
  return whole && limit <= kListedMax ? std::optional(limit) : std::nullopt;
}

namespace {

std::string_view field_of(const Request& request, std::string_view name) {
  const auto value = request[boost::beast::string_view(name.data(), name.size())];
  return {value.data(), value.size()};
}

// Several values of a field that decides are one that is wrong.
Asking asking_of(const Request& request) {
  Asking asking;
  asking.changes = request.method() != Verb::get && request.method() != Verb::head;
  if (request.count(boost::beast::http::field::host) == 1) asking.host = field_of(request, "Host");
  asking.origin = field_of(request, "Origin");
  asking.authorization = field_of(request, "Authorization");
  asking.cookie = field_of(request, "Cookie");
  asking.csrf = field_of(request, kCsrfField);
  return asking;
}

Response refuse(const Request& request, Refusal refusal) {
  Status status = Status::forbidden;
  if (refusal == Refusal::wrong_host) status = Status::misdirected_request;
  const bool challenge = refusal == Refusal::no_login || refusal == Refusal::wrong_token;
  if (challenge) status = Status::unauthorized;
  Response response = error(request, status, to_string(refusal));
  if (challenge) {
    response.set(boost::beast::http::field::www_authenticate, "Bearer realm=\"tallygate\"");
  }
  return response;
}

// Whether the port lets it in; `access` is then how.
std::optional<Response> stop_at_door(const Request& request, const Route* route, const Ports& ports,
                                     Sessions& sessions, Access& access) {
  const Asking asking = asking_of(request);
  if (const auto refusal = check_sender(asking)) return refuse(request, *refusal);
  if (route != nullptr && route->login == Login::not_needed) return std::nullopt;
  const auto policy = ports.services.policies.current();
  const Decision decision =
      decide(asking, sessions, policy->admin_token, ports.services.clock.steady_now());
  access = decision.access;
  if (!decision.refusal) return std::nullopt;
  const bool to_login = route != nullptr && route->login == Login::for_a_page &&
                        decision.refusal == Refusal::no_login;
  return to_login ? see_other(request, "/login") : refuse(request, *decision.refusal);
}

void end_as_head(const Request& request, Response& response) {
  if (request.method() != Verb::head) return;
  // All that GET would say, and how long it would be.
  const auto bytes = response.body().size();
  response.body().clear();
  response.content_length(bytes);
}

}  // namespace

Task<Response> answer(const Ports& ports, Sessions& sessions, Door door, const Request& request) {
  const std::string_view target(request.target().data(), request.target().size());
  const auto mark = target.find('?');
  const Match found = find_route(kRoutes, request.method(), target.substr(0, mark));
  Access access;
  if (door == Door::port) {
    if (auto stopped = stop_at_door(request, found.route, ports, sessions, access)) {
      end_as_head(request, *stopped);
      co_return std::move(*stopped);
    }
  }
  if (found.route == nullptr) {
    const std::string methods = allow(found.others);
    Response response = found.others.empty() ? error(request, Status::not_found, "no such resource")
                                             : error(request, Status::method_not_allowed, methods);
    if (!found.others.empty()) response.set(boost::beast::http::field::allow, methods);
    end_as_head(request, response);
    co_return response;
  }
  Call call{request, ports, sessions, access, found.parameter};
  if (mark != std::string_view::npos) call.query = target.substr(mark + 1);
  Response response = co_await found.route->handler(call);
  end_as_head(request, response);
  co_return response;
}

}  // namespace tallygate::admin
