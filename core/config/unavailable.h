// What is declared, so that files written for it are understood, but not in this version.
//
// The one list of it: whoever builds such a thing deletes its line.
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "core/config/settings.h"

namespace tallygate::config {

struct Unavailable {
  std::string_view name;     // a setting ("admin.listen") or a whole table ("shop")
  std::string_view values;   // which of its values; empty: every one but the default
  std::string_view instead;  // what to do for the time being
  // nullptr: whenever the setting differs from its default, or the table is there.
  bool (*asked_for)(const Settings&) = nullptr;
};

[[nodiscard]] std::span<const Unavailable> unavailable();

// The entry of that setting or table, else nullptr.
[[nodiscard]] const Unavailable* find_unavailable(std::string_view name);

// "is not available in this version; …"
[[nodiscard]] std::string refusal(const Unavailable& entry);

}  // namespace tallygate::config
