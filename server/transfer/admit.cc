#include "server/transfer/admit.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "server/http/connection.h"

namespace tallygate::transfer {
namespace {

constexpr std::chrono::seconds kLookAgainFor{2};
constexpr std::chrono::milliseconds kLookAgainEvery{20};
constexpr std::chrono::seconds kStalled{10};
constexpr std::size_t kUserAgentBytesMax = 256;

std::vector<ledger::Span> ledger_spans(const http::Selection& selection) {
  std::vector<ledger::Span> spans;
  for (const http::ByteSpan& span : selection.spans()) spans.push_back({span.first, span.last});
  if (spans.empty()) spans.push_back({0, 0});  // an empty file is one empty range
  return spans;
}

ledger::AdmitRequest request_for(const Wanted& wanted, std::span<const ledger::Span> spans) {
  ledger::AdmitRequest request;
  request.link_id = wanted.grant.link_id.view();
  request.parent_id = wanted.grant.parent_id.view();
  request.path = wanted.grant.path;
  if (wanted.grant.limit != 0) request.signed_limit = wanted.grant.limit;
  request.expires_at = wanted.grant.expires_at;
  request.word = wanted.word;
  request.version = wanted.file.key;
  request.size = wanted.file.version.size;
  request.ranges = spans;
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
  const auto spans = ledger_spans(wanted.selection);
  const auto refusal = services.ledger.peek(request_for(wanted, spans));
  return refusal == ledger::Refusal::busy ? std::nullopt : refusal;
}

Task<Result<ledger::Admission, ledger::Refusal>> admit(net::Worker& worker, const Wanted& wanted) {
  ledger::Ledger& ledger = worker.services().ledger;
  const auto spans = ledger_spans(wanted.selection);
  const auto request = request_for(wanted, spans);
  const auto until = std::chrono::steady_clock::now() + kLookAgainFor;
  Timer pause(worker.executor());
  for (;;) {
    auto admission = co_await ledger.admit(request);
    const bool busy = !admission && admission.error() == ledger::Refusal::busy;
    if (!busy || std::chrono::steady_clock::now() >= until) co_return admission;
    pause.expires_after(kLookAgainEvery);
    co_await worker.workers().settle_link(ledger::link_key(request.link_id), kStalled);
    static_cast<void>(co_await pause.async_wait(kAwait));
  }
}

std::unique_ptr<Delivery> begin_delivery(const http::Connection& connection,
                                         const http::RequestHead& head, const Wanted& wanted,
                                         const ledger::Admission& admission,
                                         std::shared_ptr<const content::OpenFile> file) {
  const net::Services& services = connection.services();
  const auto spans = ledger_spans(wanted.selection);
  ledger::TransferEnded about;
  about.started_at = services.clock.unix_now();
  about.first = std::min_element(spans.begin(), spans.end(), [](const auto& a, const auto& b) {
                  return a.first < b.first;
                })->first;
  about.last = std::max_element(spans.begin(), spans.end(), [](const auto& a, const auto& b) {
                 return a.last < b.last;
               })->last;
  about.file_size = file->version.size;
  about.version = file->key.low;
  about.whole = wanted.selection.kind() == http::Selection::Kind::whole;
  about.client_ip = connection.client_text();
  about.user_agent = head.find("User-Agent").value_or("").substr(0, kUserAgentBytesMax);
  const auto parent = wanted.grant.is_folder_link()
                          ? ledger::link_key(wanted.grant.parent_id.view())
                          : admission.link;
  return std::make_unique<Delivery>(services.ledger, admission, parent, std::move(file), spans,
                                    std::move(about), services.clock);
}

}  // namespace tallygate::transfer
