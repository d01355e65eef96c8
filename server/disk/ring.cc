#include "server/disk/ring.h"

#include <sys/eventfd.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <chrono>
#include <mutex>
#include <utility>

namespace tallygate::disk {
namespace {

constexpr std::chrono::milliseconds kEndTimeout{1'000};

// For operations whose end is of no interest.
constexpr std::uint64_t kNobody = 0;

}  // namespace

// The kernel may still look up their descriptors, and nobody will hear that it has.
void Ring::leave_behind(std::list<Operation> operations) {
  static std::mutex mutex;
  static auto* const all = new std::list<Operation>;  // to the end of the process
  const std::lock_guard guard(mutex);
  all->splice(all->end(), std::move(operations));
}

std::unique_ptr<Ring> Ring::open(const Executor& executor) {
  std::unique_ptr<Ring> ring(new Ring(executor));
  return ring->set_up() ? std::move(ring) : nullptr;
}

bool Ring::set_up() {
  // COOP_TASKRUN (5.19) saves interrupting the worker. Not DEFER_TASKRUN: a ring that is watched
  // through epoll loses wake-ups with it.
  int failed = ::io_uring_queue_init(kInFlightMax, &ring_, IORING_SETUP_COOP_TASKRUN);
  if (failed == -EINVAL) failed = ::io_uring_queue_init(kInFlightMax, &ring_, 0);
  if (failed != 0) return false;
  is_open_ = true;
  const int event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event < 0) return false;
  error_code ec;
  event_.assign(event, ec);
  if (ec) {
    ::close(event);
    return false;
  }
  if (::io_uring_register_eventfd(&ring_, event) != 0) return false;
  // The kernel bounds its threads by whether an operation's file is a regular one ("bounded") or
  // not. Of a splice that is the file that is written to, the pipe: so the second number counts
  // here (Linux 6.18: with {64, 1} one splice ran at a time, with {1, 64} 48 of 48). The first must
  // not be 0, which means "as it is". A kernel before 5.15 has no such limit to set.
  std::array<unsigned, 2> threads_max{4, kInFlightMax};
  static_cast<void>(::io_uring_register_iowq_max_workers(&ring_, threads_max.data()));
  return true;
}

Ring::~Ring() {
  if (!is_open_) return;
  for (Operation& operation : in_flight_) {
    io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);
    if (entry == nullptr) break;
    ::io_uring_prep_cancel(entry, &operation, 0);
    ::io_uring_sqe_set_data64(entry, kNobody);
    static_cast<void>(submit(entry));
  }
  const auto deadline = std::chrono::steady_clock::now() + kEndTimeout;
  while (!in_flight_.empty() && std::chrono::steady_clock::now() < deadline) {
    __kernel_timespec timeout{0, 10'000'000};
    io_uring_cqe* completion = nullptr;
    static_cast<void>(::io_uring_wait_cqe_timeout(&ring_, &completion, &timeout));
    reap();
  }
  if (!in_flight_.empty()) leave_behind(std::move(in_flight_));
  ::io_uring_queue_exit(&ring_);
}

bool Ring::splice(int file, std::uint64_t offset, int pipe, std::size_t bytes, Ended ended) {
  if (in_flight_.size() == kInFlightMax) return false;
  io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);
  if (entry == nullptr) return false;
  Operation& operation = in_flight_.emplace_back();
  operation.place = std::prev(in_flight_.end());
  operation.ended = std::move(ended);
  ::io_uring_prep_splice(entry, file, static_cast<std::int64_t>(offset), pipe, -1,
                         static_cast<unsigned>(bytes), SPLICE_F_MOVE);
  ::io_uring_sqe_set_data(entry, &operation);
  if (!submit(entry)) {
    in_flight_.erase(operation.place);
    return false;
  }
  if (!watching_) watch();
  return true;
}

// False: the kernel did not take it, and never will.
bool Ring::submit(io_uring_sqe* entry) {
  int submitted = 0;
  do {
    submitted = ::io_uring_submit(&ring_);
  } while (submitted == -EINTR);
  if (::io_uring_sq_ready(&ring_) == 0) return true;
  // It stays in the queue, and goes with the next one: as nothing.
  ::io_uring_prep_nop(entry);
  ::io_uring_sqe_set_data64(entry, kNobody);
  return false;
}

void Ring::watch() {
  watching_ = true;
  event_.async_read_some(asio::buffer(&event_count_, sizeof event_count_),
                         [this](const error_code& ec, std::size_t) {
                           if (ec == asio::error::operation_aborted) return;  // it may be gone
                           watching_ = false;
                           reap();
                           if (!in_flight_.empty() && !watching_) watch();
                         });
}

void Ring::reap() {
  std::array<io_uring_cqe*, kInFlightMax> completions;
  for (;;) {
    const unsigned n = ::io_uring_peek_batch_cqe(&ring_, completions.data(), completions.size());
    if (n == 0) return;
    std::list<Operation> ended;
    std::array<int, kInFlightMax> results;
    std::size_t known = 0;
    for (unsigned i = 0; i < n; ++i) {
      const io_uring_cqe& completion = *completions[i];
      if (::io_uring_cqe_get_data64(&completion) == kNobody) continue;
      auto* operation = static_cast<Operation*>(::io_uring_cqe_get_data(&completion));
      ended.splice(ended.end(), in_flight_, operation->place);
      results[known++] = completion.res;
    }
    ::io_uring_cq_advance(&ring_, n);
    // They may start others.
    const int* result = results.data();
    for (Operation& operation : ended) operation.ended(*result++);
  }
}

}  // namespace tallygate::disk
