// The manual pages and the completion for bash, from the declarations of the commands and the
// settings: what --help and `check` know is not written a second time.
#pragma once
#include <string>
#include <string_view>

namespace CLI {
class App;
}

namespace tallygate::manual {

// tallygate(1), in roff. `date` is that of the version, 2026-12-31.
[[nodiscard]] std::string command_page(const CLI::App& app, std::string_view date);

// tallygate.toml(5), in roff.
[[nodiscard]] std::string settings_page(std::string_view date);

// For /usr/share/bash-completion/completions/tallygate.
[[nodiscard]] std::string bash_completion(const CLI::App& app);

}  // namespace tallygate::manual
