#include "core/http/precondition.h"

#include <optional>

#include "core/http/date.h"
#include "core/http/etag.h"

namespace tallygate::http {
namespace {

// Whether any line of the list has the current tag. "*" must be the only member of all lines.
bool has_current_tag(const RequestHead& head, std::string_view name, const EntityTag& current,
                     Comparison how) {
  bool found = false;
  bool malformed = false;
  bool any = false;
  head.each(name, [&](std::string_view line) {
    const auto match = match_tag_list(line, current, how);
    found = found || match == TagListMatch::some;
    any = any || match == TagListMatch::any;
    malformed = malformed || match == TagListMatch::malformed;
  });
  if (any) return head.count(name) == 1;
  return found && !malformed;
}

std::optional<std::int64_t> date_of(const RequestHead& head, std::string_view name,
                                    std::int64_t now) {
  const auto value = head.find_only(name);
  return value ? parse_date(*value, now) : std::nullopt;
}

bool if_range_holds(std::string_view value, const Validators& current, std::int64_t now) {
  auto rest = value;
  if (const auto tag = take_entity_tag(rest)) {
    return rest.empty() && matches(*tag, {current.etag, false}, Comparison::strong);
  }
  const bool is_strong = current.last_modified < now;
  return is_strong && parse_date(value, now) == current.last_modified;
}

}  // namespace

Precondition evaluate_preconditions(const RequestHead& head, Method method,
                                    const Validators& current, std::int64_t now) noexcept {
  if (method == Method::options) return Precondition::proceed;  // §13.2.1: selects nothing
  const EntityTag tag{current.etag, false};

  if (head.count("If-Match") > 0) {
    if (!has_current_tag(head, "If-Match", tag, Comparison::strong)) return Precondition::failed;
  } else if (const auto since = date_of(head, "If-Unmodified-Since", now)) {
    if (current.last_modified > *since) return Precondition::failed;
  }

  if (head.count("If-None-Match") > 0) {
    if (has_current_tag(head, "If-None-Match", tag, Comparison::weak)) {
      return Precondition::not_modified;
    }
  } else if (const auto since = date_of(head, "If-Modified-Since", now)) {
    if (current.last_modified <= *since) return Precondition::not_modified;
  }
  return Precondition::proceed;
}

std::string_view applicable_range(const RequestHead& head, Method method, const Validators& current,
                                  std::int64_t now) noexcept {
  if (method != Method::get) return {};  // §14.2
  const auto range = head.find_only("Range");
  if (!range) return {};
  if (head.count("If-Range") > 0) {
    const auto value = head.find_only("If-Range");
    if (!value || !if_range_holds(*value, current, now)) return {};
  }
  return *range;
}

}  // namespace tallygate::http
