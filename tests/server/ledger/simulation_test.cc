// Rounds of the simulation, each with some thirty crashes: TALLYGATE_ROUNDS of them, or as many as
// make 100,000 crashes. TALLYGATE_SEED is the first round's; TALLYGATE_TRACE says what happens in
// it.
#include "tests/server/ledger/simulation.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include "server/ledger/files.h"
#include "tests/server/ledger/ledger_rig.h"
#include "tests/support/seed.h"

namespace tallygate::ledger {
namespace {

#ifdef TALLYGATE_SANITIZED
constexpr std::uint64_t kRounds = 200;
#else
constexpr std::uint64_t kRounds = 3600;
#endif
constexpr std::uint64_t kShares = 4;  // that run side by side

std::uint64_t rounds() {
  const char* given = std::getenv("TALLYGATE_ROUNDS");
  const std::uint64_t all = given != nullptr ? std::strtoull(given, nullptr, 10) : kRounds;
  return std::max<std::uint64_t>(1, all / kShares);
}

// An assertion of the ledger ends the process: the seed is said even then.
std::string current_seed;  // NOLINT(cert-err58-cpp)
void say_seed(int number) {
  static_cast<void>(!::write(STDERR_FILENO, current_seed.data(), current_seed.size()));
  std::signal(number, SIG_DFL);
  std::raise(number);
}

std::string run_round(std::uint64_t seed, LedgerTally& tally) {
  current_seed = seed_note(seed) + " TALLYGATE_ROUNDS=1\n";
  return Simulation(seed, tally).run();
}

class LedgerSimulation : public testing::TestWithParam<std::uint64_t> {};

TEST_P(LedgerSimulation, KeepsEveryPromiseInEveryRound) {  // J2, T3
  for (const int number : {SIGABRT, SIGSEGV}) std::signal(number, say_seed);
  const std::uint64_t first = test_seed() + GetParam() * rounds();
  LedgerTally tally;
  for (std::uint64_t seed = first; seed < first + rounds(); ++seed) {
    ASSERT_EQ(run_round(seed, tally), "") << current_seed;
  }
  fmt::print(
      "{} crashes, {} starts ({} failed), {} orderly stops, {} faults, {} changes ({} lost), "
      "{} answers granted, {} unavailable, {} snapshots asked for, {} links evicted, "
      "{} times beside the keeper\n",
      tally.crashes, tally.starts, tally.failed_starts, tally.stops, tally.faults, tally.happened,
      tally.lost, tally.granted, tally.unavailable, tally.snapshots, tally.evicted,
      tally.interleaved);
}
INSTANTIATE_TEST_SUITE_P(Share, LedgerSimulation, testing::Range<std::uint64_t>(0, kShares));

// A backup of one file of the ledger is put back, from a day on which things went otherwise.
TEST(LedgerHistory, RefusesASegmentOfAnotherHistory) {
  const auto day = [](LedgerRig& rig, const std::string& link_id) {
    ASSERT_EQ(rig.open(), "");
    ASSERT_TRUE(rig.download({.link_id = link_id}));
    rig.ledger->flush();
    rig.close();
  };
  LedgerRig one;
  day(one, "first");
  LedgerRig other;
  for (const std::string& name : one.disk.names()) other.disk.put(name, one.disk.content(name));
  day(one, "a");
  day(one, "last");
  day(other, "b");
  const std::string exchanged = segment_name(2);
  ASSERT_NE(one.disk.content(exchanged), other.disk.content(exchanged));
  one.disk.put(exchanged, other.disk.content(exchanged));
  EXPECT_NE(one.open(), "");
}

}  // namespace
}  // namespace tallygate::ledger
