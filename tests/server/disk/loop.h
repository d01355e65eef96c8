// A worker's loop in a test: runs coroutines on this thread.
#pragma once
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "server/net/executor.h"

namespace tallygate::disk {

using namespace std::chrono_literals;

// What a coroutine that was started has come to.
template <class T>
struct Outcome {
  std::optional<T> value;
  bool dropped = false;  // its frame was destroyed before it had an outcome
};

template <class T>
Task<> note_outcome(Task<T> task, std::shared_ptr<Outcome<T>> outcome) {
  struct Frame {
    Outcome<T>& outcome;
    ~Frame() { outcome.dropped = !outcome.value; }
  } frame{*outcome};
  outcome->value = co_await std::move(task);
}

class Loop {
 public:
  // The first timer opens the descriptors of the loop; from here on they are counted.
  Loop() { const Timer timer(executor()); }
  [[nodiscard]] Executor executor() { return context_->get_executor(); }

  // Begins, and goes on with poll() and run().
  template <class T>
  std::shared_ptr<Outcome<T>> begin(Task<T> task) {
    auto outcome = std::make_shared<Outcome<T>>();
    asio::co_spawn(*context_, note_outcome(std::move(task), outcome), asio::detached);
    poll();
    return outcome;
  }
  // To its end.
  template <class T>
  T await(Task<T> task) {
    const auto outcome = begin(std::move(task));
    EXPECT_TRUE(run_until([&] { return outcome->value.has_value(); }));
    return std::move(*outcome->value);
  }
  void poll() {
    context_->restart();
    context_->poll();
  }
  template <class Done>
  [[nodiscard]] bool run_until(Done done, std::chrono::milliseconds within = 20s) {
    const auto end = std::chrono::steady_clock::now() + within;
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      context_->restart();
      if (context_->run_one_for(5ms) == 0) std::this_thread::sleep_for(1ms);
    }
    return true;
  }
  // Destroys what waits in it.
  void end() { context_.reset(); }

 private:
  std::unique_ptr<asio::io_context> context_ = std::make_unique<asio::io_context>(1);
};

// True: it has come to be so. For what other threads do.
template <class Done>
[[nodiscard]] bool comes_true(Done done, std::chrono::milliseconds within = 20s) {
  const auto end = std::chrono::steady_clock::now() + within;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

// Jobs that hang until it is opened.
class Gate {
 public:
  void open() { opened_.set_value(); }
  [[nodiscard]] auto job() {
    return [wait = opened_future_] { wait.wait(); };
  }

 private:
  std::promise<void> opened_;
  std::shared_future<void> opened_future_ = opened_.get_future().share();
};

[[nodiscard]] inline std::size_t open_descriptors() {
  std::size_t n = 0;
  for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
    static_cast<void>(each);
    ++n;
  }
  return n;
}

}  // namespace tallygate::disk
