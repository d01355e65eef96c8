// An io_uring of one worker, which has the kernel's own threads splice from files into pipes.
//
// SPLICE never runs in the submitting thread (it is forced to a kernel worker), so starting one
// costs a microsecond however cold the file is. Completions come through an eventfd that the
// worker's io_context watches while something is in flight. Used on the worker's thread.
#pragma once
#include <liburing.h>

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>

#include "server/net/executor.h"

namespace tallygate::disk {

class Ring {
 public:
  // What may be in flight at a time.
  static constexpr unsigned kInFlightMax = 64;
  // Bytes, or -errno. 0: the file ends there.
  using Ended = std::function<void(int result)>;

  // Null: the system has none for us (an old kernel, seccomp, a sysctl, no memory).
  [[nodiscard]] static std::unique_ptr<Ring> open(const Executor& executor);
  // Cancels what is in flight and waits for it, at most a second. An operation that hangs longer is
  // left to the end of the process, together with what its `ended` holds. The executor's io_context
  // goes next, and runs no more.
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // Moves up to `bytes` of the file from `offset` into an empty pipe. Both descriptors have to stay
  // open until `ended` is called, whoever still waits for it: the kernel looks them up only when a
  // thread of its gets to the operation. Let `ended` own what they belong to; it is destroyed after
  // the call. False: too much is in flight, or the kernel takes no more now; `ended` is destroyed.
  [[nodiscard]] bool splice(int file, std::uint64_t offset, int pipe, std::size_t bytes,
                            Ended ended);
  [[nodiscard]] std::size_t in_flight() const { return in_flight_.size(); }

 private:
  struct Operation {
    Ended ended;
    std::list<Operation>::iterator place;
  };
  explicit Ring(const Executor& executor) : event_(executor) {}
  [[nodiscard]] bool set_up();
  [[nodiscard]] bool submit(io_uring_sqe* entry);
  static void leave_behind(std::list<Operation> operations);
  void watch();
  void reap();

  asio::posix::basic_stream_descriptor<Executor> event_;
  std::uint64_t event_count_ = 0;
  bool watching_ = false;
  io_uring ring_{};
  bool is_open_ = false;
  std::list<Operation> in_flight_;
};

}  // namespace tallygate::disk
