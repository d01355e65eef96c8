// Settings files for tests: everything required, and one line of the test's own.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "core/config/declarations.h"
#include "core/config/parse.h"

namespace tallygate::config {

// A file with what all available tables require (with its example value) and, below [table],
// `line`, which takes the place of a required setting named `key`.
inline std::string file_with(std::string_view table, std::string_view line,
                             std::string_view key = {}) {
  std::string out;
  for (const auto& declared : tables()) {
    const bool its_own = declared.name == table;
    out += "[" + std::string(declared.name) + "]\n";
    for (const auto& setting : declarations()) {
      if (setting.table != declared.name || setting.presence != Presence::required) continue;
      if (its_own && setting.key == key) continue;
      // Of the databases the one with which every other setting goes together.
      const bool is_shop = full_name(setting) == "shop.url";
      out += std::string(setting.key) + " = " +
             (is_shop ? "\"mysql://edge@db/shop\"" : example_text(setting.rule)) + "\n";
    }
    // What admin.listen needs beside it.
    if (declared.name == "admin" && !(its_own && key == "token_file")) {
      out += "token_file = \"/admin.token\"\n";
    }
    if (its_own) out += std::string(line) + "\n";
  }
  return out;
}

// What else must stand in its table for a setting to go together with the rest.
inline std::string companions(const Declaration& setting) {
  if (setting.key != "proxy_protocol") return {};
  return "trusted_proxies = [\"127.0.0.1\"]\n"
         "listen = [\"0.0.0.0:8080\", \"127.0.0.1:0\", \"[::1]:0\", \"127.0.0.1:80\"]\n";
}

inline std::string file_with(const Declaration& setting, std::string_view value) {
  return file_with(setting.table,
                   companions(setting) + std::string(setting.key) + " = " + std::string(value),
                   setting.key);
}

inline std::vector<std::string> messages(const Parsed& parsed) {
  std::vector<std::string> out;
  for (const auto& mistake : parsed.mistakes) out.push_back(mistake.message);
  return out;
}

}  // namespace tallygate::config
