// Writes tallygate.1, tallygate.toml.5 and the completion for bash into a folder; run by the build.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <exception>
#include <fstream>
#include <string>

#include "server/command/commands.h"
#include "server/manual/manual.h"

int main(int argc, char** argv) {
  using namespace tallygate;
  if (argc != 3) {
    fmt::print(stderr, "usage: tallygate_manual FOLDER DATE\n");
    return 64;
  }
  try {
    const std::string folder = argv[1];
    int exit_code = 0;
    const auto app = command::make_command_line(exit_code);
    const auto write = [&](const std::string& name, const std::string& text) {
      std::ofstream file(folder + "/" + name);
      file.exceptions(std::ofstream::failbit | std::ofstream::badbit);
      file << text << std::flush;
    };
    write("tallygate.1", manual::command_page(*app, argv[2]));
    write("tallygate.toml.5", manual::settings_page(argv[2]));
    write("tallygate.bash", manual::bash_completion(*app));
  } catch (const std::exception& error) {
    fmt::print(stderr, "tallygate_manual: {}\n", error.what());
    return 1;
  }
  return 0;
}
