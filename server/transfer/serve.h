// The life of a download: every stage of it, in order. The folders have the same names.
#pragma once
#include "core/http/request_check.h"
#include "core/http/request_head.h"
#include "server/net/executor.h"

namespace tallygate::http {
class Connection;
}

namespace tallygate::transfer {

// Answers one request. When it returns, the answer has been handed to the kernel, or the connection
// is over, or it was told to close; what is not acknowledged yet is the connection's to settle.
[[nodiscard]] Task<> serve(http::Connection& connection, const http::RequestHead& head,
                           const http::CheckedRequest& request);

}  // namespace tallygate::transfer
