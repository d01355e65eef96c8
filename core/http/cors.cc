#include "core/http/cors.h"

#include <algorithm>
#include <utility>

namespace tallygate::http {

CorsPolicy::CorsPolicy(std::vector<std::string> origins)
    : origins_(std::move(origins)), any_(std::ranges::find(origins_, "*") != origins_.end()) {}

CorsGrant CorsPolicy::grant(std::optional<std::string_view> origin) const noexcept {
  if (any_) return {"*", false};
  if (origins_.empty()) return {};
  const auto found = origin ? std::ranges::find(origins_, *origin) : origins_.end();
  return {found == origins_.end() ? std::string_view() : std::string_view(*found), true};
}

}  // namespace tallygate::http
