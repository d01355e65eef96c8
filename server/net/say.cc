#include "server/net/say.h"

#include <fmt/format.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <utility>

namespace tallygate {
namespace {

std::mutex one_at_a_time;  // guards what follows, once nothing is waited for
bool may_drop = false;
std::uint64_t dropped = 0;

// Whether a line would go out at once. A pipe is writable when it has room for PIPE_BUF bytes.
bool takes_a_line() {
  pollfd standard_error{STDERR_FILENO, POLLOUT, 0};
  return ::poll(&standard_error, 1, 0) != 0;
}

void write_line(const std::string& line) {
  std::fwrite(line.data(), 1, line.size(), stderr);
}

void print(Severity severity, std::string_view prefix, std::string_view text) {
  static const bool to_journal = is_journal(STDERR_FILENO, std::getenv("JOURNAL_STREAM"));
  std::string line = said_line(severity, prefix, text, to_journal);
  const std::lock_guard lock(one_at_a_time);
  if (!may_drop) return write_line(line);
  if (line.size() > PIPE_BUF) line.replace(PIPE_BUF - 1, std::string::npos, "\n");
  if (!takes_a_line()) {
    ++dropped;
    return;
  }
  if (dropped != 0) {
    write_line(said_line(Severity::warning, "tallygate: ",
                         fmt::format("{} lines are missing here", std::exchange(dropped, 0)),
                         to_journal));
    if (!takes_a_line()) {
      ++dropped;
      return;
    }
  }
  write_line(line);
}

}  // namespace

void say(Severity severity, std::string_view text) {
  print(severity, "tallygate: ", text);
}

void say_or_drop() {
  const std::lock_guard lock(one_at_a_time);
  may_drop = true;
}

void say_of_file(Severity severity, std::string_view text) {
  print(severity, "", text);
}

std::string said_line(Severity severity, std::string_view prefix, std::string_view text,
                      bool to_journal) {
  std::string line =
      to_journal ? fmt::format("<{}>", static_cast<int>(severity)) : std::string(prefix);
  const auto begin = line.size();
  line += text;
  std::replace_if(
      line.begin() + static_cast<std::ptrdiff_t>(begin), line.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return line + '\n';
}

bool is_journal(int descriptor, const char* journal_stream) {
  struct stat status {};
  return journal_stream != nullptr && ::fstat(descriptor, &status) == 0 &&
         journal_stream == fmt::format("{}:{}", status.st_dev, status.st_ino);
}

}  // namespace tallygate
