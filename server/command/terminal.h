// The terminal on standard output, taken over for a screen that is drawn again and again.
//
// While it lives: the other screen, no cursor, keys as they are pressed and not shown. Its end puts
// everything back. One at a time.
#pragma once
#include <termios.h>

#include <string>
#include <vector>

#include "server/top/screen.h"

namespace tallygate::command {

class Terminal {
 public:
  // Standard input and output are terminals.
  [[nodiscard]] static bool is_there();
  // What it can show, by the locale.
  [[nodiscard]] static top::Glyphs glyphs();

  Terminal();
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  [[nodiscard]] top::Size size() const;
  // In colour, unless NO_COLOR is set (no-color.org).
  void show(const std::vector<top::Line>& lines);
  // The keys that wait; empty: it has gone. Blocks if there are none.
  [[nodiscard]] std::string read_keys();

 private:
  termios before_{};
  const bool in_colour_;
};

}  // namespace tallygate::command
