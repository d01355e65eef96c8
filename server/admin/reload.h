// Reloading, what the last one came to, and the end.
#pragma once
#include <boost/json/fwd.hpp>

#include "server/admin/routes.h"
#include "server/net/policy.h"

namespace tallygate::admin {

// POST /v1/reload: waits until it is done. 200 {"generation", "restart_needed": [names]}, 422
// {"error", "mistakes": [lines]} and nothing was changed, or 503.
[[nodiscard]] Task<Response> post_reload(const Call& call);

// POST /v1/drain: 202, and the end has begun, as with a SIGTERM.
[[nodiscard]] Task<Response> post_drain(const Call& call);

// For health: {"generation", "loaded_at"}, "restart_needed" if something waits for one, and until
// the next success "failed_at" and "mistakes" of the last failure.
[[nodiscard]] boost::json::object describe_policy(const net::Policies& policies);

}  // namespace tallygate::admin
