#include "server/shop/local_time.h"

#include <date/tz.h>

#include <algorithm>
#include <chrono>

namespace tallygate::shop {
namespace {

constexpr std::int64_t kFirstSecond = -62'167'219'200;  // 0000-01-01T00:00:00
constexpr std::int64_t kLastSecond = 253'402'300'799;   // 9999-12-31T23:59:59

}  // namespace

std::int64_t utc_of(const date::time_zone& zone, std::int64_t local) {
  const date::local_seconds time{
      std::chrono::seconds(std::clamp(local, kFirstSecond, kLastSecond))};
  return zone.to_sys(time, date::choose::earliest).time_since_epoch().count();
}

}  // namespace tallygate::shop
