#include "server/admin/figures.h"

#include "server/metrics/exposition.h"
#include "server/metrics/live.h"
#include "server/metrics/snapshot.h"

namespace tallygate::admin {

Task<Response> get_metrics(const Call& call) {
  const auto snapshot = metrics::take_snapshot(call.ports.services, call.ports.workers);
  co_return respond(call.request, Status::ok, metrics::kTextType, metrics::write_text(snapshot));
}

Task<Response> get_live(const Call& call) {
  const auto snapshot = metrics::take_snapshot(call.ports.services, call.ports.workers);
  co_return respond(call.request, Status::ok, metrics::write_live(snapshot));
}

}  // namespace tallygate::admin
