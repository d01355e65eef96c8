// What do our rules add to the parsing of a head?
//
// The parser takes 150 to 400 ns. Checks, preconditions and range together beyond that would call
// for looking fields up by number rather than by name.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "core/http/accept.h"
#include "core/http/date.h"
#include "core/http/precondition.h"
#include "core/http/range.h"
#include "core/http/request_check.h"

namespace tallygate::http {
namespace {

constexpr std::int64_t kNow = 1'767'225'600;
constexpr std::string_view kTarget =
    "/music/Gr%C3%B6%C3%9Fe%20XL.flac?tg=1.kk1.e1767225600.i1001-7.n3."
    "s6a09e667f3bcc908b2fb1366ea957d3e3adec17512775099da2f590b0667322a";

struct Field {
  std::string_view name;
  std::string_view value;
};

const std::vector<Field> kCurl = {
    {"Host", "dl.shop.example"}, {"User-Agent", "curl/7.88.1"}, {"Accept", "*/*"}};

const std::vector<Field> kBrowserThatResumes = {
    {"Host", "dl.shop.example"},
    {"Connection", "keep-alive"},
    {"sec-ch-ua", "\"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\""},
    {"sec-ch-ua-mobile", "?0"},
    {"sec-ch-ua-platform", "\"Windows\""},
    {"Upgrade-Insecure-Requests", "1"},
    {"User-Agent",
     "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
     "Chrome/130.0.0.0 Safari/537.36"},
    {"Accept",
     "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"},
    {"Sec-Fetch-Site", "cross-site"},
    {"Sec-Fetch-Mode", "navigate"},
    {"Sec-Fetch-User", "?1"},
    {"Sec-Fetch-Dest", "document"},
    {"Referer", "https://shop.example/"},
    {"Accept-Encoding", "gzip, deflate, br, zstd"},
    {"Accept-Language", "de-DE,de;q=0.9,en;q=0.8"},
    {"If-Range", "\"2bc00000-6955b900075bcd15\""},
    {"Range", "bytes=351043584-"},
};

// A received head and the views into it.
struct Received {
  std::string text;
  RequestHead head;

  explicit Received(const std::vector<Field>& fields) {
    text = "GET " + std::string(kTarget);
    std::vector<std::pair<std::size_t, const Field*>> at;
    for (const auto& field : fields) {
      at.emplace_back(text.size(), &field);
      text += std::string(field.name) + std::string(field.value);
    }
    const std::string_view all = text;
    head.start(all, all.substr(0, 3), all.substr(4, kTarget.size()), 11);
    for (const auto& [offset, field] : at) {
      head.add(all.substr(offset, field->name.size()),
               all.substr(offset + field->name.size(), field->value.size()));
    }
  }
};

void decide(benchmark::State& state, const std::vector<Field>& fields) {
  const Received received(fields);
  const Validators current{"\"2bc00000-6955b900075bcd15\"", kNow - 1000};
  for (auto _ : state) {
    const auto request = check_request(received.head);
    benchmark::DoNotOptimize(evaluate_preconditions(received.head, request->method, current, kNow));
    const auto range = applicable_range(received.head, request->method, current, kNow);
    benchmark::DoNotOptimize(select_bytes(range, 734'003'200));
  }
  state.SetItemsProcessed(state.iterations());
}
void BM_HeadDecide_Curl(benchmark::State& state) {
  decide(state, kCurl);
}
void BM_HeadDecide_BrowserThatResumes(benchmark::State& state) {
  decide(state, kBrowserThatResumes);
}
BENCHMARK(BM_HeadDecide_Curl);
BENCHMARK(BM_HeadDecide_BrowserThatResumes);

void BM_HeadPrefersHtml_Browser(benchmark::State& state) {
  const Received received(kBrowserThatResumes);
  for (auto _ : state) benchmark::DoNotOptimize(prefers_html(received.head));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_HeadPrefersHtml_Browser);

void BM_DateFormat(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(format_date(kNow));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_DateFormat);

}  // namespace
}  // namespace tallygate::http
