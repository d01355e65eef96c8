// SIGTERM and SIGINT, taken by a thread of its own: the first asks to drain, the second insists.
// SIGHUP asks to reload, SIGUSR1 to open the access log anew, SIGUSR2 to hand over to a new
// process.
#pragma once
#include <atomic>
#include <csignal>
#include <cstdint>
#include <thread>

namespace tallygate::command {

// Make it before any other thread: signals are blocked in this one and in all that it starts.
// SIGPIPE is ignored for good, since sendfile(2) cannot be told not to raise it.
class Signals {
 public:
  enum class Asked : std::uint8_t { reload, reopen_log, hand_over, stop };

  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // Returns when something is asked. Several wishes of one kind may be one.
  [[nodiscard]] Asked wait();
  // As the first SIGTERM does; never insists. Any thread.
  void ask_to_stop();
  [[nodiscard]] bool stopped() const { return stopped_; }
  // True from the second one on.
  [[nodiscard]] const std::atomic<bool>& at_once() const { return at_once_; }

 private:
  sigset_t set_{};
  std::atomic<unsigned> came_{0};  // signals, for wait()
  std::atomic<bool> reload_{false};
  std::atomic<bool> reopen_log_{false};
  std::atomic<bool> hand_over_{false};
  std::atomic<bool> stopped_{false};
  std::atomic<bool> at_once_{false};
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

}  // namespace tallygate::command
