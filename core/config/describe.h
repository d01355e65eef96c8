// What the declarations say of the settings, for people to read.
#pragma once
#include <string>
#include <vector>

#include "core/config/settings.h"

namespace tallygate::config {

// For --help: name, default, what it does and takes, of every setting.
[[nodiscard]] std::string settings_help();

// conf/tallygate.toml: every setting at its default, with bounds and sentence. It needs
// content.root and links.keyring, which have no default; optional tables are commented out, and one
// `#` taken from the beginning of each of their lines puts them in.
[[nodiscard]] std::string example_toml();

// Names of the settings in which the two differ and that a reload cannot change.
[[nodiscard]] std::vector<std::string> needing_restart(const Settings& running,
                                                       const Settings& wanted);

}  // namespace tallygate::config
