// Who reads a refusal: a person in a browser, or a program (RFC 9110 §12.5.1).
#pragma once
#include "core/http/request_head.h"

namespace tallygate::http {

// Whether Accept prefers text/html to JSON (application/problem+json or application/json): a higher
// quality, or the same one and named more specifically, as browsers do beside "*/*". Without
// Accept, or with curl's "*/*" alone, the answer is JSON.
[[nodiscard]] bool prefers_html(const RequestHead& head) noexcept;

}  // namespace tallygate::http
