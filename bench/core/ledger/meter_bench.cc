// What does the counting rule cost under the lock of its shard?
//
// One request is an admission, a lease and a settlement for each window, and a close. The usual
// ones belong well below a microsecond each; a link that somebody has scattered on purpose must
// stay below a millisecond, or it holds up its neighbours in the shard.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <vector>

#include "core/ledger/meter.h"

namespace tallygate::ledger {
namespace {

constexpr VersionKey kVersion{1};
constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kSize = 640'000'000;
constexpr std::uint32_t kManyCopies = 1'000'000'000;

// One request for `range`, delivered in one window.
void get(Meters& meters, std::uint64_t size, Span range) {
  const auto flight = meters.admit(kVersion, size, std::span(&range, 1));
  if (!flight || !meters.lease(*flight, range.last)) std::abort();
  benchmark::DoNotOptimize(meters.settle(*flight, range.bytes()));
  benchmark::DoNotOptimize(meters.close(*flight, 0, true));
}

// A meter with every second block of 64 bytes delivered, as often as its bound lets it.
Meters scattered(std::uint64_t size, Limit limit) {
  Meters meters(2000);
  meters.set_limit(std::nullopt);
  const std::uint64_t blocks = Meter(kVersion, size).fragments_max();
  for (std::uint64_t i = 0; i < blocks; ++i) {
    meters.meter(kVersion, size).cover({i * 128, i * 128 + 64});
  }
  meters.set_limit(limit);
  return meters;
}

// A link on which many copies are left and 200 others download: the coverage is not looked at.
void BM_Admit_Close_HotLink(benchmark::State& state) {
  Meters meters(2000);
  meters.set_limit(kManyCopies);
  const Span whole{0, kSize};
  for (int i = 0; i < state.range(0); ++i) {
    if (!meters.admit(kVersion, kSize, std::span(&whole, 1))) std::abort();
  }
  for (auto _ : state) {
    const auto flight = meters.admit(kVersion, kSize, std::span(&whole, 1));
    benchmark::DoNotOptimize(meters.close(*flight, 0, false));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Admit_Close_HotLink)->ArgName("flights")->Arg(0)->Arg(16)->Arg(200);

// The last copy: whether the request fits is worked out from coverage and flights.
void BM_Admit_Close_LastCopy(benchmark::State& state) {
  Meters meters(2000);
  meters.set_limit(1);
  const auto segments = static_cast<std::uint64_t>(state.range(0));
  for (std::uint64_t i = 1; i < segments; ++i) {
    const Span segment{kSize * i / segments, kSize * (i + 1) / segments};
    if (!meters.admit(kVersion, kSize, std::span(&segment, 1))) std::abort();
  }
  const Span first{0, kSize / segments};
  for (auto _ : state) {
    const auto flight = meters.admit(kVersion, kSize, std::span(&first, 1));
    benchmark::DoNotOptimize(meters.close(*flight, 0, false));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Admit_Close_LastCopy)->ArgName("segments")->Arg(1)->Arg(16)->Arg(256);

// A window of a plain download: one fragment grows.
void BM_Lease_Settle_Window(benchmark::State& state) {
  constexpr std::uint64_t kWindow = 10 * kMiB;
  constexpr std::uint64_t kLarge = std::uint64_t{1} << 50;
  Meters meters(2000);
  meters.set_limit(kManyCopies);
  const Span whole{0, kLarge};
  std::uint32_t flight = *meters.admit(kVersion, kLarge, std::span(&whole, 1));
  std::uint64_t at = 0;
  for (auto _ : state) {
    if (at + kWindow > kLarge) {
      meters.close(flight, 0, true);
      flight = *meters.admit(kVersion, kLarge, std::span(&whole, 1));
      at = 0;
    }
    benchmark::DoNotOptimize(meters.lease(flight, at += kWindow));
    benchmark::DoNotOptimize(meters.settle(flight, kWindow));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Lease_Settle_Window);

// Segments that are delivered side by side, a window each in turn, until the file is whole.
void BM_Settle_Segments(benchmark::State& state) {
  constexpr std::uint64_t kWindows = 8;
  const auto segments = static_cast<std::uint64_t>(state.range(0));
  const std::uint64_t window = 64 * kMiB / kWindows;
  const std::uint64_t size = segments * kWindows * window;
  Meters meters(2000);
  meters.set_limit(kManyCopies);
  std::vector<std::uint32_t> flights;
  for (auto _ : state) {
    flights.clear();
    for (std::uint64_t i = 0; i < segments; ++i) {
      const Span segment{i * kWindows * window, (i + 1) * kWindows * window};
      flights.push_back(*meters.admit(kVersion, size, std::span(&segment, 1)));
    }
    for (std::uint64_t w = 1; w <= kWindows; ++w) {
      for (std::uint64_t i = 0; i < segments; ++i) {
        if (!meters.lease(flights[i], (i * kWindows + w) * window)) std::abort();
        benchmark::DoNotOptimize(meters.settle(flights[i], window));
      }
    }
    for (const std::uint32_t flight : flights) meters.close(flight, 0, true);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(segments * kWindows));
}
BENCHMARK(BM_Settle_Segments)->ArgName("segments")->Arg(1)->Arg(16)->Arg(200);

// The slices of a CDN, in order.
void BM_Get_Slices(benchmark::State& state) {
  constexpr std::uint64_t kSlice = kMiB;
  Meters meters(2000);
  meters.set_limit(kManyCopies);
  std::uint64_t at = 0;
  for (auto _ : state) {
    get(meters, 1024 * kSlice, {at, at + kSlice});
    at = (at + kSlice) % (1024 * kSlice);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Get_Slices);

// -- what an attacker can shape -----------------------------------------------------------------

// Requests for the last copy of a file that is in as many fragments as a meter follows.
void BM_Admit_Close_Scattered(benchmark::State& state) {
  const auto size = static_cast<std::uint64_t>(state.range(0)) << 30;
  Meters meters = scattered(size, 1);
  const Span range{64, size};
  for (auto _ : state) {
    const auto flight = meters.admit(kVersion, size, std::span(&range, 1));
    benchmark::DoNotOptimize(meters.close(*flight, 0, false));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Admit_Close_Scattered)->ArgName("GiB")->Arg(1)->Arg(50);

// Settlements that such a meter has to turn down.
void BM_Cover_TooScattered(benchmark::State& state) {
  const auto size = static_cast<std::uint64_t>(state.range(0)) << 30;
  Meters meters = scattered(size, std::nullopt);
  Meter& meter = meters.meter(kVersion, size);
  for (auto _ : state) benchmark::DoNotOptimize(meter.cover({size - 2, size - 1}));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Cover_TooScattered)->ArgName("GiB")->Arg(1)->Arg(50);

// One window that hits thousands of fragments, while the layer above has thousands behind them.
void BM_Cover_FragmentsMoveUp(benchmark::State& state) {
  const auto size = static_cast<std::uint64_t>(state.range(0)) << 30;
  Meter before(kVersion, size);
  const std::uint64_t half = before.fragments_max() / 2;
  before.cover({half * 4, half * 8});
  for (std::uint64_t i = 0; i + 2 < half; ++i) {
    before.cover({i * 4, i * 4 + 1});
    before.cover({half * 4 + i * 4, half * 4 + i * 4 + 1});
  }
  for (auto _ : state) {
    state.PauseTiming();
    Meter meter = before;
    state.ResumeTiming();
    benchmark::DoNotOptimize(meter.cover({0, half * 4}));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Cover_FragmentsMoveUp)->ArgName("GiB")->Arg(1)->Arg(50);

}  // namespace
}  // namespace tallygate::ledger
