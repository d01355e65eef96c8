#include "core/http/syntax.h"

namespace tallygate::http {
namespace {

// Where the member that `list` begins with ends: at a comma outside quotes, or with the list.
std::size_t end_of_member(std::string_view list) {
  bool quoted = false;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i] == '"') quoted = !quoted;
    if (quoted && list[i] == '\\') ++i;
    if (!quoted && list[i] == ',') return i;
  }
  return list.size();
}

}  // namespace

std::optional<std::string_view> next_list_member(std::string_view& rest) noexcept {
  while (!rest.empty()) {
    const auto end = end_of_member(rest);
    const auto member = trim(rest.substr(0, end));
    rest.remove_prefix(end < rest.size() ? end + 1 : end);
    if (!member.empty()) return member;
  }
  return std::nullopt;
}

}  // namespace tallygate::http
