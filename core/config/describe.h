// What the declarations say of the settings, for people to read.
#pragma once
#include <string>

namespace tallygate::config {

struct Declaration;

// One setting in words.
struct SettingText {
  std::string shown;            // its default in TOML; "(required)"
  std::string sentences;        // what it does, and what of it is not in this version
  std::string type_and_bounds;  // "Duration, 1s to 1h: reason."
};
[[nodiscard]] SettingText setting_text(const Declaration& declaration);

// For --help: name, default, what it does and takes, of every setting.
[[nodiscard]] std::string settings_help();

// conf/tallygate.toml: every setting at its default, with bounds and sentence. It needs
// content.root and links.keyring, which have no default; optional tables are commented out, and one
// `#` taken from the beginning of each of their lines puts them in.
[[nodiscard]] std::string example_toml();

}  // namespace tallygate::config
