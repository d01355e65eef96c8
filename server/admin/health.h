// How the server is: for whoever watches it and for whoever sends it requests.
#pragma once
#include "server/admin/routes.h"

namespace tallygate::admin {

// GET /healthz: 200, or 503 when the ledger has failed.
[[nodiscard]] Task<Response> get_health(const Call& call);

}  // namespace tallygate::admin
