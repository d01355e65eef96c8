// Columns of a shop's tables whose values are texts, as databases hand them over: a table that is
// not ours, or has lost its CHECKs, may hold anything.
//
// Pure; callable from any thread.
#pragma once
#include <cstdint>
#include <string_view>

namespace tallygate::shop {

// The whole number that `text` begins with, 0 if it begins with none; beyond 64 bits, the nearest.
[[nodiscard]] std::int64_t column_integer(std::string_view text) noexcept;

// A state is one only if it is nothing but its digit; -1, which no state is, for all else.
[[nodiscard]] std::int64_t column_state(std::string_view text) noexcept;

}  // namespace tallygate::shop
