#include "server/command/terminal.h"

#include <langinfo.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <clocale>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace tallygate::command {
namespace {

constexpr std::string_view kBegin = "\x1b[?1049h\x1b[?25l\x1b[2J";
constexpr std::string_view kEnd = "\x1b[?25h\x1b[?1049l";

// All of it, or as much as the terminal takes: there is nobody to tell.
void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

std::string_view colour_of(top::Tone tone) {
  static constexpr std::array<std::string_view, 6> kColours{"",         "\x1b[1m",    "\x1b[1;32m",
                                                            "\x1b[33m", "\x1b[1;31m", "\x1b[2m"};
  return kColours[static_cast<std::size_t>(tone)];
}

}  // namespace

bool Terminal::is_there() {
  return ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1;
}

top::Glyphs Terminal::glyphs() {
  std::setlocale(LC_CTYPE, "");
  const bool unicode = std::strcmp(::nl_langinfo(CODESET), "UTF-8") == 0;
  std::setlocale(LC_CTYPE, "C");
  return unicode ? top::Glyphs::unicode : top::Glyphs::ascii;
}

Terminal::Terminal() : in_colour_(std::getenv("NO_COLOR") == nullptr) {
  if (::tcgetattr(STDIN_FILENO, &before_) == 0) {
    termios raw = before_;
    // Ctrl-C is a key too; what interrupts otherwise comes as a signal.
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG | IEXTEN);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    ::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  }
  write_all(kBegin);
}

Terminal::~Terminal() {
  write_all(kEnd);
  ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

top::Size Terminal::size() const {
  winsize window{};
  const bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0;
  if (!known || window.ws_col == 0 || window.ws_row == 0) return {80, 24};
  return {window.ws_col, window.ws_row};
}

void Terminal::show(const std::vector<top::Line>& lines) {
  std::string out = "\x1b[H";
  bool first = true;
  for (const top::Line& line : lines) {
    if (!first) out += "\r\n";
    first = false;
    const std::string_view colour = in_colour_ ? colour_of(line.tone) : "";
    out.append(colour).append(line.text);
    if (!colour.empty()) out += "\x1b[0m";
    out += "\x1b[K";
  }
  write_all(out += "\x1b[J");
}

std::string Terminal::read_keys() {
  std::array<char, 64> keys{};
  ssize_t got = 0;
  do {
    got = ::read(STDIN_FILENO, keys.data(), keys.size());
  } while (got < 0 && errno == EINTR);
  return got <= 0 ? std::string() : std::string(keys.data(), static_cast<std::size_t>(got));
}

}  // namespace tallygate::command
