// What server/metrics counts, for Prometheus and as JSON.
#pragma once
#include "server/admin/routes.h"

namespace tallygate::admin {

// GET /metrics: Prometheus' text format 0.0.4.
[[nodiscard]] Task<Response> get_metrics(const Call& call);
// GET /v1/live: see server/metrics/live.h.
[[nodiscard]] Task<Response> get_live(const Call& call);

}  // namespace tallygate::admin
