// Hides tokens in a request target before it is written to a log.
//
// A token in a log is a download for whoever reads the log. So this hides more than what
// `find_token` would find: it works on what clients sent, not on what was accepted.
#pragma once
#include <string>
#include <string_view>

namespace tallygate::link {

// `target` with the value of everything that looks like "tg=" replaced by "***": as a query
// parameter or a path segment, repeated, in either case, percent-encoded once or more often, in a
// URL within a parameter. A value ends at the next '/' or '?' in the path, at the next '&' in the
// query. What ends like a token, ".s" and a MAC, loses that wherever it stands. Any bytes are
// taken; the rest stays as it is, control characters included.
[[nodiscard]] std::string mask_tokens(std::string_view target);

}  // namespace tallygate::link
