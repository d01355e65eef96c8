#include "server/command/service_manager.h"

#include <fmt/format.h>
#include <systemd/sd-daemon.h>

#include <cstdint>
#include <utility>

#include "server/net/say.h"

namespace tallygate::command {
namespace {

// As TimeoutStartSec= of the unit: a large ledger takes minutes to read, and nothing moves
// meanwhile.
constexpr std::chrono::minutes kUntilReady{15};

// What cannot be told is no reason to stop serving.
void tell(const std::string& message) {
  static_cast<void>(::sd_notify(0, message.c_str()));
}

}  // namespace

std::string find_standstill(const Pulse& before, const Pulse& now,
                            std::chrono::microseconds at_most) {
  for (std::size_t i = 0; i < now.worker_ticks.size(); ++i) {
    if (now.worker_ticks[i] == before.worker_ticks[i]) {
      return fmt::format("worker {} stands still", i);
    }
  }
  if (now.journal_busy_for > at_most) return "the journal waits for its disk";
  return {};
}

ServiceManager::ServiceManager() {
  std::uint64_t microseconds = 0;
  if (::sd_watchdog_enabled(0, &microseconds) > 0) {
    interval_ = std::chrono::microseconds(microseconds);
  }
}

ServiceManager::~ServiceManager() {
  end_watching();
}

void ServiceManager::ready(std::string_view status, std::function<Pulse()> pulse) {
  if (interval_.count() == 0) return tell(fmt::format("READY=1\nSTATUS={}", status));
  // Whoever has handed over to us has asked for more patience.
  tell(fmt::format("READY=1\nSTATUS={}\nWATCHDOG_USEC={}", status, interval_.count()));
  pulse_ = std::move(pulse);
  thread_ = std::thread([this] { watch(); });
}

void ServiceManager::reloading() const {
  tell("RELOADING=1");
}

void ServiceManager::reloaded() const {
  tell("READY=1");
}

void ServiceManager::handed_over(std::int64_t process_id) {
  end_watching();
  if (interval_.count() == 0) return tell(fmt::format("MAINPID={}", process_id));
  tell(fmt::format("MAINPID={}\nWATCHDOG_USEC={}", process_id,
                   std::chrono::microseconds(kUntilReady).count()));
}

void ServiceManager::stopping(std::string_view status, std::chrono::milliseconds at_most) {
  end_watching();
  tell(fmt::format("STOPPING=1\nSTATUS={}", status));
  tell(fmt::format("EXTEND_TIMEOUT_USEC={}", std::chrono::microseconds(at_most).count()));
}

void ServiceManager::watch() {
  Pulse at_last_sign = pulse_();
  bool said = false;
  std::unique_lock lock(mutex_);
  // Several times in an interval, so that a worker that is late once is forgiven.
  while (!wake_.wait_for(lock, interval_ / 4, [this] { return ending_; })) {
    const Pulse now = pulse_();
    const std::string standstill = find_standstill(at_last_sign, now, interval_);
    if (standstill.empty()) {
      tell("WATCHDOG=1");
      at_last_sign = now;
    } else if (!said) {
      say(Severity::error, fmt::format("watchdog: {}", standstill));
    }
    said = !standstill.empty();
  }
}

void ServiceManager::end_watching() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

}  // namespace tallygate::command
