// Pipes of one worker, used again and again: what is spliced from a file lies in one until it is
// spliced to a socket.
//
// Used on the worker's thread. Of all pipes one device may hold half: the others are for files of
// other devices when it hangs.
#pragma once
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "server/disk/awaited.h"
#include "server/net/descriptor.h"
#include "server/net/executor.h"

namespace tallygate::disk {

class PipePool;

// One pipe, empty when it comes from the pool; goes back, and whatever is left in it away, in its
// destructor. Movable.
class Pipe {
 public:
  Pipe() = default;
  Pipe(Pipe&& other) noexcept = default;
  Pipe& operator=(Pipe&& other) noexcept;
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() { give_back(); }

  [[nodiscard]] explicit operator bool() const { return static_cast<bool>(reading_); }
  [[nodiscard]] int reading() const { return reading_.get(); }  // O_NONBLOCK
  // Blocks when the pipe is full: who fills it puts in what fits into an empty one.
  [[nodiscard]] int writing() const { return writing_.get(); }
  // Bytes, in whole pages: of a range that begins within a page, one page less.
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  // It is closed in its destructor, on whatever thread; its pool counts it no more.
  void leave_pool();

 private:
  friend class PipePool;
  void give_back();

  Descriptor reading_;
  Descriptor writing_;
  std::size_t capacity_ = 0;
  std::uint64_t device_ = 0;
  std::shared_ptr<PipePool> pool_;
};

// Made by make_shared: pipes that are out keep it alive.
class PipePool : public std::enable_shared_from_this<PipePool> {
 public:
  // What a pipe should hold; the kernel may allow less. Unprivileged processes of one user share
  // /proc/sys/fs/pipe-user-pages-soft: at the usual 64 MiB, 128 pipes of this size. Beyond that a
  // pipe is born with 8 KiB: choose `pipes_max` so that all workers together stay below.
  static constexpr std::size_t kCapacityWanted = std::size_t{512} << 10;
  // Smaller ones are not kept for use again: it may have been a bad moment.
  static constexpr std::size_t kCapacityKept = std::size_t{64} << 10;

  explicit PipePool(std::size_t pipes_max) : pipes_max_(pipes_max) {}
  PipePool(const PipePool&) = delete;
  PipePool& operator=(const PipePool&) = delete;

  // An empty pipe for a file of the device; waits for one if it must, first come, first served.
  // Errors: timed_out, or none could be made (too_many_files_open, …).
  [[nodiscard]] Task<Result<Pipe>> acquire(std::uint64_t device, Deadline deadline);
  // The worker has ended: nobody is given a pipe any more, those that are out will be closed.
  void close();

  [[nodiscard]] std::size_t in_use() const { return in_use_; }
  [[nodiscard]] std::size_t idle() const { return idle_.size(); }
  [[nodiscard]] std::size_t waiting() const { return waiters_.size(); }

 private:
  friend class Pipe;
  struct Waiter {
    std::uint64_t device = 0;
    Awaited<Result<Pipe>> pipe;
  };
  [[nodiscard]] bool may_take(std::uint64_t device) const;
  [[nodiscard]] Result<Pipe> take(std::uint64_t device);
  void take_back(Pipe& pipe);
  void forget(std::uint64_t device);
  [[nodiscard]] bool empty(Pipe& pipe);

  const std::size_t pipes_max_;
  std::vector<Pipe> idle_;  // their pool_ is null
  std::size_t in_use_ = 0;
  std::vector<std::pair<std::uint64_t, std::size_t>> in_use_of_;  // by device; few
  std::list<std::shared_ptr<Waiter>> waiters_;
  Descriptor null_;  // /dev/null
  bool closed_ = false;
};

}  // namespace tallygate::disk
