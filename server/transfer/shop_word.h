// The stage between "genuine" and "in time": what the shop says about a link.
#pragma once
#include <optional>
#include <string_view>

#include "core/link/verify.h"
#include "server/ledger/ledger.h"
#include "server/net/worker.h"

namespace tallygate::transfer {

// The ledger knows the last word on every link that was used. One that is new here, and limited or
// under authority "shop", waits for a look-up of its row, at most kLookUpTimeout; where the shop
// does not answer, it is served as signed, or under "shop" told to come back.
inline constexpr std::chrono::milliseconds kLookUpTimeout{200};

// True: the row has to be looked up. `look` is what the ledger knows.
[[nodiscard]] bool must_look_up(const http::Connection& connection, const link::Grant& grant,
                                const ledger::Look& look);
// Looks it up and notes in the ledger what it says. False: the shop did not answer in time.
[[nodiscard]] Task<bool> look_up(const net::Services& services, const link::Grant& grant);
// Whether the shop lets this link be used. The reason is for the log; empty: it does.
[[nodiscard]] std::string_view find_objection(const config::Settings& settings,
                                              const ledger::Look& look);

}  // namespace tallygate::transfer
