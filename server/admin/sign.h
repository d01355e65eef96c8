// Signing, for shops that leave it to the server and for people.
#pragma once
#include "server/admin/routes.h"

namespace tallygate::admin {

// POST /v1/sign {"path", "id"?, "max"?, "expires"?, "starts"?, "ip"?, "name"?, "rate"?, "data"?,
// "key"?, "folder"?, "token_in_path"?}: 200 {"url"}, or 400 with every mistake. Times are as the
// command takes them: "72h", "2026-12-31T00:00:00Z" or unix seconds.
[[nodiscard]] Task<Response> post_sign(const Call& call);

}  // namespace tallygate::admin
