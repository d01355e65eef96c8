// Logging in with the token, for browsers; other clients send it with each request.
#pragma once
#include "server/admin/routes.h"

namespace tallygate::admin {

// POST /login with a form's `token`: 303 to the page, with a cookie; 403 and the form once more.
[[nodiscard]] Task<Response> post_login(const Call& call);
// POST /logout: 204, and the session is over.
[[nodiscard]] Task<Response> post_logout(const Call& call);
// GET /v1/session: {"by": "socket"|"token"|"cookie", "csrf": what a change must bring, or null}
[[nodiscard]] Task<Response> get_session(const Call& call);

}  // namespace tallygate::admin
