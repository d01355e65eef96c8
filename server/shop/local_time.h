// Times of a shop whose tables have local ones.
#pragma once
#include <cstdint>

namespace date {
class time_zone;
}

namespace tallygate::shop {

// Unix seconds of `local`, which counts the seconds since 1970 on the clock of `zone`. Of an hour
// that comes twice, in autumn, the first; of one that is left out, in spring, its end. Years that
// four digits cannot say become the nearest that can. Callable from any thread.
[[nodiscard]] std::int64_t utc_of(const date::time_zone& zone, std::int64_t local);

}  // namespace tallygate::shop
