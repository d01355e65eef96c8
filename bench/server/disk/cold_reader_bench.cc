// What does it cost a worker to ask whether a file is in memory, and to have it brought there?
//
// BM_Look: one probe. BM_Fill: 512 KiB into a pipe, the pipe emptied again, by the ring or by a
// thread of the pool, one at a time or eight; `worker_us` is the worker's own processor time for
// one of them, the wall time is until it was there. BM_Sendfile: the same bytes by a hot sendfile
// to /dev/null, the yardstick. Cold rows drop the file from the cache before each round, untimed.
//
// Figures that would change a decision: a hot probe above 2 µs (it stands before every quantum); a
// ring that takes more of a worker's time than the pool does.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <time.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "server/disk/cold_reader.h"
#include "tests/server/disk/big_file.h"

namespace tallygate::disk {
namespace {

constexpr std::size_t kQuantum = 512 << 10;
constexpr std::size_t kFileBytes = 64 << 20;

const BigFile& file() {
  static const BigFile made(kFileBytes);
  return made;
}

double thread_us() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

void BM_Look(benchmark::State& state, bool hot) {
  if (hot) file().make_hot();
  std::size_t at = 0;
  for (auto _ : state) {
    if (!hot && at == 0) {
      state.PauseTiming();
      if (!file().make_cold()) state.SkipWithError("this file system keeps its pages");
      state.ResumeTiming();
    }
    benchmark::DoNotOptimize(look(file().on(), file().get(), at));
    at = (at + (hot ? kQuantum : 8 * kQuantum)) % kFileBytes;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(BM_Look, hot, true);
BENCHMARK_CAPTURE(BM_Look, cold, false);

void BM_Sendfile(benchmark::State& state) {
  file().make_hot();
  const Descriptor null(::open("/dev/null", O_WRONLY));
  for (auto _ : state) {
    off_t offset = 0;
    benchmark::DoNotOptimize(::sendfile(null.get(), file().get(), &offset, kQuantum));
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kQuantum));
}
BENCHMARK(BM_Sendfile);

Task<> take_turns(ColdReader& reader, std::size_t& next, std::int64_t& bytes) {
  while (next < kFileBytes) {
    const std::size_t offset = next;
    next += kQuantum;
    const Filled filled = co_await reader.fill(nullptr, file().get(), file().on(), offset, kQuantum,
                                               std::chrono::seconds(10));
    bytes += static_cast<std::int64_t>(filled.bytes);
  }
}

// One round: the whole file, quantum by quantum.
void BM_Fill(benchmark::State& state, bool ring, bool hot) {
  BlockingPool pool;
  asio::io_context context(1);
  OffLoop off_loop(context.get_executor(), pool);
  ColdReader reader(context.get_executor(), off_loop, {.use_ring = ring});
  if (ring && !reader.has_ring()) state.SkipWithError("io_uring is refused here");
  if (hot) file().make_hot();
  std::int64_t bytes = 0;
  double worker_us = 0;
  for (auto _ : state) {
    if (!hot) {
      state.PauseTiming();
      if (!file().make_cold()) state.SkipWithError("this file system keeps its pages");
      state.ResumeTiming();
    }
    std::size_t next = 0;
    for (int i = 0; i < state.range(0); ++i) {
      asio::co_spawn(context, take_turns(reader, next, bytes), asio::detached);
    }
    const double begin = thread_us();
    context.restart();
    context.run();
    worker_us += thread_us() - begin;
  }
  const auto fills = static_cast<double>(state.iterations()) * (kFileBytes / kQuantum);
  state.counters["worker_us"] = worker_us / fills;
  state.counters["KiB_per_fill"] = static_cast<double>(bytes) / fills / 1024;
  state.SetItemsProcessed(static_cast<std::int64_t>(fills));
  state.SetBytesProcessed(bytes);
}
#define TALLYGATE_FILL(name, ring, hot) \
  BENCHMARK_CAPTURE(BM_Fill, name, ring, hot)->ArgName("at_once")->Arg(1)->Arg(8)->UseRealTime()
TALLYGATE_FILL(ring_hot, true, true);
TALLYGATE_FILL(pool_hot, false, true);
TALLYGATE_FILL(ring_cold, true, false);
TALLYGATE_FILL(pool_cold, false, false);

}  // namespace
}  // namespace tallygate::disk
