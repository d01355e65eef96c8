#include "core/config/describe.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "core/config/declarations.h"

namespace tallygate::config {
namespace {

constexpr std::size_t kWidth = 98;

// Appends `text` in lines that begin with `prefix`.
void append_wrapped(std::string& out, std::string_view prefix, std::string_view text) {
  std::string line(prefix);
  while (!text.empty()) {
    const auto word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (line.size() + word.size() > kWidth && line.size() > prefix.size()) {
      line.pop_back();
      out += line + '\n';
      line = prefix;
    }
    line += word;
    line += ' ';
  }
  line.pop_back();
  out += line + '\n';
}

std::string capitalized(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 32);
  return text;
}

std::string sentences(const Declaration& declaration) {
  return fmt::format("{}{}", declaration.sentence,
                     declaration.applies == Applies::at_restart ? " Needs a restart." : "");
}

std::string type_and_bounds(const Declaration& declaration) {
  const auto why = reason(declaration.rule);
  return fmt::format("{}{}{}.{}", capitalized(type_text(declaration.rule)), why.empty() ? "" : ": ",
                     why, declaration.presence == Presence::required ? " Required." : "");
}

bool has_default(const Declaration& declaration) {
  const auto text = toml_text(declaration.rule, {});
  return text != "\"\"" && text != "[]";
}

std::string example_table(const Table& table) {
  auto out = fmt::format("[{}]\n", table.name);
  append_wrapped(out, "# ",
                 fmt::format("{}{}", table.sentence,
                             table.optional ? " Off unless this table is there." : ""));
  for (const auto& declaration : declarations()) {
    if (declaration.table != table.name) continue;
    out += '\n';
    append_wrapped(out, "# ", sentences(declaration));
    append_wrapped(out, "# ", type_and_bounds(declaration));
    const bool shows_default = has_default(declaration);
    // Whoever puts an optional table in needs what it requires at once.
    const bool in_effect =
        shows_default || (table.optional && declaration.presence == Presence::required);
    out += fmt::format(
        "{}{} = {}\n", in_effect ? "" : "#", declaration.key,
        shows_default ? toml_text(declaration.rule, {}) : example_text(declaration.rule));
  }
  return out;
}

std::string commented_out(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(line.size() + 1);
    out += line.empty() ? "\n" : fmt::format("#{}\n", line);
  }
  return out;
}

}  // namespace

SettingText setting_text(const Declaration& declaration) {
  return {
      declaration.presence == Presence::required ? "(required)" : toml_text(declaration.rule, {}),
      sentences(declaration), type_and_bounds(declaration)};
}

std::string settings_help() {
  std::string out =
      "Settings (TOML; durations are texts with unit: ms, s, m, h or d; read at the start)\n";
  for (const auto& table : tables()) {
    out += fmt::format("\n[{}]{}\n", table.name, table.optional ? " (optional)" : "");
    for (const auto& declaration : declarations()) {
      if (declaration.table != table.name) continue;
      out +=
          fmt::format("  {} = {}\n", declaration.key,
                      declaration.presence == Presence::required ? "(required)"
                                                                 : toml_text(declaration.rule, {}));
      append_wrapped(
          out, "      ",
          fmt::format("{} {}.", sentences(declaration), capitalized(type_text(declaration.rule))));
    }
  }
  return out;
}

std::string example_toml() {
  std::string out =
      "# The settings of tallygate, each at its default. What begins with #name = has none: the\n"
      "# value shown is an example. `tallygate check --config FILE` finds every mistake. They\n"
      "# are read when the server starts, and by `tallygate reload` or SIGHUP; what is marked so\n"
      "# needs a restart.\n"
      "#\n"
      "# Durations are texts with a unit: ms, s, m, h or d.\n";
  for (const auto& table : tables()) {
    const auto text = example_table(table);
    out += '\n';
    out += table.optional ? commented_out(text) : text;
  }
  return out;
}

}  // namespace tallygate::config
