// Says on a terminal how far long work has got: one line on standard error, written over and taken
// away in the end. Where standard error is no terminal, nothing is said.
//
// Use from one thread at a time. A call costs next to nothing where the line would not change, and
// it changes at most ten times a second.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace tallygate::command {

class Progress {
 public:
  Progress();
  ~Progress() { end(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // "checking: 42 % of 1,200 MiB"
  void bytes(std::string_view what, std::uint64_t done, std::uint64_t total);
  // "shop: first scan: 1,200,000 rows"
  void count(std::string_view what, std::uint64_t number, std::string_view unit);
  // "making tables in postgresql://…"
  void step(std::string_view what);
  // The line goes. There may be another after it.
  void end();

 private:
  bool is_due(std::string_view what);
  void show(const std::string& line);

  const bool is_terminal_;
  std::chrono::steady_clock::time_point next_at_{};
  std::string what_;  // shown last; empty: nothing is
};

}  // namespace tallygate::command
