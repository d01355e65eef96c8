#include "server/shop/local_time.h"

#include <date/tz.h>
#include <gtest/gtest.h>

#include <limits>

namespace tallygate::shop {
namespace {

std::int64_t utc_in(const char* zone, std::int64_t local) {
  return utc_of(*date::locate_zone(zone), local);
}

TEST(ShopLocalTime, FollowsTheClockOfTheShop) {
  EXPECT_EQ(utc_in("Etc/UTC", 1'700'000'000), 1'700'000'000);
  EXPECT_EQ(utc_in("Europe/Berlin", 1'704'067'200), 1'704'063'600) << "in winter";
  EXPECT_EQ(utc_in("Europe/Berlin", 1'719'792'000), 1'719'784'800) << "in summer";
}

TEST(ShopLocalTime, KnowsTheHourThatIsMissingAndTheOneThatComesTwice) {  // T4
  EXPECT_EQ(utc_in("Europe/Berlin", 1'711'852'200), 1'711'846'800)
      << "half past two, 31 March 2024";
  EXPECT_EQ(utc_in("Europe/Berlin", 1'729'996'200), 1'729'989'000) << "half past two, 27 October";
}

TEST(ShopLocalTime, StaysWithinTheCalendar) {  // S11
  using Limits = std::numeric_limits<std::int64_t>;
  for (const char* zone : {"Etc/UTC", "America/New_York", "Asia/Tokyo"}) {
    EXPECT_NEAR(static_cast<double>(utc_in(zone, Limits::max())), 253'402'300'799.0, 86'400)
        << zone;
    EXPECT_NEAR(static_cast<double>(utc_in(zone, Limits::min())), -62'167'219'200.0, 86'400)
        << zone;
  }
}

}  // namespace
}  // namespace tallygate::shop
