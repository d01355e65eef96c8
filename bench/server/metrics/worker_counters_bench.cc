// What does it cost that a request is counted?
//
// Every request pays for this, on its worker's thread. A whole small one costs the server some 20
// us of processor time: beyond 100 ns counting would be worth a thought, and a refusal beyond 200
// ns.
#include "server/metrics/worker_counters.h"

#include <benchmark/benchmark.h>

#include <memory>

namespace tallygate::metrics {
namespace {

// A file that is sent at once, as http::Connection, transfer::serve and transfer::Delivery count
// it.
void BM_Count_Request(benchmark::State& state) {
  const auto counters = std::make_unique<WorkerCounters>();
  Counter hits;
  for (auto _ : state) {
    unsigned status = 200;
    benchmark::DoNotOptimize(status);
    hits.add();
    counters->admissions[static_cast<std::size_t>(Admitted::admitted)].add();
    counters->transfers_begun.add();
    counters->file_bytes.add(4096);
    counters->answers[index_of_status(status)].add();
    counters->copies.add(1);
    counters->transfers_complete.add();
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Count_Request);

// The refusal that is found last.
void BM_Count_Refusal(benchmark::State& state) {
  const auto counters = std::make_unique<WorkerCounters>();
  std::string_view reason = "malformed head";
  for (auto _ : state) {
    benchmark::DoNotOptimize(reason);
    counters->refusals[index_of(http::Problem::version_not_supported, reason)].add();
    counters->answers[index_of_status(505)].add();
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Count_Refusal);

}  // namespace
}  // namespace tallygate::metrics
