#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "core/config/describe.h"
#include "server/command/application.h"
#include "server/command/commands.h"
#include "server/command/configuration.h"
#include "server/command/exit_code.h"
#include "server/command/signals.h"

namespace tallygate::command {
namespace {

int check(const std::string& file) {
  const auto configuration = load_configuration(file, Purpose::serving);
  if (!configuration) {
    print_mistakes(configuration.error());
    return kSettings;
  }
  print_mistakes(configuration->warnings);
  fmt::print(stderr, "{}: no mistakes\n", file);
  return kDone;
}

int serve(const std::string& file) {
  auto configuration = load_configuration(file, Purpose::serving);
  if (!configuration) {
    print_mistakes(configuration.error());
    return kSettings;
  }
  for (const std::string& line : configuration->warnings) {
    fmt::print(stderr, "tallygate: warning: {}\n", line);
  }
  Signals signals;  // before any thread, so that all of them leave the signals to us
  auto app = Application::start(std::move(*configuration), system_clock());
  if (!app) {
    fmt::print(stderr, "tallygate: {}\n", app.error());
    return kFailed;
  }
  for (const std::string& address : (*app)->addresses()) {
    fmt::print(stderr, "tallygate: serving on {}\n", address);
  }
  while (signals.wait() == Signals::Asked::reload) (*app)->reload({});
  fmt::print(stderr, "tallygate: draining\n");
  (*app)->drain(signals.at_once());
  fmt::print(stderr, "tallygate: done\n");
  return kDone;
}

}  // namespace

void add_serve(CLI::App& app, int& exit_code) {
  const auto file = std::make_shared<std::string>();
  CLI::App* serve_command = app.add_subcommand("serve", "serve downloads until SIGTERM");
  serve_command->add_option("--config", *file, "settings (TOML)")->required();
  serve_command->footer("Settings:\n\n" + config::settings_help());
  serve_command->callback([file, &exit_code] { exit_code = serve(*file); });

  CLI::App* check_command = app.add_subcommand(
      "check", "name every mistake in the settings, the keyring and the certificates at once");
  check_command->add_option("--config", *file, "settings (TOML)")->required();
  check_command->callback([file, &exit_code] { exit_code = check(*file); });
}

}  // namespace tallygate::command
