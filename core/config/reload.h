// What a reload makes of settings that were changed.
#pragma once
#include <string>
#include <vector>

#include "core/config/settings.h"

namespace tallygate::config {

// Names of the settings in which the two differ and that a reload cannot change, in the order of
// the declarations. Whether HTTPS is served at all is one of them: tls.listen.
[[nodiscard]] std::vector<std::string> needing_restart(const Settings& running,
                                                       const Settings& wanted);

// What is in force after a reload: `wanted`, but for those settings, which stay as they are.
[[nodiscard]] Settings after_reload(const Settings& running, const Settings& wanted);

}  // namespace tallygate::config
