#include "server/metrics/refusals.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>

#include "core/link/verify.h"
#include "server/transfer/admit.h"

namespace tallygate::metrics {
namespace {

using http::Problem;

TEST(Refusals, AreEachListedOnceAndInTheOrderOfTheirNames) {
  std::set<std::pair<Problem, std::string_view>> seen;
  Problem last = Problem::link_invalid;
  const auto listed = refusal_kinds().first<kRefusalKinds - http::kProblems>();
  for (const auto& kind : listed) {
    EXPECT_TRUE(seen.emplace(kind.problem, kind.reason).second) << kind.reason;
    EXPECT_FALSE(kind.reason.empty());
    EXPECT_NE(kind.reason, kOtherReason);
    EXPECT_LE(last, kind.problem) << kind.reason;
    last = kind.problem;
  }
}

TEST(Refusals, AreFoundWhereTheyAreListed) {
  for (std::size_t i = 0; i < kRefusalKinds; ++i) {
    EXPECT_EQ(index_of(refusal_kinds()[i].problem, refusal_kinds()[i].reason), i);
  }
}

TEST(Refusals, OfAReasonThatIsNotListedAreCountedWithTheirName) {
  for (const std::string_view reason : {"never heard of", "", "malformed head\n", "bad_mac"}) {
    const RefusalKind& kind = refusal_kinds()[index_of(Problem::file_missing, reason)];
    EXPECT_EQ(kind.problem, Problem::file_missing);
    EXPECT_EQ(kind.reason, kOtherReason);
  }
}

TEST(Refusals, OfALinkAndOfTheLedgerAreListed) {
  using link::Refusal;
  for (const auto& [refusal, problem] :
       {std::pair(Refusal::malformed, Problem::link_invalid),
        std::pair(Refusal::unknown_key, Problem::link_invalid),
        std::pair(Refusal::bad_mac, Problem::link_invalid),
        std::pair(Refusal::out_of_scope, Problem::link_invalid),
        std::pair(Refusal::wrong_client, Problem::link_invalid),
        std::pair(Refusal::not_yet_valid, Problem::link_not_yet_valid),
        std::pair(Refusal::expired, Problem::link_expired),
        std::pair(Refusal::revoked, Problem::link_revoked)}) {
    EXPECT_EQ(refusal_kinds()[index_of(problem, to_string(refusal))].reason, to_string(refusal));
  }
  using OfLedger = ledger::Refusal;
  for (const auto& [refusal, problem] :
       {std::pair(OfLedger::exhausted, Problem::downloads_exhausted),
        std::pair(OfLedger::traffic, Problem::traffic_exhausted),
        std::pair(OfLedger::busy, Problem::downloads_in_progress),
        std::pair(OfLedger::unavailable, Problem::temporarily_unavailable)}) {
    const std::string_view reason = transfer::to_string(refusal);
    EXPECT_EQ(refusal_kinds()[index_of(problem, reason)].reason, reason);
  }
}

}  // namespace
}  // namespace tallygate::metrics
