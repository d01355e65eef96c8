// The list of all settings, from which parser, help text and example file follow.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/config/rule.h"

namespace tallygate::config {

// When a changed setting takes effect.
enum class Applies : std::uint8_t { at_reload, at_restart };

enum class Presence : std::uint8_t {
  optional,
  required,  // where its table is in use: always, unless the table is optional
};

struct Declaration {
  std::string_view table;
  std::string_view key;
  Rule rule;
  Applies applies;
  Presence presence;
  std::string_view sentence;
};

struct Table {
  std::string_view name;
  bool optional;  // a part of tallygate that is off unless the table is there
  std::string_view sentence;
};

// In the order in which they are shown; the settings of one table stand together.
[[nodiscard]] std::span<const Declaration> declarations();
[[nodiscard]] std::span<const Table> tables();

// "server.listen"
[[nodiscard]] std::string full_name(const Declaration& declaration);

// The declaration of that full name, else nullptr.
[[nodiscard]] const Declaration* find_declaration(std::string_view full_name);

// Whether the setting has the value in `settings` that it has if nobody sets it.
[[nodiscard]] bool is_default(const Declaration& declaration, const Settings& settings);

}  // namespace tallygate::config
