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
#include "server/net/memory_reserve.h"
#include "server/net/say.h"

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

void reopen_log(Application& app) {
  const auto reopened = app.reopen_log();
  if (reopened) {
    say(Severity::info, "access log reopened");
  } else {
    say(Severity::error, reopened.error() + ": the old one is written on");
  }
}

// What the end takes at most behind drain_timeout, and some more: bytes that are on their way
// arrive, the journal is synced, the shop is told.
constexpr std::chrono::seconds kBehindDrain{20};

// False: the new process did not come up, and this one serves on.
bool hand_over(Application& app, ServiceManager& service_manager, Signals& signals) {
  constexpr std::chrono::seconds kAtMost{60};
  say(Severity::info, "handing over: starting a new process");
  const auto deadline = std::chrono::steady_clock::now() + kAtMost;
  const auto process_id = app.hand_over(
      [&signals, deadline] {
        return !signals.stopped() && std::chrono::steady_clock::now() < deadline;
      },
      [&service_manager](pid_t process) { service_manager.handed_over(process); });
  if (!process_id) {
    say(Severity::error, "not handed over, serving on: " + process_id.error());
    return false;
  }
  say(Severity::info,
      fmt::format("handed over to process {}; finishing what is in flight", *process_id));
  app.drain(signals.at_once());
  say(Severity::info, "done");
  return true;
}

int serve(const std::string& file) {
  auto configuration = load_configuration(file, Purpose::serving);
  if (!configuration) {
    print_mistakes(configuration.error());
    return kSettings;
  }
  for (const std::string& line : configuration->warnings) {
    say(Severity::warning, "warning: " + line);
  }
  auto handed_over = net::take_handed_over();
  if (!handed_over) {
    say(Severity::error, handed_over.error());
    return kFailed;
  }
  net::keep_memory_reserve();
  auto predecessor = Predecessor::find();
  Signals signals;  // before any thread, so that all of them leave the signals to us
  ServiceManager service_manager;
  auto app = Application::start(
      std::move(*configuration), system_clock(), std::move(*handed_over),
      [&signals] { signals.ask_to_stop(); }, std::move(predecessor));
  if (!app) {
    say(Severity::error, app.error());
    return kFailed;
  }
  say_or_drop();
  for (const std::string& address : (*app)->addresses()) {
    say(Severity::info, "serving on " + address);
  }
  service_manager.ready(fmt::format("serving on {}", fmt::join((*app)->addresses(), ", ")),
                        [&app] { return (*app)->pulse(); });
  for (auto asked = signals.wait(); asked != Signals::Asked::stop; asked = signals.wait()) {
    if (asked == Signals::Asked::hand_over) {
      if (hand_over(**app, service_manager, signals)) return kDone;
    } else if (asked == Signals::Asked::reload) {
      service_manager.reloading();
      (*app)->reload([&service_manager](const net::Reloaded&) { service_manager.reloaded(); });
    } else {
      reopen_log(**app);
    }
  }
  say(Severity::info, "draining");
  service_manager.stopping("draining: running downloads finish, or go on later",
                           (*app)->policy()->settings.server.drain_timeout + kBehindDrain);
  (*app)->drain(signals.at_once());
  say(Severity::info, "done");
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
