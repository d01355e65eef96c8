#include "server/net/say.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace tallygate {
namespace {

void print(Severity severity, std::string_view prefix, std::string_view text) {
  static const bool to_journal = is_journal(STDERR_FILENO, std::getenv("JOURNAL_STREAM"));
  const std::string line = said_line(severity, prefix, text, to_journal);
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace

void say(Severity severity, std::string_view text) {
  print(severity, "tallygate: ", text);
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
