// How many links does one machine hold, and how long does it take to start with them?
//
// BM_Ledger/Capacity: builds that many used links through the ledger, takes a snapshot, starts
// again. BM_Ledger/Recovery: starts from the journal alone; items are records.
//
// Figures that would change a decision: more than 48 resident bytes for an idle used link, or more
// than 5 s to recover 10 million links on 2 cores. The size comes from TALLYGATE_BENCH_LINKS
// (default 100,000); 100 million take a quarter of an hour, 12 GB of memory and 20 GB of disk:
//   TALLYGATE_BENCH_LINKS=100000000 bench.server.ledger.capacity --benchmark_filter=Capacity
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <fstream>
#include <string>

#include "bench/server/ledger/bench_ledger.h"

namespace tallygate::ledger {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

std::uint64_t links_wanted() {
  const char* chosen = std::getenv("TALLYGATE_BENCH_LINKS");
  return chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : 100'000;
}

// Resident, after what was freed has gone back.
std::uint64_t resident_bytes() {
  ::malloc_trim(0);
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

Task<> customer(Ledger& ledger, WaitingRoom& room, std::uint64_t& next, std::uint64_t links) {
  std::array<char, 32> id;
  while (next < links) {
    const auto end = fmt::format_to(id.data(), "{}-{}", 1'000'000 + next / 3, next % 3);
    ++next;
    const std::string_view link_id(id.data(), static_cast<std::size_t>(end - id.data()));
    static_cast<void>(co_await download(ledger, room, link_id, 3));
  }
}

void build(Ledger& ledger, std::uint64_t links) {
  constexpr int kCustomers = 2000;
  asio::io_context context(1);
  WaitingRoom room(context.get_executor(), kDurableTimeout);
  std::uint64_t next = 0;
  for (int i = 0; i < kCustomers; ++i) {
    asio::co_spawn(context, customer(ledger, room, next, links), asio::detached);
  }
  context.run();
}

void BM_Ledger_Capacity(benchmark::State& state) {
  const std::uint64_t links = links_wanted();
  Ledger::Options options;
  options.snapshot_after_max = options.snapshot_after_min = 4 * kGiB;
  for (auto _ : state) {
    BenchLedger bench(options);
    auto begin = std::chrono::steady_clock::now();
    build(bench.ledger(), links);
    state.counters["build_seconds"] = seconds_since(begin);
    bench.close();
    bench.open();  // so that the keeper's thread is idle
    begin = std::chrono::steady_clock::now();
    const std::string wrong = bench.ledger().take_snapshot();
    state.counters["snapshot_seconds"] = seconds_since(begin);
    bench.close();
    const std::uint64_t before = resident_bytes();
    begin = std::chrono::steady_clock::now();
    bench.open();
    state.counters["recover_seconds"] = seconds_since(begin);
    const auto taken = static_cast<double>(resident_bytes() - before);
    if (!wrong.empty() || bench.ledger().links() != links) state.SkipWithError(wrong.c_str());
    state.counters["resident_bytes_per_link"] = taken / static_cast<double>(links);
    state.counters["table_bytes_per_link"] =
        static_cast<double>(bench.ledger().memory_bytes()) / static_cast<double>(links);
    std::uint64_t snapshot_bytes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(bench.folder())) {
      if (entry.path().extension() == ".tgs") {
        snapshot_bytes = std::max<std::uint64_t>(snapshot_bytes, entry.file_size());
      }
    }
    state.counters["snapshot_bytes_per_link"] =
        static_cast<double>(snapshot_bytes) / static_cast<double>(links);
  }
  state.counters["links"] = static_cast<double>(links);
}
BENCHMARK(BM_Ledger_Capacity)->Iterations(1)->UseRealTime()->Unit(benchmark::kSecond);

void BM_Ledger_Recovery(benchmark::State& state) {
  const std::uint64_t links = std::min<std::uint64_t>(links_wanted(), 2'000'000);
  Ledger::Options options;
  options.snapshot_after_max = options.snapshot_after_min = 64 * kGiB;
  BenchLedger bench(options);
  build(bench.ledger(), links);
  for (auto _ : state) {
    state.PauseTiming();
    bench.close();
    state.ResumeTiming();
    bench.open();
  }
  constexpr std::int64_t kRecordsPerLink = 5;  // signed, limit, used, opened, closed
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(links) * kRecordsPerLink);
}
BENCHMARK(BM_Ledger_Recovery)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tallygate::ledger
