#include "server/transfer/admit.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "server/http/connection.h"

namespace tallygate::transfer {
namespace {

constexpr std::chrono::seconds kLookAgainFor{2};
constexpr std::chrono::milliseconds kLookAgainEvery{20};
constexpr std::chrono::seconds kStalled{10};
constexpr std::size_t kUserAgentBytesMax = 256;

// An empty file is one empty range.
std::span<const ledger::Span> ledger_spans(const http::Selection& selection) {
  static constexpr ledger::Span kNothing{};
  return selection.spans().empty() ? std::span(&kNothing, 1) : selection.spans();
}

ledger::AdmitRequest request_for(const Wanted& wanted) {
  ledger::AdmitRequest request;
  request.link_id = wanted.grant.link_id.view();
  request.parent_id = wanted.grant.parent_id.view();
  request.path = wanted.grant.path;
  if (wanted.grant.limit != 0) request.signed_limit = wanted.grant.limit;
  request.expires_at = wanted.grant.expires_at;
  request.word = wanted.word;
  request.version = wanted.file.key;
  request.size = wanted.file.version.size;
  request.ranges = ledger_spans(wanted.selection);
  request.window_bytes = lease_window(request.size);
  return request;
}

}  // namespace

std::string_view to_string(ledger::Refusal refusal) noexcept {
  switch (refusal) {
    case ledger::Refusal::exhausted:
      return "copies used up";
    case ledger::Refusal::traffic:
      return "traffic used up";
    case ledger::Refusal::busy:
      return "copies in progress";
    default:
      return "ledger unavailable";
  }
}

std::optional<ledger::Refusal> peek(const net::Services& services, const Wanted& wanted) {
  const auto refusal = services.ledger.peek(request_for(wanted));
  return refusal == ledger::Refusal::busy ? std::nullopt : refusal;
}

ledger::PendingAdmission ask(net::Worker& worker, const Wanted& wanted) {
  return worker.services().ledger.ask(request_for(wanted), worker.room());
}

Task<Result<ledger::Admission, ledger::Refusal>> admit(net::Worker& worker, Wanted wanted,
                                                       ledger::PendingAdmission pending) {
  auto admission = co_await pending.outcome();
  if (admission || admission.error() != ledger::Refusal::busy) co_return admission;
  const auto until = std::chrono::steady_clock::now() + kLookAgainFor;
  Timer pause(worker.executor());
  for (;;) {
    pause.expires_after(kLookAgainEvery);
    co_await worker.workers().settle_link(ledger::link_key(wanted.grant.link_id.view()), kStalled);
    static_cast<void>(co_await pause.async_wait(kAwait));
    pending = ask(worker, wanted);
    admission = co_await pending.outcome();
    const bool busy = !admission && admission.error() == ledger::Refusal::busy;
    if (!busy || std::chrono::steady_clock::now() >= until) co_return admission;
  }
}

std::unique_ptr<Delivery> begin_delivery(http::Connection& connection, const Wanted& wanted,
                                         const ledger::Admission& admission,
                                         std::shared_ptr<const content::OpenFile> file) noexcept {
  const net::Services& services = connection.services();
  const auto spans = ledger_spans(wanted.selection);
  ledger::TransferEnded about;
  about.started_at = services.clock.unix_now();
  about.first = spans.front().first;
  about.last = spans.front().last;
  for (const ledger::Span& span : spans) {
    about.first = std::min(about.first, span.first);
    about.last = std::max(about.last, span.last);
  }
  about.file_size = file->version.size;
  about.version = file->key.hash;
  about.whole = wanted.selection.kind() == http::Selection::Kind::whole;
  if (services.ledger.has_follower()) {
    const auto user_agent = connection.request().head.find("User-Agent").value_or("");
    about.client_ip = connection.client_text();
    about.user_agent = user_agent.substr(0, kUserAgentBytesMax);
  }
  const auto parent = wanted.grant.is_folder_link()
                          ? ledger::link_key(wanted.grant.parent_id.view())
                          : admission.link;
  return std::make_unique<Delivery>(
      services.ledger, connection.worker().room(), admission, wanted.grant.link_id.view(), parent,
      std::move(file), spans, std::move(about), services.clock, connection.worker().counters());
}

}  // namespace tallygate::transfer
