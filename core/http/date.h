// HTTP dates (RFC 9110 §5.6.7): written as IMF-fixdate, read in all three forms.
//
// Seconds since 1970, UTC. No locale, no time zone, no libc calendar; nothing allocates.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/base/fixed_string.h"

namespace tallygate::http {

using DateText = FixedString<29>;

// "Sun, 06 Nov 1994 08:49:37 GMT". A year that four digits cannot say becomes the nearest that can.
[[nodiscard]] DateText format_date(std::int64_t unix_seconds) noexcept;

// IMF-fixdate, RFC 850 and asctime form; nullopt for anything else, and for a date that no calendar
// has. The name of the weekday must be one, not the right one: the RFC derives nothing from it.
// A two-digit year means the latest such year that is at most 50 years after `now`, and has at most
// four digits.
[[nodiscard]] std::optional<std::int64_t> parse_date(std::string_view text,
                                                     std::int64_t now) noexcept;

}  // namespace tallygate::http
