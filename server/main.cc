// The one binary: reads the command line and runs a command. What each thread may touch is said in
// server/README.md.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <exception>

#include "server/command/commands.h"
#include "server/command/exit_code.h"

int main(int argc, char** argv) {
  using namespace tallygate::command;
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
