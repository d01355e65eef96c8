// A worker's way to the threads of the blocking pool and back.
//
// Used on the worker's thread. What a thread finishes after the worker has ended is destroyed on
// that thread.
#pragma once
#include <boost/asio/post.hpp>
#include <boost/system/errc.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>

#include "core/base/result.h"
#include "server/disk/awaited.h"
#include "server/disk/blocking_pool.h"
#include "server/net/executor.h"

namespace tallygate::disk {

class OffLoop {
 public:
  // The pool must outlive it.
  OffLoop(const Executor& executor, BlockingPool& pool)
      : pool_(pool), way_back_(std::make_shared<WayBack>(executor)) {}
  // Nothing comes back from here on. The executor's io_context goes next, and runs no more.
  ~OffLoop() { way_back_->close(); }
  OffLoop(const OffLoop&) = delete;
  OffLoop& operator=(const OffLoop&) = delete;

  // Runs `job()` on a thread of the pool, then `then(result)` here; neither may throw. While the
  // worker lives, both are destroyed here, so what they own may belong to it. False: the pool takes
  // no more of this lane. Lanes: see BlockingPool; a device, as a rule.
  template <class Job, class Then>
  [[nodiscard]] bool start(std::uint64_t lane, Job job, Then then) {
    static_assert(std::is_nothrow_move_constructible_v<Job>, "or a copy ends on the thread");
    static_assert(std::is_nothrow_move_constructible_v<Then>, "or a copy ends on the thread");
    return pool_.post(
        lane, [way_back = way_back_, job = std::move(job), then = std::move(then)]() mutable {
          auto result = job();
          way_back->post([job = std::move(job), then = std::move(then),
                          result = std::move(result)]() mutable { then(std::move(result)); });
        });
  }

  // Runs `job()`, which returns a Result, and waits for it. Errors besides its own: timed_out; it
  // goes on, and what it returns is dropped on its thread (so `job` may not borrow from the
  // caller); resource_unavailable_try_again: too many wait. A job that nobody waits for any more
  // when its turn comes is not begun.
  template <class Job>
  [[nodiscard]] Task<std::invoke_result_t<Job>> run(std::uint64_t lane,
                                                    std::chrono::milliseconds timeout, Job job) {
    using Outcome = std::invoke_result_t<Job>;
    const Deadline deadline = std::chrono::steady_clock::now() + timeout;
    const auto awaited = std::make_shared<Awaited<Outcome>>();
    const bool posted =
        pool_.post(lane, [way_back = way_back_, awaited, job = std::move(job)]() mutable {
          if (awaited->is_abandoned()) return;
          Outcome outcome = job();
          if (awaited->is_abandoned()) return;
          way_back->post([awaited, outcome = std::move(outcome)]() mutable {
            awaited->give(std::move(outcome));
          });
        });
    if (!posted) {
      co_return make_error_code(boost::system::errc::resource_unavailable_try_again);
    }
    auto outcome = co_await Awaited<Outcome>::wait(awaited, deadline);
    if (!outcome) co_return make_error_code(boost::system::errc::timed_out);
    co_return std::move(*outcome);
  }

  [[nodiscard]] BlockingPool& pool() { return pool_; }

 private:
  // Threads of the pool post through this, for the worker may be gone.
  class WayBack {
   public:
    explicit WayBack(const Executor& executor) : executor_(executor) {}
    template <class F>
    void post(F work) {
      const std::lock_guard guard(mutex_);
      if (open_) asio::post(executor_, std::move(work));
    }
    void close() {
      const std::lock_guard guard(mutex_);
      open_ = false;
    }

   private:
    std::mutex mutex_;
    bool open_ = true;
    const Executor executor_;
  };

  BlockingPool& pool_;
  const std::shared_ptr<WayBack> way_back_;
};

}  // namespace tallygate::disk
