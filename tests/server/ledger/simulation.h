// The world of the ledger, run by chance: one seed decides what each of those in it does, what
// fails, and when the process or the power dies.
//
// A round is a ledger from its first start to an end without faults, some dozen crashes later. Each
// round switches whole kinds of faults, crashes and doings off, so that they do not hide each
// other.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "tests/server/ledger/ledger_world.h"

namespace tallygate::ledger {

class Simulation final : public LedgerWorld {
 public:
  Simulation(std::uint64_t seed, LedgerTally& tally);
  // Empty: everything held. Else what did not.
  [[nodiscard]] std::string run();

 private:
  std::uint64_t pick(std::uint64_t choices) { return random_() % choices; }
  bool one_in(std::uint64_t choices) { return pick(choices) == 0; }
  void draw_character();
  void draw_link();
  Crash draw_crash();
  error_code draw_error(DiskCall call);
  FakeDisk::Fault judge(DiskCall call, const std::string& name) override;

  void live();
  void start();
  void die();
  void damage_something();
  void damage_a_batch();
  void damage_the_newest_snapshot();
  void repair();
  void converge();

  void step();
  void act();
  void ask_something();
  void lease_more();
  void send_some();
  void settle_some();
  void end_one();
  void say_something();
  void pass_time();
  void beside_the_keeper();

  // What this round does, and what it does not.
  struct Character {
    std::uint64_t lives = 12;
    std::uint64_t steps = 20;
    bool kills = false, power_cuts = false, torn = false, in_calls = false, in_starts = false;
    bool stops = false, snapshots = false, interleaves = false, resets = false, limits = false;
    bool rows = false, versions = false, ranges = false, lags = false, time = false;
    bool clock_steps = false, eviction = false, gives_up = false, long_notes = false;
    bool cuts_lines = false, damages = false, sets_clock_back = false;
    std::array<std::uint64_t, kDiskCalls> fault_in{};  // one call in so many fails; 0: none does
  };
  Character does_;
  bool faults_ = false;  // are possible at this moment
  std::array<std::uint64_t, kDiskCalls> sticky_{};
  error_code sticky_error_;
  std::pair<std::string, std::string> damaged_;  // a snapshot, and what it had been
};

}  // namespace tallygate::ledger
