#include "core/config/reload.h"

#include "core/config/declarations.h"

namespace tallygate::config {
namespace {

// Sockets are bound at the start: with the table comes or goes the first of its settings.
constexpr std::string_view kTlsSwitch = "tls.listen";

bool tls_is_switched(const Settings& running, const Settings& wanted) {
  return running.tls.is_on() != wanted.tls.is_on();
}

}  // namespace

std::vector<std::string> needing_restart(const Settings& running, const Settings& wanted) {
  std::vector<std::string> names;
  for (const auto& declaration : declarations()) {
    if (declaration.applies != Applies::at_restart) continue;
    auto name = full_name(declaration);
    const bool differs =
        toml_text(declaration.rule, running) != toml_text(declaration.rule, wanted);
    if (differs || (name == kTlsSwitch && tls_is_switched(running, wanted))) {
      names.push_back(std::move(name));
    }
  }
  return names;
}

Settings after_reload(const Settings& running, const Settings& wanted) {
  Settings settings = wanted;
  for (const auto& declaration : declarations()) {
    if (declaration.applies == Applies::at_restart) copy(declaration.rule, running, settings);
  }
  if (tls_is_switched(running, wanted)) settings.tls = running.tls;
  return settings;
}

}  // namespace tallygate::config
