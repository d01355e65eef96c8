// The stage between "genuine" and "in time": what the shop says about a link.
#pragma once
#include <string_view>

#include "core/http/problem.h"
#include "core/link/verify.h"
#include "server/ledger/ledger.h"
#include "server/net/worker.h"

namespace tallygate::transfer {

struct ShopRefusal {
  http::Problem problem;
  std::string_view reason;  // for the log
};

// The ledger knows the last word on every link that was used. One that is new here, and limited or
// under authority "shop", waits for a look-up of its row, at most kLookUpTimeout; where the shop
// does not answer, it is served as signed, or under "shop" told to come back.
inline constexpr std::chrono::milliseconds kLookUpTimeout{200};
[[nodiscard]] Task<Result<ledger::Look, ShopRefusal>> hear_shop(const net::Services& services,
                                                                const link::Grant& grant);

}  // namespace tallygate::transfer
