#include "server/command/commands.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

namespace tallygate::command {

std::unique_ptr<CLI::App> make_command_line(int& exit_code) {
  auto app = std::make_unique<CLI::App>(
      "A download edge for shops: signed links, exact counts, resumable files.", "tallygate");
  app->set_version_flag("--version", TALLYGATE_VERSION);
  app->require_subcommand(1);
  app->set_help_all_flag("--help-all", "help of every command");
  add_serve(*app, exit_code);
  add_reload(*app, exit_code);
  add_link_commands(*app, exit_code);
  add_links(*app, exit_code);
  add_ledger_commands(*app, exit_code);
  add_shop_commands(*app, exit_code);
  add_top(*app, exit_code);
  add_demo(*app, exit_code);
  return app;
}

}  // namespace tallygate::command
