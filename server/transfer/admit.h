// Admission: asks the ledger, and looks again before it says "in progress".
#pragma once
#include <memory>
#include <optional>
#include <string_view>

#include "core/http/range.h"
#include "core/link/verify.h"
#include "server/net/worker.h"
#include "server/transfer/delivery.h"

namespace tallygate::transfer {

// What a request wants, once it is known that the link is good and which bytes are meant.
struct Wanted {
  const link::Grant& grant;
  const shop::Word& word;
  const content::OpenFile& file;
  const http::Selection& selection;
};

[[nodiscard]] std::string_view to_string(ledger::Refusal refusal) noexcept;

// HEAD: as GET would be refused, reserving nothing; never "in progress".
[[nodiscard]] std::optional<ledger::Refusal> peek(const net::Services& services,
                                                  const Wanted& wanted);

// Asks. Where the answer holds at once (an unlimited link), nothing has to be waited for.
[[nodiscard]] ledger::PendingAdmission ask(net::Worker& worker, const Wanted& wanted);

// Waits for what was asked. Before `busy` it looks again for up to two seconds, every 20 ms: all
// workers settle what they hold of the link, and a transfer whose peer has been silent for ten
// seconds is cut.
[[nodiscard]] Task<Result<ledger::Admission, ledger::Refusal>> admit(
    net::Worker& worker, Wanted wanted, ledger::PendingAdmission pending);

// What the connection holds from here on. Whichever way it ends, the ledger is told; so that it is,
// the process ends where there is no memory for this.
[[nodiscard]] std::unique_ptr<Delivery> begin_delivery(
    http::Connection& connection, const Wanted& wanted, const ledger::Admission& admission,
    std::shared_ptr<const content::OpenFile> file) noexcept;

}  // namespace tallygate::transfer
