#include "server/net/clock_watcher.h"

#include <fmt/format.h>

#include "core/clock/built_on.h"
#include "server/net/say.h"

namespace tallygate::net {

void ClockWatcher::look() {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock) return;
  const auto before = clock_.steady_now();
  const std::int64_t now = clock_.unix_now();
  const auto after = clock_.steady_now();
  // This thread slept between the two, so they are not of one moment.
  if (after - before > std::chrono::seconds(1)) return;
  if (const auto step = watch_.observe(now, after)) {
    steps_.add();
    say(Severity::warning,
        fmt::format(
            "the clock was set {} s {}, or the machine slept: from now on links expire by it",
            step->count() < 0 ? -step->count() : step->count(),
            step->count() < 0 ? "back" : "forward"));
  }
  if (clock::is_before_build(now) == wrong_) return;
  wrong_ = !wrong_;
  if (wrong_) {
    say(Severity::error, clock::describe_wrong_clock(now) + ": links get 503 until it is set");
  } else {
    say(Severity::info, "the clock is right again: links are served");
  }
}

}  // namespace tallygate::net
