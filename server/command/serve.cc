#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <chrono>
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
#include "server/command/service_manager.h"
#include "server/command/signals.h"
#include "server/net/handed_over.h"

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

// What the end takes at most behind drain_timeout, and some more: bytes that are on their way
// arrive, the journal is synced, the shop is told.
constexpr std::chrono::seconds kBehindDrain{20};

int serve(const std::string& file) {
  auto configuration = load_configuration(file, Purpose::serving);
  if (!configuration) {
    print_mistakes(configuration.error());
    return kSettings;
  }
  for (const std::string& line : configuration->warnings) {
    fmt::print(stderr, "tallygate: warning: {}\n", line);
  }
  auto handed_over = net::take_handed_over();
  if (!handed_over) {
    fmt::print(stderr, "tallygate: {}\n", handed_over.error());
    return kFailed;
  }
  Signals signals;  // before any thread, so that all of them leave the signals to us
  ServiceManager service_manager;
  auto app = Application::start(std::move(*configuration), system_clock(), std::move(*handed_over));
  if (!app) {
    fmt::print(stderr, "tallygate: {}\n", app.error());
    return kFailed;
  }
  for (const std::string& address : (*app)->addresses()) {
    fmt::print(stderr, "tallygate: serving on {}\n", address);
  }
  service_manager.ready(fmt::format("serving on {}", fmt::join((*app)->addresses(), ", ")),
                        [&app] { return (*app)->pulse(); });
  while (signals.wait() == Signals::Asked::reload) {
    service_manager.reloading();
    (*app)->reload([&service_manager](const net::Reloaded&) { service_manager.reloaded(); });
  }
  fmt::print(stderr, "tallygate: draining\n");
  service_manager.stopping("draining: running downloads finish, or go on later",
                           (*app)->policy()->settings.server.drain_timeout + kBehindDrain);
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
