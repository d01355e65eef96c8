// What the shop's table knows of a link's downloads.
#pragma once
#include "server/admin/routes.h"

namespace tallygate::admin {

// GET /v1/links/{id}/history[?limit=N]: {"id", "kept", "downloads": [...]}, newest first. Without a
// shop none is kept. 503: the shop's database does not answer.
[[nodiscard]] Task<Response> get_history(const Call& call);

}  // namespace tallygate::admin
