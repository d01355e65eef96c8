#include "server/command/signals.h"

#include <pthread.h>

namespace tallygate::command {

StopSignals::StopSignals() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);
  sigemptyset(&set_);
  sigaddset(&set_, SIGTERM);
  sigaddset(&set_, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  thread_ = std::thread([this] {
    for (;;) {
      int signal = 0;
      sigwait(&set_, &signal);
      if (ending_) return;
      if (stopped_.exchange(true)) at_once_ = true;
      stopped_.notify_all();
    }
  });
}

StopSignals::~StopSignals() {
  ending_ = true;
  pthread_kill(thread_.native_handle(), SIGTERM);
  thread_.join();
}

void StopSignals::wait() {
  stopped_.wait(false);
}

}  // namespace tallygate::command
