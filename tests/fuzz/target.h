// What all fuzz targets have: a body that is given any bytes, and REQUIRE.
//
//     TALLYGATE_FUZZ(range) { REQUIRE(…bytes…); }
//
// Built by run.sh, that is libFuzzer's entry. In the build of the tests it becomes a case that runs
// each file of corpus/range, and each beginning of it, through the same body. What fails ends the
// process and says with which input.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace tallygate::fuzz {

// Of a replay; empty under libFuzzer, which keeps the input by itself.
inline std::string current_input;

[[noreturn]] inline void not_so(const char* what, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
  if (!current_input.empty()) std::fprintf(stderr, "input: %s\n", current_input.c_str());
  std::abort();
}

// Takes the next line off `rest`, without its newline: inputs of several parts are lines, so that a
// corpus can be read.
inline std::string_view take_line(std::string_view& rest) {
  const auto line = rest.substr(0, rest.find('\n'));
  rest.remove_prefix(line.size() < rest.size() ? line.size() + 1 : rest.size());
  return line;
}

}  // namespace tallygate::fuzz

#define REQUIRE(holds) \
  (static_cast<bool>(holds) ? void(0) : ::tallygate::fuzz::not_so(#holds, __FILE__, __LINE__))

#ifdef TALLYGATE_REPLAY
#include "tests/fuzz/replay.h"
#else
#define TALLYGATE_FUZZ(name)                                                          \
  static void run_target(std::string_view input);                                     \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) { \
    run_target({reinterpret_cast<const char*>(data), size});                          \
    return 0;                                                                         \
  }                                                                                   \
  static void run_target(std::string_view input)
#endif
