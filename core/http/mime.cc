#include "core/http/mime.h"

#include <algorithm>
#include <array>

#include "core/http/mime_builtin.h"
#include "core/http/syntax.h"

namespace tallygate::http {
namespace {

constexpr std::size_t kExtensionBytesMax = 32;

std::string_view take_word(std::string_view& line) {
  constexpr std::string_view kSpace = " \t\r";
  line.remove_prefix(std::min(line.find_first_not_of(kSpace), line.size()));
  const auto word = line.substr(0, line.find_first_of(kSpace));
  line.remove_prefix(word.size());
  return word;
}

bool is_media_type(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos || text.size() > kMediaTypeBytesMax) return false;
  const auto is_token = [](std::string_view part) {
    return !part.empty() && std::ranges::all_of(part, is_token_char);
  };
  return is_token(text.substr(0, slash)) && is_token(text.substr(slash + 1));
}

}  // namespace

MediaTypes::MediaTypes(std::string_view mime_types) {
  add_lines(mime_types);
  add_lines(kBuiltinMediaTypes);
}

void MediaTypes::add_lines(std::string_view text) {
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    auto line = text.substr(0, end);
    line = line.substr(0, line.find('#'));
    text.remove_prefix(std::min(end + 1, text.size()));

    const auto type = take_word(line);
    if (!is_media_type(type)) continue;
    for (auto word = take_word(line); !word.empty(); word = take_word(line)) {
      std::string extension(word);
      std::ranges::transform(extension, extension.begin(), to_lower);
      by_extension_.emplace(std::move(extension), type);
    }
  }
}

std::string_view MediaTypes::type_of(std::string_view path) const noexcept {
  auto name = path.substr(path.rfind('/') + 1);
  // A dot in front hides a file; it begins no extension.
  auto dot = name.find('.', 1);
  while (dot != std::string_view::npos) {
    name.remove_prefix(dot + 1);
    if (name.size() <= kExtensionBytesMax) {
      std::array<char, kExtensionBytesMax> lower;
      std::ranges::transform(name, lower.begin(), to_lower);
      const auto found = by_extension_.find(std::string_view(lower.data(), name.size()));
      if (found != by_extension_.end()) return found->second;
    }
    dot = name.find('.');
  }
  return "application/octet-stream";
}

}  // namespace tallygate::http
