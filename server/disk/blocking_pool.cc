#include "server/disk/blocking_pool.h"

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <vector>

namespace tallygate::disk {

struct BlockingPool::State {
  explicit State(Options chosen) : options(chosen) {}

  struct Lane {
    std::size_t admitted = 0;  // ready or running
    std::deque<std::unique_ptr<Job>> waiting;
  };
  struct Ready {
    std::uint64_t lane = 0;
    std::unique_ptr<Job> job;
  };

  // A job of the lane is over: the next one may begin. The lock is held.
  void leave(std::uint64_t number) {
    const auto lane = lanes.find(number);
    if (lane->second.waiting.empty()) {
      if (--lane->second.admitted == 0) lanes.erase(lane);
      return;
    }
    ready.push_back({number, std::move(lane->second.waiting.front())});
    lane->second.waiting.pop_front();
  }

  const Options options;
  std::mutex mutex;
  std::condition_variable work_or_end;
  std::condition_variable thread_ended;
  // -- guarded by the mutex
  std::unordered_map<std::uint64_t, Lane> lanes;  // those with jobs
  std::deque<Ready> ready;                        // for the next thread that is free
  std::size_t threads = 0;
  std::size_t idle = 0;
  std::size_t running = 0;
  bool ending = false;
};

BlockingPool::BlockingPool() : BlockingPool(Options{}) {}

BlockingPool::BlockingPool(Options options) : state_(std::make_shared<State>(options)) {}

BlockingPool::~BlockingPool() {
  std::deque<State::Ready> ready;
  std::unordered_map<std::uint64_t, State::Lane> lanes;
  {
    std::unique_lock lock(state_->mutex);
    state_->ending = true;
    ready.swap(state_->ready);
    for (auto& [number, lane] : state_->lanes) lanes[number].waiting.swap(lane.waiting);
    state_->work_or_end.notify_all();
    state_->thread_ended.wait_for(lock, state_->options.end_timeout,
                                  [this] { return state_->threads == 0; });
  }
}

bool BlockingPool::post_job(std::uint64_t number, std::unique_ptr<Job> job, bool anyway) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  State::Lane& lane = state.lanes[number];
  if (lane.admitted == state.options.per_lane_max) {
    if (lane.waiting.size() >= state.options.waiting_per_lane_max && !anyway) return false;
    lane.waiting.push_back(std::move(job));
    return true;
  }
  ++lane.admitted;
  state.ready.push_back({number, std::move(job)});
  if (state.idle >= state.ready.size()) {
    state.work_or_end.notify_one();
    return true;
  }
  if (state.threads == state.options.threads_max) return true;
  try {
    std::thread([shared = state_] { work(shared); }).detach();
    ++state.threads;
    return true;
  } catch (const std::system_error&) {  // no more threads for this process
    if (state.threads != 0) return true;
    job = std::move(state.ready.back().job);
    state.ready.pop_back();
    state.leave(number);
    return false;
  }
}

void BlockingPool::work(const std::shared_ptr<State>& state) {
  ::pthread_setname_np(::pthread_self(), "tg-disk");
  std::unique_lock lock(state->mutex);
  for (;;) {
    ++state->idle;
    const bool woken = state->work_or_end.wait_for(
        lock, state->options.idle_timeout, [&] { return state->ending || !state->ready.empty(); });
    --state->idle;
    if (!woken || state->ending) break;
    State::Ready next = std::move(state->ready.front());
    state->ready.pop_front();
    ++state->running;
    lock.unlock();
    next.job->run();
    next.job.reset();
    lock.lock();
    --state->running;
    state->leave(next.lane);
  }
  --state->threads;
  state->thread_ended.notify_all();
}

std::size_t BlockingPool::threads() const {
  const std::lock_guard lock(state_->mutex);
  return state_->threads;
}

bool BlockingPool::is_idle() const {
  const std::lock_guard lock(state_->mutex);
  return state_->running == 0 && state_->ready.empty();
}

std::size_t BlockingPool::running() const {
  const std::lock_guard lock(state_->mutex);
  return state_->running;
}

}  // namespace tallygate::disk
