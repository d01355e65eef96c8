#include "server/admin/routes.h"

#include <array>
#include <optional>

#include "server/admin/figures.h"
#include "server/admin/health.h"
#include "server/admin/links.h"
#include "server/admin/reload.h"

namespace tallygate::admin {
namespace {

// clang-format off
constexpr std::array kRoutes{
    Route{Verb::get,  "/healthz",       get_health},
    Route{Verb::get,  "/metrics",       get_metrics},
    Route{Verb::get,  "/v1/live",       get_live},
    Route{Verb::get,  "/v1/links/{id}", get_link},
    Route{Verb::post, "/v1/links/{id}", post_link},
    Route{Verb::post, "/v1/reload",     post_reload},
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

Task<Response> answer(const Ports& ports, const Request& request) {
  const std::string_view target(request.target().data(), request.target().size());
  const auto mark = target.find('?');
  const Match found = find_route(kRoutes, request.method(), target.substr(0, mark));
  if (found.route == nullptr) {
    if (found.others.empty()) co_return error(request, Status::not_found, "no such resource");
    const std::string methods = allow(found.others);
    Response response = error(request, Status::method_not_allowed, methods);
    response.set(boost::beast::http::field::allow, methods);
    co_return response;
  }
  Call call{request, ports, found.parameter};
  if (mark != std::string_view::npos) call.query = target.substr(mark + 1);
  Response response = co_await found.route->handler(call);
  if (request.method() == Verb::head) {
    // All that GET would say, and how long it would be.
    const auto bytes = response.body().size();
    response.body().clear();
    response.content_length(bytes);
  }
  co_return response;
}

}  // namespace tallygate::admin
