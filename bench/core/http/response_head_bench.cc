// What does writing the head of an answer cost?
//
// A small file is answered in 6 to 8 µs, most of it the kernel's. A head beyond 300 ns would call
// for keeping the part that only the file decides, made when it is opened.
#include <benchmark/benchmark.h>

#include <array>
#include <span>

#include "core/http/content_disposition.h"
#include "core/http/date.h"
#include "core/http/response_head.h"

namespace tallygate::http {
namespace {

constexpr std::int64_t kNow = 1'767'225'600;

// A large file with a name that takes both forms of Content-Disposition.
struct Answer {
  DateText date = format_date(kNow);
  std::array<char, kContentDispositionBytesMax> buffer{};
  std::string_view disposition =
      write_content_disposition(buffer, Disposition::attachment, "Größe XL.flac");
  Common common{.date = date.view(), .cors = {}};
  Representation file{.size = 734'003'200,
                      .etag = "\"2bc00000-6955b900075bcd15\"",
                      .last_modified = date.view(),
                      .content_type = "audio/flac",
                      .content_disposition = disposition};
};

// `write_head` writes one into the buffer that it is given and returns it.
void write(benchmark::State& state, auto write_head) {
  const Answer answer;
  std::array<char, kResponseHeadBytesMax> out{};
  std::int64_t bytes = 0;
  for (auto _ : state) {
    const std::string_view head = write_head(out, answer);
    if (head.empty()) state.SkipWithError("the head does not fit");
    benchmark::DoNotOptimize(head.data());
    benchmark::ClobberMemory();
    bytes += static_cast<std::int64_t>(head.size());
  }
  state.SetItemsProcessed(state.iterations());
  state.SetBytesProcessed(bytes);
}

void BM_HeadWrite_Whole(benchmark::State& state) {
  write(state, [](std::span<char> out, const Answer& answer) {
    return write_whole(out, answer.common, answer.file);
  });
}
BENCHMARK(BM_HeadWrite_Whole);

void BM_HeadWrite_Range(benchmark::State& state) {
  write(state, [](std::span<char> out, const Answer& answer) {
    return write_range(out, answer.common, answer.file, {351'043'584, 734'003'200});
  });
}
BENCHMARK(BM_HeadWrite_Range);

// Asked for by a site's own script.
void BM_HeadWrite_RangeWithCors(benchmark::State& state) {
  write(state, [](std::span<char> out, const Answer& answer) {
    Common common = answer.common;
    common.cors = {"https://shop.example", true};
    return write_range(out, common, answer.file, {351'043'584, 734'003'200});
  });
}
BENCHMARK(BM_HeadWrite_RangeWithCors);

void BM_HeadWrite_NotModified(benchmark::State& state) {
  write(state, [](std::span<char> out, const Answer& answer) {
    return write_not_modified(out, answer.common, answer.file);
  });
}
BENCHMARK(BM_HeadWrite_NotModified);

// What a flood of forged links gets.
void BM_HeadWrite_Refusal(benchmark::State& state) {
  write(state, [](std::span<char> out, const Answer& answer) {
    return write_problem(out, answer.common, Problem::link_invalid, ProblemForm::json, 180);
  });
}
BENCHMARK(BM_HeadWrite_Refusal);

}  // namespace
}  // namespace tallygate::http
