#include "server/command/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

namespace tallygate::command {
namespace {

constexpr std::chrono::milliseconds kEvery{100};

// 1,200,000
std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, ",");
  return text;
}

}  // namespace

Progress::Progress() : is_terminal_(::isatty(STDERR_FILENO) == 1) {}

void Progress::bytes(std::string_view what, std::uint64_t done, std::uint64_t total) {
  if (!is_due(what)) return;
  const std::uint64_t percent = total == 0 ? 100 : done * 100 / total;
  show(fmt::format("{}: {} % of {} MiB", what, percent, grouped(total >> 20)));
}

void Progress::count(std::string_view what, std::uint64_t number, std::string_view unit) {
  if (is_due(what)) show(fmt::format("{}: {} {}", what, grouped(number), unit));
}

void Progress::step(std::string_view what) {
  if (is_due(what)) show(std::string(what));
}

void Progress::end() {
  if (what_.empty()) return;
  what_.clear();
  fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
}

// What is new is shown at once.
bool Progress::is_due(std::string_view what) {
  if (!is_terminal_) return false;
  const auto now = std::chrono::steady_clock::now();
  if (what == what_ && now < next_at_) return false;
  next_at_ = now + kEvery;
  what_ = what;
  return true;
}

// The cursor goes back, so that what others have to say stands on a line of its own.
void Progress::show(const std::string& line) {
  fmt::print(stderr, "\r\x1b[K{}\r", line);
  std::fflush(stderr);
}

}  // namespace tallygate::command
