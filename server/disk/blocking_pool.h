// Threads for calls that may block: on a disk, or for ever on a network file system.
//
// One for the process; any thread. Threads are made when there is work and none is idle, and end
// after idling. At most kThreadsMax; of one lane (the caller says which: a device, as a rule) at
// most kPerLaneMax jobs run at a time, so that a file system that hangs leaves threads for others.
//
// The process's end does not wait for a job that hangs: the destructor waits `end_timeout`, then
// leaves its threads to the end of the process. What they use of the pool is theirs too.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace tallygate::disk {

class BlockingPool {
 public:
  struct Options {
    std::size_t threads_max = 64;
    std::size_t per_lane_max = 16;
    // Jobs of a lane that wait for a thread: more than that, and the disk does not keep up.
    std::size_t waiting_per_lane_max = 1024;
    std::chrono::milliseconds idle_timeout{10'000};
    std::chrono::milliseconds end_timeout{1'000};
  };

  BlockingPool();
  explicit BlockingPool(Options options);
  // Jobs that have not begun are destroyed, here.
  ~BlockingPool();
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  // Runs `job()` on one of the threads; it must not throw. False: too many wait already, or no
  // thread could be made; the job is destroyed. Jobs of a lane begin in the order of their coming.
  template <class F>
  [[nodiscard]] bool post(std::uint64_t lane, F job) {
    return post_job(lane, std::make_unique<JobOf<F>>(std::move(job)), false);
  }
  // However many wait; for what has to be done some time, such as closing a file that may hang.
  template <class F>
  [[nodiscard]] bool post_anyway(std::uint64_t lane, F job) {
    return post_job(lane, std::make_unique<JobOf<F>>(std::move(job)), true);
  }

  // For tests and figures; of the moment.
  [[nodiscard]] std::size_t threads() const;
  [[nodiscard]] std::size_t running() const;
  [[nodiscard]] bool is_idle() const;  // none runs, and none waits

 private:
  struct Job {
    Job() = default;
    virtual ~Job() = default;
    Job(const Job&) = delete;
    Job& operator=(const Job&) = delete;
    virtual void run() = 0;
  };
  template <class F>
  struct JobOf final : Job {
    explicit JobOf(F job) : job_(std::move(job)) {}
    void run() override { job_(); }
    F job_;
  };
  struct State;

  [[nodiscard]] bool post_job(std::uint64_t lane, std::unique_ptr<Job> job, bool anyway);
  static void work(const std::shared_ptr<State>& state);

  const std::shared_ptr<State> state_;
};

}  // namespace tallygate::disk
