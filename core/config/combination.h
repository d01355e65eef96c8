// What must be true of several settings together.
#pragma once
#include <string_view>
#include <vector>

#include "core/config/settings.h"
#include "core/config/wrong.h"

namespace tallygate::config {

struct Clash {
  std::string_view name;  // the setting to be named and pointed at, as in "links.authority"
  Wrong wrong;
};

// Paths are compared as they are spelt: links in the file system are not seen here.
[[nodiscard]] std::vector<Clash> find_clashes(const Settings& settings);

}  // namespace tallygate::config
