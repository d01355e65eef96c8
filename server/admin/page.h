// The files of the live page and its login form (page/), as they are in the binary.
#pragma once
#include <span>
#include <string_view>

namespace tallygate::admin {

struct Asset {
  std::string_view path;  // where it is served: "/page.js"
  std::string_view content_type;
  std::string_view body;
};

[[nodiscard]] std::span<const Asset> page_assets();

// Stands in the login form, where a sentence about the last try belongs.
inline constexpr std::string_view kMistakeGoesHere = "<!--mistake-->";

}  // namespace tallygate::admin
