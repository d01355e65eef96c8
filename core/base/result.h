// Result<T, E>: a value, or the reason why there is none. Boost.System's `result` under our name.
//
// Three kinds of trouble, three shapes: what a customer can cause is an enum in a Result; a failure
// of the world is a boost::system::error_code; a broken invariant is TALLYGATE_ASSERT, which stays
// on in release builds and stops the process.
#pragma once
#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>

namespace tallygate {

template <class T, class E = boost::system::error_code>
using Result = boost::system::result<T, E>;

[[noreturn]] void assertion_failed(const char* expression, const char* file, int line) noexcept;

}  // namespace tallygate

// Never for anything a peer, a file or a database can send.
#define TALLYGATE_ASSERT(expression)       \
  (static_cast<bool>(expression) ? void(0) \
                                 : ::tallygate::assertion_failed(#expression, __FILE__, __LINE__))
