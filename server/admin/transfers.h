// Transfers in flight.
#pragma once
#include "server/admin/routes.h"

namespace tallygate::admin {

// GET /v1/transfers[?limit=N][&link=ID]: {"total", "transfers": [...]}, the longest-running first.
[[nodiscard]] Task<Response> get_transfers(const Call& call);
// POST /v1/transfers/{id} {"action": "cut"}: its connection ends; what has arrived counts.
[[nodiscard]] Task<Response> post_transfer(const Call& call);

}  // namespace tallygate::admin
