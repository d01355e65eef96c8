#include "core/http/etag.h"

#include <algorithm>

#include "core/http/syntax.h"

namespace tallygate::http {
namespace {

// etagc: visible characters other than the quote, and obs-text. A backslash escapes nothing here.
bool is_tag_char(char c) {
  return static_cast<unsigned char>(c) > 0x20 && c != '"' && c != 0x7f;
}

}  // namespace

std::optional<EntityTag> take_entity_tag(std::string_view& text) noexcept {
  const bool weak = text.starts_with("W/");
  const auto tag = text.substr(weak ? 2 : 0);
  if (!tag.starts_with('"')) return std::nullopt;
  const auto close = tag.find('"', 1);
  if (close == std::string_view::npos) return std::nullopt;
  if (!std::ranges::all_of(tag.substr(1, close - 1), is_tag_char)) return std::nullopt;
  text = tag.substr(close + 1);
  return EntityTag{tag.substr(0, close + 1), weak};
}

bool matches(const EntityTag& a, const EntityTag& b, Comparison how) noexcept {
  return a.opaque == b.opaque && (how == Comparison::weak || (!a.weak && !b.weak));
}

TagListMatch match_tag_list(std::string_view line, const EntityTag& current,
                            Comparison how) noexcept {
  line = trim(line);
  if (line == "*") return TagListMatch::any;

  bool found = false;
  bool empty = true;
  while (!line.empty()) {
    if (!line.starts_with(',')) {
      const auto tag = take_entity_tag(line);
      if (!tag) return TagListMatch::malformed;
      empty = false;
      found = found || matches(*tag, current, how);
      line = trim(line);
      if (!line.empty() && !line.starts_with(',')) return TagListMatch::malformed;
    }
    if (!line.empty()) line = trim(line.substr(1));
  }
  if (empty) return TagListMatch::malformed;
  return found ? TagListMatch::some : TagListMatch::none;
}

}  // namespace tallygate::http
