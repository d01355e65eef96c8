// SIGTERM and SIGINT, taken by a thread of its own: the first asks to drain, the second insists.
#pragma once
#include <atomic>
#include <csignal>
#include <thread>

namespace tallygate::command {

// Make it before any other thread: signals are blocked in this one and in all that it starts.
// SIGPIPE is ignored for good, since sendfile(2) cannot be told not to raise it; SIGHUP as well.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // Returns at the first signal.
  void wait();
  [[nodiscard]] bool stopped() const { return stopped_; }
  // True from the second one on.
  [[nodiscard]] const std::atomic<bool>& at_once() const { return at_once_; }

 private:
  sigset_t set_{};
  std::atomic<bool> stopped_{false};
  std::atomic<bool> at_once_{false};
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

}  // namespace tallygate::command
