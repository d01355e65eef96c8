// Decides whether a head that the parser let through is one that we answer, and how it is framed.
//
// Strict where leniency is dangerous: two readers of one request that disagree about where it ends
// or which resource it names can be played against each other (RFC 9112 §11.2). Boost.Beast accepts
// Transfer-Encoding beside Content-Length, several Hosts, lists of lengths, obs-fold and any byte
// above 0x20 in the target; all of that ends here.
#pragma once
#include <cstdint>
#include <string_view>

#include "core/base/result.h"
#include "core/http/request_head.h"
#include "core/http/status.h"

namespace tallygate::http {

inline constexpr std::size_t kTargetBytesMax = 8192;             // a signed URL has a few hundred
inline constexpr std::uint32_t kUnusedBodyBytesMax = 64 * 1024;  // a body of GET has no meaning

inline constexpr std::string_view kAllowedMethods = "GET, HEAD, OPTIONS";  // the value of Allow

enum class Method : std::uint8_t { get, head, options };

struct CheckedRequest {
  Method method = Method::get;
  // Origin-form, still percent-encoded; "*" only for OPTIONS. Of a target in absolute-form, scheme
  // and authority are gone (RFC 9112 §3.2.2).
  std::string_view target;
  // The client wants the connection to live on after the answer, and may have it.
  bool keep_alive = false;
  // To be read and dropped before the next head; never parsed as one.
  std::uint32_t body_bytes = 0;
};

// After a rejection the connection is closed: who sent this may not agree with us on where the next
// request begins. 405 is answered with Allow.
struct Rejection {
  Status status = Status::bad_request;
  std::string_view reason;  // for the log; static
};

// Checked in this order: version, fields, framing, Host, method, target, expectation, body. The
// result views `head`'s buffer. What the parser itself refuses is the caller's: a bad version is
// 505, too long a head 431, everything else 400.
[[nodiscard]] Result<CheckedRequest, Rejection> check_request(const RequestHead& head) noexcept;

}  // namespace tallygate::http
