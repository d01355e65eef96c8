// The life of a download: every stage of it, in order. The folders have the same names.
#pragma once
#include "server/net/executor.h"

namespace tallygate::http {
class Connection;
}

namespace tallygate::transfer {

class Delivery;

// Answers the request at hand, up to a body that does not leave at once: that is returned, for
// stream(), while what was needed until here is let go. Else null: the answer has been handed to
// the kernel, or the connection is over, or it was told to close. What is not acknowledged yet is
// the connection's to settle.
[[nodiscard]] Task<Delivery*> serve(http::Connection& connection);

}  // namespace tallygate::transfer
