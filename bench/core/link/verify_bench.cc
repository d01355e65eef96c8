// What does checking a link cost a request? One HMAC should be most of it: beyond a microsecond, or
// with a forged link dearer than a genuine one, look for what else is being done.
#include <benchmark/benchmark.h>

#include <string>

#include "core/link/keyring_file.h"
#include "core/link/sign.h"
#include "core/link/verify.h"

namespace tallygate::link {
namespace {

constexpr std::int64_t kNow = 1'700'000'000;

const Keyring& keyring() {
  static const Keyring keys = *parse_keyring(
      "[[key]]\nid = \"2026a\"\nsecret = \"raw:correct horse battery staple 32b\"\n"
      "[[key]]\nid = \"2025b\"\nsecret = \"raw:another horse battery staple 32b\"\nuse = "
      "\"verify\"\n");
  return keys;
}

// A link as a shop mails it: order item, limit, expiry, a name with a space and an umlaut.
std::string target() {
  LinkSpec spec;
  spec.path = "/music/2026/Größe XL (Deluxe Edition).flac";
  spec.id = "1001-7";
  spec.limit = 3;
  spec.expires_at = kNow + 86'400;
  return *sign_url("", spec, keyring(), kNow) + "&utm_source=newsletter";
}

void verify(benchmark::State& state, const std::string& url, bool genuine) {
  const auto& keys = keyring();
  const auto client = *IpAddress::parse("192.0.2.7");
  Scratch scratch;
  for (auto _ : state) {
    const auto grant = authenticate(url, keys, client, kNow, scratch);
    if (grant.has_value() != genuine) state.SkipWithError("the link was judged wrongly");
    benchmark::DoNotOptimize(grant);
  }
  state.SetItemsProcessed(state.iterations());
}

void BM_LinkVerify_Genuine(benchmark::State& state) {
  verify(state, target(), true);
}
BENCHMARK(BM_LinkVerify_Genuine);

void BM_LinkVerify_Forged(benchmark::State& state) {
  auto url = target();
  auto& digit = url[url.find(".s") + 2];
  digit = digit == '0' ? '1' : '0';
  verify(state, url, false);
}
BENCHMARK(BM_LinkVerify_Forged);

void BM_LinkVerify_UnknownKey(benchmark::State& state) {
  auto url = target();
  url[url.find("1.k") + 3] = 'x';
  verify(state, url, false);
}
BENCHMARK(BM_LinkVerify_UnknownKey);

}  // namespace
}  // namespace tallygate::link
