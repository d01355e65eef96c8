// What there is to say of a command line.
#pragma once
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <vector>

namespace tallygate::manual {

// The commands below, not the groups of options, which CLI11 keeps among them without a name.
[[nodiscard]] inline std::vector<const CLI::App*> commands_below(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* each) { return !each->get_name().empty(); });
}

// With those in groups.
[[nodiscard]] inline std::vector<const CLI::Option*> options_of(const CLI::App& app) {
  std::vector<const CLI::Option*> all = app.get_options();
  for (const CLI::App* group :
       app.get_subcommands([](const CLI::App* each) { return each->get_name().empty(); })) {
    for (const CLI::Option* option : options_of(*group)) {
      const bool is_help = option == group->get_help_ptr() || option == group->get_help_all_ptr();
      if (!is_help) all.push_back(option);
    }
  }
  return all;
}

}  // namespace tallygate::manual
