#include "server/command/signals.h"

#include <pthread.h>

namespace tallygate::command {

Signals::Signals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigemptyset(&set_);
  sigaddset(&set_, SIGTERM);
  sigaddset(&set_, SIGINT);
  sigaddset(&set_, SIGHUP);
  sigaddset(&set_, SIGUSR1);
  sigaddset(&set_, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  thread_ = std::thread([this] {
    for (;;) {
      int signal = 0;
      sigwait(&set_, &signal);
      if (ending_) return;
      if (signal == SIGHUP) {
        reload_ = true;
      } else if (signal == SIGUSR1) {
        reopen_log_ = true;
      } else if (signal == SIGUSR2) {
        hand_over_ = true;
      } else if (stopped_.exchange(true)) {
        at_once_ = true;
      }
      ++came_;
      came_.notify_all();
    }
  });
}

Signals::~Signals() {
  ending_ = true;
  pthread_kill(thread_.native_handle(), SIGTERM);
  thread_.join();
}

void Signals::ask_to_stop() {
  stopped_ = true;
  ++came_;
  came_.notify_all();
}

Signals::Asked Signals::wait() {
  for (;;) {
    const unsigned seen = came_;
    if (stopped_) return Asked::stop;
    if (reload_.exchange(false)) return Asked::reload;
    if (reopen_log_.exchange(false)) return Asked::reopen_log;
    if (hand_over_.exchange(false)) return Asked::hand_over;
    came_.wait(seen);
  }
}

}  // namespace tallygate::command
