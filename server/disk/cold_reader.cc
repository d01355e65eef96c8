#include "server/disk/cold_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace tallygate::disk {
namespace {

// A pipe holds pages, not bytes: what begins within a page takes one more of them.
std::size_t fitting(const Pipe& pipe, std::uint64_t offset, std::size_t bytes) {
  static const auto page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return std::min(bytes, pipe.capacity() - static_cast<std::size_t>(offset % page_bytes));
}

}  // namespace

// Shared by the coroutine, whoever reads, and the reader's list. All but the first group belongs to
// the worker's thread; `pipe` is out of its pool before the list drops it unfinished, so that the
// last owner may be a thread of the pool.
struct ColdReader::Fill {
  // Constant once it has started.
  std::shared_ptr<const void> keep;
  int file = -1;
  std::uint64_t offset = 0;
  std::size_t bytes = 0;
  int into = -1;

  Pipe pipe;
  bool by_ring = false;
  Fills::iterator place;
  Awaited<int> result;

  // On a thread that may block. Bytes or -errno.
  [[nodiscard]] int splice_here() const {
    auto at = static_cast<off_t>(offset);
    std::size_t done = 0;
    while (done < bytes) {
      const ssize_t n = ::splice(file, &at, into, nullptr, bytes - done, SPLICE_F_MOVE);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && done == 0) return -errno;
      if (n <= 0) break;
      done += static_cast<std::size_t>(n);
    }
    return static_cast<int>(done);
  }
};

ColdReader::ColdReader(const Executor& executor, OffLoop& off_loop)
    : ColdReader(executor, off_loop, Options{}) {}

ColdReader::ColdReader(const Executor& executor, OffLoop& off_loop, Options options)
    : off_loop_(off_loop),
      pipes_(std::make_shared<PipePool>(options.pipes_max)),
      ring_(options.use_ring ? Ring::open(executor) : nullptr) {}

ColdReader::~ColdReader() {
  ring_.reset();
  for (const auto& fill : in_flight_) fill->pipe.leave_pool();
  pipes_->close();
}

Task<Filled> ColdReader::fill(std::shared_ptr<const void> keep, int file, FileSystem on,
                              std::uint64_t offset, std::size_t bytes,
                              std::chrono::milliseconds timeout) {
  const Deadline deadline = std::chrono::steady_clock::now() + timeout;
  auto pipe = co_await pipes_->acquire(on.device, deadline);
  if (!pipe) co_return Filled{{}, pipe.error().value(), 0};
  const auto fill = std::make_shared<Fill>();
  fill->keep = std::move(keep);
  fill->file = file;
  fill->offset = offset;
  fill->bytes = fitting(*pipe, offset, bytes);
  fill->into = pipe->writing();
  fill->pipe = std::move(*pipe);
  if (!start(fill, on)) co_return Filled{{}, EAGAIN, 0};
  const auto result = co_await Awaited<int>::wait({fill, &fill->result}, deadline);
  if (!result) co_return Filled{{}, ETIMEDOUT, 0};
  if (*result < 0) co_return Filled{{}, -*result, 0};
  co_return Filled{std::move(fill->pipe), 0, static_cast<std::size_t>(*result)};
}

bool ColdReader::start(const std::shared_ptr<Fill>& fill, const FileSystem& on) {
  fill->place = in_flight_.insert(in_flight_.end(), fill);
  // `mine = fill` and not `fill`: a captured constant would be copied where it should be moved.
  auto done = [this, mine = fill](int result) { ended(mine, result); };
  if (ring_ && !on.may_hang &&
      ring_->splice(fill->file, fill->offset, fill->into, fill->bytes, done)) {
    fill->by_ring = true;
    return true;
  }
  auto read = [mine = fill] {
    return mine->result.is_abandoned() ? -ECANCELED : mine->splice_here();
  };
  const bool started = off_loop_.start(on.device, std::move(read), std::move(done));
  if (!started) in_flight_.erase(fill->place);
  return started;
}

void ColdReader::ended(const std::shared_ptr<Fill>& fill, int result) {
  in_flight_.erase(fill->place);
  Counters::Way& way = fill->by_ring ? counters_.ring : counters_.threads;
  way.reads.add();
  if (result >= 0) {
    way.bytes.add(static_cast<std::uint64_t>(result));
  } else if (result != -ECANCELED) {
    way.failures.add();
  }
  fill->result.give(result);
}

}  // namespace tallygate::disk
