// The one binary: reads the command line and runs a command. What each thread may touch is said in
// server/README.md.
#include <fcntl.h>
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdlib>
#include <exception>

#include "server/command/commands.h"
#include "server/command/exit_code.h"

namespace {

// A parent may have closed them. What is opened next would get their numbers, and what is meant for
// standard error would be written into the ledger.
void open_standard_streams() {
  for (int stream = 0; stream <= 2; ++stream) {
    if (::fcntl(stream, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) < 0) std::abort();
  }
}

}  // namespace

int main(int argc, char** argv) {
  using namespace tallygate::command;
  open_standard_streams();
  int exit_code = kDone;
  try {
    const auto app = make_command_line(exit_code);
    try {
      app->parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      // CLI11 would only say that a command is missing, not that the word given is none.
      const auto unknown = app->remaining(true);
      if (error.get_name() == "RequiredError" && !unknown.empty()) {
        fmt::print(stderr, "tallygate: {}: no such command or option; see --help\n",
                   unknown.front());
        return kUsage;
      }
      return app->exit(error) == 0 ? kDone : kUsage;
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "tallygate: {}\n", error.what());
    return kFailed;
  }
  return exit_code;
}
