#include "server/admin/login.h"

#include <fmt/format.h>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "server/admin/pages.h"

namespace tallygate::admin {
namespace {

namespace json = boost::json;
using Field = boost::beast::http::field;

// No Secure: the port speaks HTTP, on this machine. Strict: no other site's link brings it along.
std::string cookie(std::string_view id, std::chrono::seconds lifetime) {
  return fmt::format("{}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}", kSessionCookie, id,
                     lifetime.count());
}

}  // namespace

Task<Response> post_login(const Call& call) {
  const auto policy = call.ports.services.policies.current();
  const std::string token = form_value(call.request.body(), "token");
  if (policy->admin_token.empty() || !is_same_secret(token, policy->admin_token)) {
    co_return login_page(call.request, Status::forbidden, "That is not the token.");
  }
  const Session* session =
      call.sessions.begin(policy->admin_token, call.ports.services.clock.steady_now());
  if (session == nullptr) {
    co_return error(call.request, Status::service_unavailable, "there are no random bytes");
  }
  Response response = see_other(call.request, "/");
  response.set(Field::set_cookie, cookie(session->id, Sessions::kLifetime));
  co_return response;
}

Task<Response> post_logout(const Call& call) {
  if (call.access.session != nullptr) call.sessions.end(std::string(call.access.session->id));
  Response response = respond(call.request, Status::no_content, "text/plain", {});
  response.set(Field::set_cookie, cookie("", std::chrono::seconds(0)));
  co_return response;
}

Task<Response> get_session(const Call& call) {
  static constexpr std::string_view kBy[] = {"socket", "token", "cookie"};
  json::object body{{"by", kBy[static_cast<std::size_t>(call.access.by)]}, {"csrf", nullptr}};
  if (call.access.session != nullptr) body["csrf"] = call.access.session->csrf;
  co_return respond(call.request, Status::ok, body);
}

}  // namespace tallygate::admin
