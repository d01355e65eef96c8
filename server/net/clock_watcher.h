// Looks at the wall clock beside the steady one: says once, and counts, when it was set, and when
// it says a time at which this version did not exist.
//
// Nothing else depends on it: durations are of the steady clock, and whoever compares an expiry
// with the time reads the wall clock anew. All members: any thread.
#pragma once
#include <cstdint>
#include <mutex>

#include "core/clock/step.h"
#include "server/metrics/counter.h"
#include "server/net/clock.h"

namespace tallygate::net {

class ClockWatcher {
 public:
  explicit ClockWatcher(const Clock& clock) : clock_(clock) { look(); }

  // To be called often; the first look is at the start. Who comes while another looks goes on.
  void look();
  [[nodiscard]] std::uint64_t steps() const { return steps_.value(); }

 private:
  const Clock& clock_;
  metrics::Counter steps_;
  std::mutex mutex_;  // guards what follows, and the writing of steps_
  clock::StepWatch watch_;
  bool wrong_ = false;
};

}  // namespace tallygate::net
