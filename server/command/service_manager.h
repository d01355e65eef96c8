// What systemd is told (sd_notify(3)): ready, reloading, stopping, and, where the unit has a
// watchdog, that the server still moves. Where nobody listens, nothing is told and no thread runs.
#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "server/command/application.h"

namespace tallygate::command {

// Since `before`, every worker's loop has turned, and the disk has not kept the journal waiting for
// as long as `at_most`. Empty: so it is; else what stands still.
[[nodiscard]] std::string find_standstill(const Pulse& before, const Pulse& now,
                                          std::chrono::microseconds at_most);

// Called by the main thread.
class ServiceManager {
 public:
  ServiceManager();   // reads NOTIFY_SOCKET and WATCHDOG_USEC
  ~ServiceManager();  // ends the watchdog's thread
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  // `status` is a line for `systemctl status`. From now on `pulse` is looked at on a thread of our
  // own, until stopping(): while something stands still, systemd hears nothing, and after
  // WatchdogSec= it ends the process and starts a new one.
  void ready(std::string_view status, std::function<Pulse()> pulse);
  // Both of any thread. It is ready again behind the second.
  void reloading() const;
  void reloaded() const;
  // Another process is the service from now on, and tells systemd what there is to be told; the
  // watchdog waits for it as long as for a start.
  void handed_over(std::int64_t process_id);
  // The end may take so long, whatever TimeoutStopSec= says. systemd watches no longer then.
  void stopping(std::string_view status, std::chrono::milliseconds at_most);

 private:
  void watch();
  void end_watching();

  std::chrono::microseconds interval_{0};  // 0: nobody watches
  std::function<Pulse()> pulse_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace tallygate::command
