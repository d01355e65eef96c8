// Points in time as people write them on a command line.
#pragma once
#include <cstdint>
#include <string_view>

#include "core/base/result.h"
#include "core/config/wrong.h"

namespace tallygate::config {

inline constexpr std::int64_t kTimeMax = 253'402'300'799;  // 9999-12-31T23:59:59Z

// Unix seconds of `text`, which is one of
//   72h                         a duration (see duration.h) from `now` on, in whole seconds
//   2026-12-31T00:00:00+01:00   RFC 3339 §5.6, with Z or an offset, without fractions
//   1767225600                  unix seconds
// from 1970 to kTimeMax. `now` is in unix seconds, neither negative nor beyond kTimeMax.
[[nodiscard]] Result<std::int64_t, Wrong> parse_time(std::string_view text, std::int64_t now);

}  // namespace tallygate::config
