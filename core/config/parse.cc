#include "core/config/parse.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "core/config/combination.h"
#include "core/config/declarations.h"
#include "core/config/document.h"
#include "core/config/nearest.h"

namespace tallygate::config {
namespace {

// A key as it may stand in a message: TOML allows anything in a quoted one.
std::string shown_key(std::string_view key) {
  const bool bare = std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
  return bare && !key.empty() && key.size() <= 64 ? std::string(key) : in_quotes(key);
}

std::vector<std::string_view> table_names() {
  std::vector<std::string_view> names;
  for (const auto& table : tables()) names.push_back(table.name);
  return names;
}

// Of all tables if `table` is empty.
std::vector<std::string_view> keys_of(std::string_view table) {
  std::vector<std::string_view> keys;
  for (const auto& declaration : declarations()) {
    if (table.empty() || declaration.table == table) keys.push_back(declaration.key);
  }
  return keys;
}

// "[server], [admin] or [tls]": the tables that have the key.
std::string tables_with(std::string_view key) {
  std::vector<std::string> names;
  for (const auto& declaration : declarations()) {
    if (declaration.key == key) names.push_back(fmt::format("[{}]", declaration.table));
  }
  return fmt::format("{}", fmt::join(names, " or "));
}

// One pass over one file.
class Reader {
 public:
  explicit Reader(std::string_view file_name) : file_name_(file_name) {}

  Parsed read(const Document& document) {
    for (const auto& section : document.sections) read_section(section);
    check_required();
    for (const auto& clash : find_clashes(parsed_.settings)) {
      if (!misread(clash.name)) complain(line(clash.name), clash.name, clash.wrong.what);
    }
    std::stable_sort(parsed_.mistakes.begin(), parsed_.mistakes.end(),
                     [](const Mistake& a, const Mistake& b) { return a.line < b.line; });
    return std::move(parsed_);
  }

  Parsed refuse(std::uint32_t line, std::string message) {
    parsed_.mistakes.push_back({std::string(file_name_), line, std::move(message)});
    return std::move(parsed_);
  }

 private:
  struct Written {
    std::uint32_t line;
    bool misread = false;  // a mistake was found in it, so that its value is not known
  };

  void complain(std::uint32_t line, std::string_view name, std::string_view what) {
    parsed_.mistakes.push_back({std::string(file_name_), line, fmt::format("{}: {}", name, what)});
  }

  void read_section(const Document::Section& section) {
    const auto names = table_names();
    std::string_view name = section.name;
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      const auto homes = tables_with(name);
      if (!section.is_table && !homes.empty()) {
        misread_everywhere(name, section.line);
        return complain(section.line, name,
                        fmt::format("stands in no table; it belongs below {}", homes));
      }
      const auto meant = nearest(name, names);
      complain(section.line, fmt::format("[{}]", shown_key(name)),
               meant ? fmt::format("no such table; did you mean [{}]?", *meant)
                     : fmt::format("no such table; there are [{}]", fmt::join(names, "], [")));
      if (!meant) return;
      name = *meant;  // and go on, since there may be more to say about what it holds
    }
    written_.insert({std::string(name), {section.line}});
    if (!section.is_table) {
      misread_table(name, section.line);
      return complain(section.line, name,
                      fmt::format("must be a table: write [{}] on a line of its own", name));
    }
    for (const auto& setting : section.settings) read_setting(name, setting);
  }

  void read_setting(std::string_view table, const Document::Setting& setting) {
    const auto* declaration = find_declaration(fmt::format("{}.{}", table, setting.key));
    if (declaration == nullptr) declaration = explain_unknown(table, setting.key, setting.line);
    if (declaration == nullptr) return;
    const auto problems = config::read(declaration->rule, setting.value, parsed_.settings);
    const auto name = full_name(*declaration);
    written_.insert({name, {setting.line, !problems.empty()}});
    for (const auto& problem : problems) complain(problem.line, name, problem.wrong.what);
  }

  // Returns the setting of the same table that was probably meant, so that its value is looked at.
  const Declaration* explain_unknown(std::string_view table, std::string_view key,
                                     std::uint32_t at) {
    const auto name = fmt::format("{}.{}", table, shown_key(key));
    if (const auto meant = nearest(key, keys_of(table))) {
      complain(at, name, fmt::format("no such setting; did you mean \"{}\"?", *meant));
      return find_declaration(fmt::format("{}.{}", table, *meant));
    }
    if (const auto homes = tables_with(key); !homes.empty()) {
      misread_everywhere(key, at);
      complain(at, name, fmt::format("no such setting here; \"{}\" belongs below {}", key, homes));
    } else if (const auto elsewhere = nearest(key, keys_of({}))) {
      misread_everywhere(*elsewhere, at);
      complain(at, name,
               fmt::format("no such setting; did you mean \"{}\" below {}?", *elsewhere,
                           tables_with(*elsewhere)));
    } else {
      complain(at, name,
               fmt::format("no such setting; [{}] has {}", table, fmt::join(keys_of(table), ", ")));
    }
    return nullptr;
  }

  // What was written in the wrong place is not missing besides.
  void misread_everywhere(std::string_view key, std::uint32_t at) {
    for (const auto& declaration : declarations()) {
      if (declaration.key == key) written_.insert({full_name(declaration), {at, true}});
    }
  }
  void misread_table(std::string_view table, std::uint32_t at) {
    for (const auto key : keys_of(table)) {
      written_.insert({fmt::format("{}.{}", table, key), {at, true}});
    }
  }

  void check_required() {
    for (const auto& table : tables()) {
      const bool in_use = !table.optional || written_.contains(table.name);
      if (!in_use) continue;
      for (const auto& declaration : declarations()) {
        if (declaration.table != table.name || declaration.presence != Presence::required) continue;
        const auto name = full_name(declaration);
        const bool empty = is_default(declaration, parsed_.settings);
        if (empty && !misread(name)) {
          complain(line(name), name,
                   fmt::format("is missing; for instance, below [{}]: {} = {}", table.name,
                               declaration.key, example_text(declaration.rule)));
        }
      }
    }
  }

  [[nodiscard]] bool misread(std::string_view name) const {
    const auto found = written_.find(name);
    return found != written_.end() && found->second.misread;
  }

  // Where to point at for a setting: at itself, else at its table, else at the beginning.
  [[nodiscard]] std::uint32_t line(std::string_view name) const {
    for (const auto where : {name, name.substr(0, name.find('.'))}) {
      const auto found = written_.find(where);
      if (found != written_.end()) return found->second.line;
    }
    return 1;
  }

  std::string_view file_name_;
  Parsed parsed_;
  // Tables and settings (by full name) that were found in the file.
  std::map<std::string, Written, std::less<>> written_;
};

}  // namespace

std::string Mistake::text() const {
  return fmt::format("{}:{}: {}", file, line, message);
}

Parsed parse_settings(std::string_view toml_text, std::string_view file_name) {
  Reader reader(file_name);
  const auto document = parse_document(toml_text);
  if (!document) {
    return reader.refuse(document.error().line, document.error().description);
  }
  return reader.read(*document);
}

}  // namespace tallygate::config
