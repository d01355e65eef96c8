// The live page and the login form, for browsers (page/).
#pragma once
#include <string_view>

#include "server/admin/routes.h"

namespace tallygate::admin {

// GET /, /login, /page.js and /page.css.
[[nodiscard]] Task<Response> get_page(const Call& call);
// The form, with a sentence about the last try.
[[nodiscard]] Response login_page(const Request& request, Status status, std::string_view mistake);

}  // namespace tallygate::admin
