#include "core/http/request_head.h"

#include <functional>

namespace tallygate::http {
namespace {

// Fields are kept as 16-bit places.
constexpr std::size_t kBufferBytesMax = 65535;

// std::less orders pointers of different objects too; `<` does not.
bool lies_within(std::string_view part, std::string_view whole) {
  constexpr std::less<const char*> before;
  return part.data() != nullptr && !before(part.data(), whole.data()) &&
         !before(whole.data() + whole.size(), part.data() + part.size());
}

// Whether the field spans lines. A parser that joins lines in memory of its own gives itself away
// by a value outside the buffer, but Boost.Beast does not join a continuation that is only white
// space.
bool is_folded(std::string_view name, std::string_view value, std::string_view received) {
  if (!lies_within(name, received) || !lies_within(value, received)) return true;
  const auto name_end = static_cast<std::size_t>(name.data() + name.size() - received.data());
  const auto value_end = static_cast<std::size_t>(value.data() + value.size() - received.data());
  const auto line_end = received.find('\n', name_end);
  if (line_end == std::string_view::npos) return false;
  const auto next_line = received.substr(line_end + 1);
  return line_end < value_end || next_line.starts_with(' ') || next_line.starts_with('\t');
}

}  // namespace

void RequestHead::start(std::string_view received, std::string_view method, std::string_view target,
                        unsigned version) noexcept {
  received_ = received;
  method_ = method;
  target_ = target;
  version_ = version;
  size_ = 0;
  seen_ = 0;
  folded_ = false;
  too_many_ = false;
}

void RequestHead::add(std::string_view name, std::string_view value) noexcept {
  if (is_folded(name, value, received_)) {
    folded_ = true;
  } else if (size_ == fields_.size() || received_.size() > kBufferBytesMax) {
    too_many_ = true;
  } else {
    const auto place = [&](std::string_view text) {
      return static_cast<std::uint16_t>(text.data() - received_.data());
    };
    fields_[size_++] = {place(name), static_cast<std::uint16_t>(name.size()), place(value),
                        static_cast<std::uint16_t>(value.size())};
    seen_ |= mark(name);
  }
}

std::size_t RequestHead::count(std::string_view name) const noexcept {
  std::size_t lines = 0;
  each(name, [&](std::string_view) { ++lines; });
  return lines;
}

std::optional<std::string_view> RequestHead::find(std::string_view name) const noexcept {
  if ((seen_ & mark(name)) == 0) return std::nullopt;
  for (std::size_t i = 0; i < size_; ++i) {
    if (equal_ignoring_case(name_of(fields_[i]), name)) return value_of(fields_[i]);
  }
  return std::nullopt;
}

std::optional<std::string_view> RequestHead::find_only(std::string_view name) const noexcept {
  return count(name) == 1 ? find(name) : std::nullopt;
}

bool RequestHead::lists(std::string_view name, std::string_view member) const noexcept {
  bool found = false;
  each(name, [&](std::string_view line) {
    while (const auto next = next_list_member(line)) {
      found = found || equal_ignoring_case(*next, member);
    }
  });
  return found;
}

}  // namespace tallygate::http
