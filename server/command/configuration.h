// Reads the settings and the keyring from their files, and checks what only the machine knows.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/config/settings.h"
#include "core/link/keyring.h"

namespace tallygate::command {

struct Configuration {
  config::Settings settings;
  std::unique_ptr<const link::Keyring> keyring;
};

// Every mistake at once, each a line for standard error ("file:line: message"). Nothing is changed
// on disk, and no port is opened.
[[nodiscard]] Result<Configuration, std::vector<std::string>> load_configuration(
    const std::string& file);

// The bytes of a small file. The error is its name and why.
[[nodiscard]] Result<std::string, std::vector<std::string>> read_file(const std::string& path);

// Prints the lines to standard error.
void print_mistakes(const std::vector<std::string>& mistakes);

}  // namespace tallygate::command
