// What does a download cost the ledger's rules, without locks and files?
//
// BM_Account: a whole GET of a limited link, from the image that it rests in and back.
// BM_LinkTable: finding and replacing images in a shard of a large ledger. Figures that would
// change a decision: more than half a microsecond for either.
#include <benchmark/benchmark.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/ledger/account.h"
#include "core/ledger/link_table.h"

namespace tallygate::ledger {
namespace {

constexpr std::uint32_t kWaste = 2000;

AdmitRequest request(const Span& whole) {
  AdmitRequest r;
  r.link_id = "1001234-1";
  r.path = "/music/album/01 first track.flac";
  r.signed_limit = 1'000'000'000;
  r.expires_at = 1'800'000'000;
  r.version = {0x9d3f'11c2'6a70'4be5};
  r.size = whole.last;
  r.ranges = {&whole, 1};
  r.window_bytes = 1 << 20;
  return r;
}

void download(Account& account, const AdmitRequest& r, Entries& entries) {
  const auto admitted = account.admit(r, entries);
  account.close(admitted->first_flight, r.size, 0, true, entries);
}

void BM_Account_AdmitClose(benchmark::State& state) {
  const Span whole{0, 4096};
  const AdmitRequest r = request(whole);
  Account account(kWaste, r.link_id);
  Entries entries;
  entries.wants_events = false;
  for (auto _ : state) {
    entries.clear();
    download(account, r, entries);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Account_AdmitClose);

void BM_Account_WakeAdmitCloseRest(benchmark::State& state) {
  const Span whole{0, 4096};
  const AdmitRequest r = request(whole);
  Entries entries;
  entries.wants_events = false;
  std::string image;
  {
    Account account(kWaste, r.link_id);
    download(account, r, entries);
    account.write_image(image);
  }
  for (auto _ : state) {
    entries.clear();
    auto account = std::make_unique<Account>(kWaste, r.link_id);
    benchmark::DoNotOptimize(account->read_image(image));
    download(*account, r, entries);
    image.clear();
    account->write_image(image);
  }
  state.SetItemsProcessed(state.iterations());
  state.counters["image_bytes"] = static_cast<double>(image.size());
}
BENCHMARK(BM_Account_WakeAdmitCloseRest);

void BM_LinkTable_FindPut(benchmark::State& state) {
  // Shards of 25,000 links, as with 100 million in all; enough of them to be out of every cache.
  constexpr std::size_t kShards = 64;
  constexpr std::size_t kLinks = 25'000;
  std::mt19937_64 random(1);
  std::vector<LinkTable> shards(kShards);
  std::vector<std::vector<LinkKey>> keys(kShards);
  std::string image(21, 'i');
  for (std::size_t s = 0; s < kShards; ++s) {
    for (std::size_t i = 0; i < kLinks; ++i) {
      keys[s].push_back({random(), random()});
      shards[s].put(keys[s].back(), image);
    }
  }
  for (auto _ : state) {
    const std::uint64_t n = random();
    LinkTable& shard = shards[n % kShards];
    const LinkKey& key = keys[n % kShards][n / kShards % kLinks];
    benchmark::DoNotOptimize(shard.find(key));
    shard.put(key, image);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_LinkTable_FindPut);

}  // namespace
}  // namespace tallygate::ledger
