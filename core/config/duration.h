// Durations as people write them: a whole number and a unit, "250ms", "10s", "5m", "24h", "90d".
#pragma once
#include <chrono>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/config/wrong.h"

namespace tallygate::config {

inline constexpr std::string_view kDurationUnits = "ms, s, m, h or d";

// Nothing that we wait for takes longer; and far from where milliseconds overflow.
inline constexpr std::chrono::milliseconds kDurationMax = std::chrono::days{100 * 365};

// Neither signs, nor fractions, nor several units in one: each has a plain spelling.
[[nodiscard]] Result<std::chrono::milliseconds, Wrong> parse_duration(std::string_view text);

// The largest unit that gives a whole number; parse_duration reads it back. Not for negative ones.
[[nodiscard]] std::string format_duration(std::chrono::milliseconds duration);

}  // namespace tallygate::config
