// The day on which this version was made, and what follows from it: a clock that says an earlier
// time is wrong, as that of a machine whose battery is empty is until it has asked the network.
//
// The day is that of the newest entry in conf/debian/changelog, so that the same tree makes the
// same program (conf/version_date.cmake).
#pragma once
#include <cstdint>
#include <string>

namespace tallygate::clock {

// Unix seconds of its first second, UTC.
[[nodiscard]] std::int64_t built_on() noexcept;
[[nodiscard]] bool is_before_build(std::int64_t unix_now) noexcept;
// For the operator: why nothing that has an expiry can be served at such a time.
[[nodiscard]] std::string describe_wrong_clock(std::int64_t unix_now);

}  // namespace tallygate::clock
