#include "server/admin/pages.h"

#include <string>

#include "server/admin/page.h"

namespace tallygate::admin {
namespace {

// Nothing but our own files, and no other page around ours. The icon is a data URL.
constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const Asset* find_asset(std::string_view path) {
  for (const Asset& asset : page_assets()) {
    if (asset.path == path) return &asset;
  }
  return nullptr;
}

Response show(const Request& request, Status status, const Asset& asset, std::string body) {
  Response response = respond(request, status, asset.content_type, std::move(body));
  if (asset.content_type.starts_with("text/html")) {
    response.set("Content-Security-Policy", kPolicy);
    // Not no-referrer: the form would be sent with "Origin: null", as if from another site's page.
    response.set("Referrer-Policy", "same-origin");
  }
  return response;
}

}  // namespace

Task<Response> get_page(const Call& call) {
  std::string_view path(call.request.target().data(), call.request.target().size());
  path = path.substr(0, path.find('?'));
  if (path == "/login") co_return login_page(call.request, Status::ok, {});
  const Asset* asset = find_asset(path);
  if (asset == nullptr) co_return error(call.request, Status::not_found, "no such resource");
  co_return show(call.request, Status::ok, *asset, std::string(asset->body));
}

Response login_page(const Request& request, Status status, std::string_view mistake) {
  const Asset* form = find_asset("/login");
  if (form == nullptr) return error(request, Status::not_found, "no such resource");
  std::string body(form->body);
  if (const auto at = body.find(kMistakeGoesHere); at != std::string::npos) {
    body.replace(at, kMistakeGoesHere.size(), mistake);
  }
  return show(request, status, *form, std::move(body));
}

}  // namespace tallygate::admin
