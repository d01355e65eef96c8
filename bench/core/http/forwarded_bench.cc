// What does it cost to find out who asks, when a proxy stands in front?
//
// Every request through it pays for this once, and nobody else at all. More than 500 ns for a
// client behind two proxies would be worth another parser; more than 20 us for a head full of
// addresses, all of them trusted, would make the field a weapon.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "core/http/forwarded.h"

namespace tallygate::http {
namespace {

using link::IpAddress;
using link::IpBlock;

void find(benchmark::State& state, const std::string& value, ForwardedField field,
          std::size_t blocks = 4) {
  std::vector<IpBlock> trusted;
  for (std::size_t i = 1; i < blocks; ++i) {
    trusted.push_back(*IpBlock::parse("198.18." + std::to_string(i) + ".0/24"));
  }
  trusted.push_back(*IpBlock::parse("10.0.0.0/8"));
  const std::string name = field == ForwardedField::forwarded ? "Forwarded" : "X-Forwarded-For";
  const std::string received = name + ": " + value + "\n";
  RequestHead head;
  head.start(received, "GET", "/", 11);
  const std::string_view all(received);
  if (!value.empty())
    head.add(all.substr(0, name.size()), all.substr(name.size() + 2, value.size()));
  const auto peer = *IpAddress::parse("10.0.0.1");
  for (auto _ : state) {
    benchmark::DoNotOptimize(find_client(head, peer, {trusted, field}));
  }
  state.SetItemsProcessed(state.iterations());
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(value.size()));
}

void BM_FindClient_NoField(benchmark::State& state) {
  find(state, "", ForwardedField::x_forwarded_for);
}
void BM_FindClient_BehindOneProxy(benchmark::State& state) {
  find(state, "203.0.113.9", ForwardedField::x_forwarded_for);
}
void BM_FindClient_BehindTwoProxies(benchmark::State& state) {
  find(state, "198.51.100.7, 2001:db8:1:2:3:4:5:6, 10.1.2.3", ForwardedField::x_forwarded_for);
}
void BM_FindClient_BehindTwoProxiesThatWriteForwarded(benchmark::State& state) {
  find(state, R"(for=198.51.100.7, for="[2001:db8:1:2:3:4:5:6]:4711";proto=https, for=10.1.2.3)",
       ForwardedField::forwarded);
}
BENCHMARK(BM_FindClient_NoField);
BENCHMARK(BM_FindClient_BehindOneProxy);
BENCHMARK(BM_FindClient_BehindTwoProxies);
BENCHMARK(BM_FindClient_BehindTwoProxiesThatWriteForwarded);

// All that fits into a head, as only a trusted proxy could have it, before as many blocks as there
// may be.
void BM_FindClient_HeadFullOfProxies(benchmark::State& state) {
  std::string list = "10.1.2.3";
  while (list.size() < 15'000) list += ",10.1.2.3";
  find(state, list, ForwardedField::x_forwarded_for, 64);
}
BENCHMARK(BM_FindClient_HeadFullOfProxies);

}  // namespace
}  // namespace tallygate::http
