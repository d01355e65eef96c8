// How the server is: for whoever watches it and for whoever sends it requests.
#pragma once
#include "server/admin/routes.h"

namespace tallygate::admin {

// GET /healthz: 200, or 503 when the ledger has failed.
[[nodiscard]] Task<Response> get_health(const Call& call);

// GET /readyz: 200 {"ready": true}; 503 {"ready": false, "why"}: send customers elsewhere, since
// the server ends or cannot count.
[[nodiscard]] Task<Response> get_readiness(const Call& call);

}  // namespace tallygate::admin
