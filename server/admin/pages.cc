#include "server/admin/pages.h"

#include <string>

namespace tallygate::admin {

Task<Response> get_page(const Call& call) {
  co_return login_page(call.request, Status::ok, {});
}

Response login_page(const Request& request, Status status, std::string_view mistake) {
  return respond(request, status, "text/html; charset=utf-8", std::string(mistake));
}

}  // namespace tallygate::admin
