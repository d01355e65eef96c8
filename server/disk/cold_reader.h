// Brings a range of a file into a pipe, without its worker ever waiting for the disk.
//
// One for each worker, used on its thread. The kernel reads through a ring; where io_uring is
// refused, and on file systems that may hang, a thread of the pool does. (The end of a thread waits
// for what runs in its ring; a thread of the pool can be left behind.)
//
//   auto filled = co_await reader.fill(file, file->descriptor.get(), file->file_system, offset,
//                                      bytes, timeout);
//   if (filled.error != 0) …         // errno
//   if (filled.bytes == 0) …         // the file has shrunk: it ends before `offset`
//   ::splice(filled.pipe.reading(), nullptr, socket, nullptr, filled.bytes, SPLICE_F_NONBLOCK | …)
//
// Hold a Filled no longer than that one splice (or, for TLS, that read(2)): pipes are few. What the
// socket did not take goes away with it, and is found in the page cache the next time.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>

#include "server/disk/off_loop.h"
#include "server/disk/pipes.h"
#include "server/disk/residency.h"
#include "server/disk/ring.h"
#include "server/metrics/counter.h"
#include "server/net/executor.h"

namespace tallygate::disk {

// What a fill brought; movable. The pipe goes back in the destructor.
struct Filled {
  Pipe pipe;  // none if there was an error
  int error = 0;
  std::size_t bytes = 0;  // in the pipe
};

class ColdReader {
 public:
  struct Options {
    bool use_ring = true;
    std::size_t pipes_max = 32;  // see PipePool
  };

  // `off_loop` must outlive it.
  ColdReader(const Executor& executor, OffLoop& off_loop);
  ColdReader(const Executor& executor, OffLoop& off_loop, Options options);
  // Whoever waits never hears; see ~Ring. The executor's io_context goes next, and runs no more.
  ~ColdReader();
  ColdReader(const ColdReader&) = delete;
  ColdReader& operator=(const ColdReader&) = delete;

  // Waits for a pipe and fills it with up to `bytes` (1 or more) from `offset`, at most a pipe's
  // capacity. Fewer may come at any time; none only at the end of the file. `keep` keeps `file`
  // open; it is held until the operation has ended, also when nobody waits for it any more. Errors:
  // ETIMEDOUT after `timeout`; EAGAIN, too many wait; EMFILE and such, no pipe; whatever the disk
  // says.
  [[nodiscard]] Task<Filled> fill(std::shared_ptr<const void> keep, int file, FileSystem on,
                                  std::uint64_t offset, std::size_t bytes,
                                  std::chrono::milliseconds timeout);

  [[nodiscard]] bool has_ring() const { return ring_ != nullptr; }
  [[nodiscard]] const PipePool& pipes() const { return *pipes_; }
  // Fills whose operation has not ended, those that nobody waits for among them.
  [[nodiscard]] std::size_t in_flight() const { return in_flight_.size(); }

  // Any thread may read them.
  struct Counters {
    struct Way {
      metrics::Counter reads;  // that ended, well or not
      metrics::Counter bytes;
      metrics::Counter failures;
    };
    Way ring;
    Way threads;
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  struct Fill;
  using Fills = std::list<std::shared_ptr<Fill>>;
  [[nodiscard]] bool start(const std::shared_ptr<Fill>& fill, const FileSystem& on);
  void ended(const std::shared_ptr<Fill>& fill, int result);

  OffLoop& off_loop_;
  const std::shared_ptr<PipePool> pipes_;
  Fills in_flight_;
  std::unique_ptr<Ring> ring_;
  Counters counters_;
};

}  // namespace tallygate::disk
