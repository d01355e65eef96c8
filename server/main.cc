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
  CLI::App app("A download edge for shops: signed links, exact counts, resumable files.",
               "tallygate");
  app.set_version_flag("--version", TALLYGATE_VERSION);
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "help of every command");
  int exit_code = kDone;
  try {
    add_serve(app, exit_code);
    add_reload(app, exit_code);
    add_link_commands(app, exit_code);
    add_links(app, exit_code);
    add_ledger_commands(app, exit_code);
    add_shop_commands(app, exit_code);
    add_demo(app, exit_code);
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11 would only say that a command is missing, not that the word given is none.
    const auto unknown = app.remaining(true);
    if (error.get_name() == "RequiredError" && !unknown.empty()) {
      fmt::print(stderr, "tallygate: {}: no such command or option; see --help\n", unknown.front());
      return kUsage;
    }
    return app.exit(error) == 0 ? kDone : kUsage;
  } catch (const std::exception& error) {
    fmt::print(stderr, "tallygate: {}\n", error.what());
    return kFailed;
  }
  return exit_code;
}
