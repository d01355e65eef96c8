// One answer, for one coroutine that waits for it under a deadline.
//
// Shared by the coroutine and whoever answers. All members belong to the worker's thread, except
// is_abandoned(). Nothing in here belongs to the io_context: the last owner may go on any thread,
// also after the worker.
#pragma once
#include <atomic>
#include <boost/asio/this_coro.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "server/net/executor.h"

namespace tallygate::disk {

using Deadline = std::chrono::steady_clock::time_point;

template <class T>
class Awaited {
 public:
  // Once. What comes too late stays in here until the last owner goes.
  void give(T value) {
    value_ = std::move(value);
    if (timer_ != nullptr) timer_->cancel();
  }
  // Any thread: whoever waited has gone on without an answer, or has been destroyed.
  [[nodiscard]] bool is_abandoned() const { return abandoned_; }

  // Once. nullopt: it was not given in time.
  static Task<std::optional<T>> wait(std::shared_ptr<Awaited> awaited, Deadline deadline) {
    const Waiting waiting(*awaited);
    if (!awaited->value_) {
      Timer timer(co_await asio::this_coro::executor);
      timer.expires_at(deadline);
      awaited->timer_ = &timer;
      static_cast<void>(co_await timer.async_wait(kAwait));
      awaited->timer_ = nullptr;
    }
    co_return std::move(awaited->value_);
  }

 private:
  // The frame may also be destroyed while it waits.
  class Waiting {
   public:
    explicit Waiting(Awaited& awaited) : awaited_(awaited) {}
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    ~Waiting() {
      awaited_.timer_ = nullptr;
      awaited_.abandoned_ = true;
    }

   private:
    Awaited& awaited_;
  };

  std::optional<T> value_;
  Timer* timer_ = nullptr;  // of the coroutine that waits
  std::atomic<bool> abandoned_{false};
};

}  // namespace tallygate::disk
