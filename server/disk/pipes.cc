#include "server/disk/pipes.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/system/errc.hpp>
#include <cerrno>

namespace tallygate::disk {

// -- Pipe ---------------------------------------------------------------------------------------

Pipe& Pipe::operator=(Pipe&& other) noexcept {
  if (this == &other) return *this;
  give_back();
  reading_ = std::move(other.reading_);
  writing_ = std::move(other.writing_);
  capacity_ = other.capacity_;
  device_ = other.device_;
  pool_ = std::move(other.pool_);
  return *this;
}

void Pipe::leave_pool() {
  if (pool_) std::exchange(pool_, nullptr)->forget(device_);
}

void Pipe::give_back() {
  if (pool_) std::exchange(pool_, nullptr)->take_back(*this);
  reading_ = Descriptor();
  writing_ = Descriptor();
}

// -- PipePool -----------------------------------------------------------------------------------

Task<Result<Pipe>> PipePool::acquire(std::uint64_t device, Deadline deadline) {
  // Nobody is overtaken: whoever waits could not have taken one either, or has been given one.
  if (may_take(device)) co_return take(device);
  const auto waiter = std::make_shared<Waiter>();
  waiter->device = device;
  const auto place = waiters_.insert(waiters_.end(), waiter);
  auto pipe = co_await Awaited<Result<Pipe>>::wait({waiter, &waiter->pipe}, deadline);
  if (pipe) co_return std::move(*pipe);
  waiters_.erase(place);
  co_return make_error_code(boost::system::errc::timed_out);
}

void PipePool::close() {
  closed_ = true;
  null_ = Descriptor();
  idle_.clear();
  waiters_.clear();
}

bool PipePool::may_take(std::uint64_t device) const {
  if (closed_ || in_use_ >= pipes_max_) return false;
  const std::size_t of_device_max = std::max<std::size_t>(1, pipes_max_ / 2);
  return std::none_of(in_use_of_.begin(), in_use_of_.end(), [&](const auto& use) {
    return use.first == device && use.second >= of_device_max;
  });
}

Result<Pipe> PipePool::take(std::uint64_t device) {
  Pipe pipe;
  if (!idle_.empty()) {
    pipe = std::move(idle_.back());
    idle_.pop_back();
  } else {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return last_error();
    pipe.reading_ = Descriptor(ends[0]);
    pipe.writing_ = Descriptor(ends[1]);
    if (::fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) return last_error();
    for (std::size_t size = kCapacityWanted; size > kCapacityKept; size /= 2) {
      if (::fcntl(ends[1], F_SETPIPE_SZ, static_cast<int>(size)) > 0) break;
    }
    const int size = ::fcntl(ends[1], F_GETPIPE_SZ);
    if (size <= 0) return last_error();
    pipe.capacity_ = static_cast<std::size_t>(size);
  }
  pipe.device_ = device;
  pipe.pool_ = shared_from_this();
  ++in_use_;
  const auto use = std::find_if(in_use_of_.begin(), in_use_of_.end(),
                                [&](const auto& of) { return of.first == device; });
  if (use != in_use_of_.end()) {
    ++use->second;
  } else {
    in_use_of_.emplace_back(device, 1);
  }
  return pipe;
}

void PipePool::take_back(Pipe& pipe) {
  forget(pipe.device_);
  if (closed_) return;
  if (pipe.capacity_ >= kCapacityKept && empty(pipe)) idle_.push_back(std::move(pipe));
  for (auto next = waiters_.begin(); next != waiters_.end();) {
    if (!may_take((*next)->device)) {
      ++next;
      continue;
    }
    const auto waiter = *next;
    next = waiters_.erase(next);
    waiter->pipe.give(take(waiter->device));
  }
}

void PipePool::forget(std::uint64_t device) {
  --in_use_;
  const auto use = std::find_if(in_use_of_.begin(), in_use_of_.end(),
                                [&](const auto& of) { return of.first == device; });
  if (--use->second == 0) in_use_of_.erase(use);
}

bool PipePool::empty(Pipe& pipe) {
  if (!null_) null_ = Descriptor(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  for (;;) {
    const ssize_t n = ::splice(pipe.reading(), nullptr, null_.get(), nullptr, pipe.capacity_,
                               SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    if (n < 0 && errno == EAGAIN) return true;
    if (n <= 0 && errno != EINTR) return false;  // it is closed instead
  }
}

}  // namespace tallygate::disk
