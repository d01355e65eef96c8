// Whether a conditional request goes ahead (RFC 9110 §13), and whether its Range counts.
//
// For a file that exists; asked before anything is counted. Callable from any thread.
#pragma once
#include <cstdint>
#include <string_view>

#include "core/http/request_check.h"
#include "core/http/request_head.h"

namespace tallygate::http {

// What identifies the version of the file that would be sent.
struct Validators {
  std::string_view etag;           // strong, with its quotes
  std::int64_t last_modified = 0;  // unix seconds, as sent in Last-Modified: never after now
};

enum class Precondition : std::uint8_t {
  proceed,
  not_modified,  // 304
  failed,        // 412
};

// If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since in their order of precedence
// (§13.2.2). A field with an invalid date is ignored; an invalid list of tags matches nothing,
// which is the careful answer both times: 412 for If-Match, the file itself for If-None-Match.
[[nodiscard]] Precondition evaluate_preconditions(const RequestHead& head, Method method,
                                                  const Validators& current,
                                                  std::int64_t now) noexcept;

// The value of Range, if it is to be honoured: on GET, given once, and If-Range (§13.1.5) does not
// speak against it. If-Range holds for the current strong tag, byte for byte, or for exactly the
// date of Last-Modified once that is strong, a second old (§8.8.2.2): before, the file may change
// again within the second that the date names. Empty otherwise.
[[nodiscard]] std::string_view applicable_range(const RequestHead& head, Method method,
                                                const Validators& current,
                                                std::int64_t now) noexcept;

}  // namespace tallygate::http
