#include "core/base/result.h"

#include <cstdio>
#include <cstdlib>

namespace tallygate {

void assertion_failed(const char* expression, const char* file, int line) noexcept {
  std::fprintf(stderr, "tallygate: broken invariant at %s:%d: %s\n", file, line, expression);
  std::abort();
}

}  // namespace tallygate
