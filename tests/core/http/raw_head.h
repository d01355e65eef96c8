// A RequestHead made from its text, for tests: "GET /a HTTP/1.1\nHost: x\n". It only splits lines
// and trims values, as a parser would that has no opinion of its own.
#pragma once
#include <string>
#include <string_view>

#include "core/http/request_head.h"

namespace tallygate::http {

class RawHead {
 public:
  explicit RawHead(std::string text) : text_(std::move(text)) {
    std::string_view rest = text_;
    const auto line = take_line(rest);
    const auto first = line.find(' ');
    const auto second = line.rfind(' ');
    const auto version = line.substr(second + 1);  // HTTP/1.1
    head_.start(text_, line.substr(0, first), line.substr(first + 1, second - first - 1),
                static_cast<unsigned>((version.at(5) - '0') * 10 + (version.at(7) - '0')));
    while (!rest.empty()) {
      const auto field = take_line(rest);
      const auto colon = field.find(':');
      head_.add(field.substr(0, colon), trimmed(field.substr(colon + 1)));
    }
  }
  RawHead(const RawHead&) = delete;
  RawHead& operator=(const RawHead&) = delete;

  RequestHead& operator*() { return head_; }
  RequestHead* operator->() { return &head_; }

 private:
  static std::string_view take_line(std::string_view& rest) {
    const auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    return line;
  }
  // Unlike trim, never a view of nothing: an empty value still lies in the buffer.
  static std::string_view trimmed(std::string_view value) {
    while (value.starts_with(' ')) value.remove_prefix(1);
    while (value.ends_with(' ')) value.remove_suffix(1);
    return value;
  }

  std::string text_;
  RequestHead head_;
};

// A GET over HTTP/1.1 with one more field or several, each ending in "\n".
inline std::string get_with(std::string_view fields) {
  return "GET /a HTTP/1.1\nHost: dl.example\n" + std::string(fields);
}

}  // namespace tallygate::http
