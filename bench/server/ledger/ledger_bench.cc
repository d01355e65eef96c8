// What does the ledger cost a download, and how fast can a disk make downloads durable?
//
// BM_Ledger/AdmitClose: processor time of one admission and its end, without waiting for the disk.
// BM_Ledger/Durable: counted downloads of fresh links, `waiting` of them at a time, each waiting
// for its lease to be on disk. `per_sync`: downloads for each fdatasync; `plain_syncs_per_second`:
// what a loop of 4 KiB writes and fdatasync reaches on the same disk, just before.
//
// Figures that would change a decision: fewer than 20 downloads for each sync at 64 waiting, or
// fewer than 300,000 downloads a second on one core when the disk is a tmpfs:
//   TALLYGATE_BENCH_DIR=/dev/shm taskset -c 0 bench.server.ledger.ledger --benchmark_filter=Durable
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "bench/server/ledger/bench_ledger.h"
#include "server/net/descriptor.h"

namespace tallygate::ledger {
namespace {

using Clock_ = std::chrono::steady_clock;

// -- processor time -----------------------------------------------------------------------------

// One ledger for all threads of a benchmark.
std::unique_ptr<BenchLedger> shared_ledger;

// An unlimited link: the same work and the same records, but nobody waits. As in a worker, a tick
// every 100 ms has the journal write them.
void admit_close(benchmark::State& state, bool hot) {
  if (state.thread_index() == 0) shared_ledger = std::make_unique<BenchLedger>();
  constexpr std::uint64_t kLinks = 1 << 20;
  std::uint64_t n = static_cast<std::uint64_t>(state.thread_index()) << 32;
  asio::io_context context(1);
  WaitingRoom room(context.get_executor(), kDurableTimeout);
  std::array<char, 32> id;
  auto tick_at = Clock_::now();
  unsigned turns = 0;
  for (auto _ : state) {
    if (++turns % 64 == 0 && Clock_::now() >= tick_at) {
      room.tick();
      tick_at = Clock_::now() + std::chrono::milliseconds(100);
    }
    // A full-period generator: neighbours in time are far apart in memory.
    n = n * 6364136223846793005u + 1442695040888963407u;
    const std::uint64_t link = hot ? static_cast<std::uint64_t>(state.thread_index()) : n >> 44;
    const auto end = fmt::format_to(id.data(), "{:x}", link % kLinks);
    const std::string_view link_id(id.data(), static_cast<std::size_t>(end - id.data()));
    asio::co_spawn(
        context,
        [&]() -> Task<> {
          static_cast<void>(co_await download(shared_ledger->ledger(), room, link_id, {}));
        },
        asio::detached);
    context.restart();
    context.poll();
  }
  state.SetItemsProcessed(state.iterations());
  if (state.thread_index() == 0) shared_ledger.reset();
}
void BM_Ledger_AdmitClose_Hot(benchmark::State& state) {
  admit_close(state, true);
}
void BM_Ledger_AdmitClose_Random(benchmark::State& state) {
  admit_close(state, false);
}
BENCHMARK(BM_Ledger_AdmitClose_Hot)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(BM_Ledger_AdmitClose_Random)->ThreadRange(1, 2)->UseRealTime();

// -- durable downloads --------------------------------------------------------------------------

double plain_syncs_per_second(const std::string& folder) {
  const std::string path = folder + "/plain";
  const Descriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  const std::string block(4096, 'x');
  constexpr off_t kBytes = 4 << 20;
  if (!fd || ::posix_fallocate(fd.get(), 0, kBytes) != 0 || ::fsync(fd.get()) != 0) return 0;
  int syncs = 0;
  const auto begin = Clock_::now();
  const auto until = begin + std::chrono::milliseconds(200);
  while (Clock_::now() < until) {
    const off_t at = (off_t{syncs} * 4096) % kBytes;
    if (::pwrite(fd.get(), block.data(), block.size(), at) != 4096) return 0;
    if (::fdatasync(fd.get()) != 0) return 0;
    ++syncs;
  }
  ::unlink(path.c_str());
  return syncs / std::chrono::duration<double>(Clock_::now() - begin).count();
}

Task<> customer(Ledger& ledger, WaitingRoom& room, const bool& stop, std::uint64_t& next,
                std::int64_t& done) {
  std::array<char, 32> id;
  while (!stop) {
    const auto end = fmt::format_to(id.data(), "link-{:x}", next++);
    const std::string_view link_id(id.data(), static_cast<std::size_t>(end - id.data()));
    const bool ok = co_await download(ledger, room, link_id, 3);
    if (ok) ++done;
  }
}

void BM_Ledger_Durable(benchmark::State& state) {
  BenchLedger bench;
  const double plain = plain_syncs_per_second(bench.folder());
  asio::io_context context(1);
  WaitingRoom room(context.get_executor(), kDurableTimeout);
  bool stop = false;
  std::uint64_t next = 0;
  std::int64_t done = 0;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    asio::co_spawn(context, customer(bench.ledger(), room, stop, next, done), asio::detached);
  }
  const std::uint64_t syncs_before = bench.syncs();
  // One iteration is one durable download.
  std::int64_t before = done;
  for (auto _ : state) {
    while (done == before) context.run_one();
    ++before;
  }
  const auto syncs = static_cast<double>(bench.syncs() - syncs_before);
  const auto downloads = static_cast<double>(done);
  stop = true;
  context.run();
  state.SetItemsProcessed(state.iterations());
  state.counters["per_sync"] = downloads / std::max(1.0, syncs);
  state.counters["plain_syncs_per_second"] = plain;
}
BENCHMARK(BM_Ledger_Durable)->ArgName("waiting")->Arg(1)->Arg(16)->Arg(64)->Arg(256)->UseRealTime();

}  // namespace
}  // namespace tallygate::ledger
