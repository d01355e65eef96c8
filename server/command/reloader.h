// Does the reloads, whoever asks for them, on a thread of its own: a settings file on a disk that
// hangs holds up neither the workers nor whoever wants the server to stop.
#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "server/net/policy.h"

namespace tallygate::command {

// One at a time. What is asked for while one is running is done behind it; several wishes at a time
// are one reload. Any thread may ask.
class Reloader {
 public:
  using Answer = std::function<void(net::Reloaded)>;

  // `reload` is called on the thread.
  explicit Reloader(std::function<net::Reloaded()> reload);
  ~Reloader();  // stop()
  Reloader(const Reloader&) = delete;
  Reloader& operator=(const Reloader&) = delete;

  // `answer` is called on the thread, or here once it has ended. It may be empty.
  void ask(Answer answer);
  // Ends the thread behind the reload that is running. Whoever still waits is told that there was
  // none.
  void stop();

 private:
  void run();

  const std::function<net::Reloaded()> reload_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::vector<Answer> waiting_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tallygate::command
