// The commands, each with its options. All end with one of the codes in exit_code.h; results go to
// standard output, messages to standard error.
#pragma once
#include <memory>

namespace CLI {
class App;
}

namespace tallygate::command {

// The whole command line, in the order in which the help shows it; the manual and the completion
// for bash are made from it as well. `exit_code` must outlive it.
[[nodiscard]] std::unique_ptr<CLI::App> make_command_line(int& exit_code);

// Each adds its commands to `app`; the one that is chosen runs while the command line is parsed,
// and writes its exit code to `exit_code`.
void add_serve(CLI::App& app, int& exit_code);  // serve, check
void add_reload(CLI::App& app, int& exit_code);
void add_link_commands(CLI::App& app, int& exit_code);    // keygen, sign, verify
void add_links(CLI::App& app, int& exit_code);            // links show|set|revoke|restore|reset
void add_ledger_commands(CLI::App& app, int& exit_code);  // ledger check, export, …
void add_shop_commands(CLI::App& app, int& exit_code);    // shop init|status
void add_top(CLI::App& app, int& exit_code);
void add_demo(CLI::App& app, int& exit_code);

}  // namespace tallygate::command
