// Reads one request head out of a connection's receive buffer.
//
// Boost.Beast's basic_parser does the grammar; the result is views into the buffer, and nothing is
// allocated. What Beast lets through is checked after it, in core/http/request_check.h.
#pragma once
#include <cstdint>
#include <string_view>

#include "core/http/request_head.h"
#include "core/http/status.h"

namespace tallygate::http {

// Of a whole head, request line included. Signed URLs have a few hundred bytes; a target may have
// kTargetBytesMax, and the fields as much again.
inline constexpr std::size_t kHeadBytesMax = 16 * 1024;

enum class HeadState : std::uint8_t { incomplete, complete, malformed };

struct ParsedHead {
  HeadState state = HeadState::incomplete;
  std::size_t bytes = 0;                // of the head, where complete
  Status status = Status::bad_request;  // where malformed: the answer
};

// Looks at all bytes received so far. `head` views `received` afterwards; `scanned` is how much of
// it an earlier call has seen (0 at first), so that a slow head is not read over and over.
[[nodiscard]] ParsedHead parse_head(std::string_view received, std::size_t& scanned,
                                    RequestHead& head);

}  // namespace tallygate::http
