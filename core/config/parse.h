// Reads the settings from the text of their TOML file.
//
// Pure: opens nothing. What only the machine knows -- whether content.root is there, the keyring
// readable, a port free -- is for the server to find out.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/settings.h"

namespace tallygate::config {

struct Mistake {
  std::string file;
  std::uint32_t line = 0;  // from 1; of something missing, where its table begins, else 1
  std::string message;

  // "tallygate.toml:3: server.threads: must be a whole number, not a list"
  [[nodiscard]] std::string text() const;
};

struct Parsed {
  Settings settings;              // of use only without mistakes
  std::vector<Mistake> mistakes;  // all there are, in the order of lines
};

// `file_name` is for the messages only. A text that is not TOML (or not UTF-8) has one mistake, the
// first, since what follows cannot be told; of everything else, all mistakes are found at once.
[[nodiscard]] Parsed parse_settings(std::string_view toml_text, std::string_view file_name);

}  // namespace tallygate::config
