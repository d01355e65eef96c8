// What does it cost to find out which bytes a request wants?
//
// Every GET pays for this once. A single range beyond 100 ns, or sixteen beyond 2 us, would be
// worth another parser; a thousand beyond 100 us would make the field a weapon.
#include <benchmark/benchmark.h>

#include <string>

#include "core/http/range.h"

namespace tallygate::http {
namespace {

constexpr std::uint64_t kFileSize = 734'003'200;

void select(benchmark::State& state, const std::string& range) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(select_bytes(range, kFileSize));
  }
  state.SetItemsProcessed(state.iterations());
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(range.size()));
}

void BM_RangeSelect_None(benchmark::State& state) {
  select(state, "");
}
void BM_RangeSelect_Resume(benchmark::State& state) {
  select(state, "bytes=351043584-");
}
void BM_RangeSelect_Slice(benchmark::State& state) {
  select(state, "bytes=351043584-352092159");
}
BENCHMARK(BM_RangeSelect_None);
BENCHMARK(BM_RangeSelect_Resume);
BENCHMARK(BM_RangeSelect_Slice);

void BM_RangeSelect_Several(benchmark::State& state) {
  std::string range = "bytes=";
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    // Every third is out of order, as readers of archives ask.
    const auto first = (i % 3 == 0 ? state.range(0) - i : i) * 700'000;
    range += std::to_string(first) + '-' + std::to_string(first + 65'535) + ", ";
  }
  select(state, range);
}
BENCHMARK(BM_RangeSelect_Several)->ArgName("ranges")->Arg(2)->Arg(16)->Arg(1000);

}  // namespace
}  // namespace tallygate::http
