#include "core/net/capacity.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>

namespace tallygate::net {
namespace {

constexpr std::array kEquipments{Equipment{1, 1, 0}, Equipment{2, 2, 32}, Equipment{64, 4, 4}};

TEST(Capacity, KeepsAReserveThatConnectionsNeverTake) {
  for (const Equipment& equipment : kEquipments) {
    EXPECT_GT(descriptors_reserved(equipment), kDescriptorsOfProcess);
    EXPECT_EQ(connections_within(0, equipment), 0u);
    EXPECT_EQ(connections_within(descriptors_reserved(equipment), equipment), 0u);
  }
  EXPECT_GT(descriptors_reserved({2, 1, 4}), descriptors_reserved({1, 1, 4}));
  EXPECT_GT(descriptors_reserved({2, 2, 4}), descriptors_reserved({2, 1, 4}));
  EXPECT_EQ(descriptors_reserved({2, 1, 5}), descriptors_reserved({2, 1, 4}) + 4);
}

TEST(Capacity, HasASocketForEachConnectionBesideFullCaches) {
  for (const Equipment& equipment : kEquipments) {
    for (std::uint64_t descriptors = 0; descriptors < 20'000; ++descriptors) {
      const std::uint64_t connections = connections_within(descriptors, equipment);
      if (connections == 0) continue;
      ASSERT_LE(descriptors / kOpenFilesShare + connections + descriptors_reserved(equipment),
                descriptors);
    }
  }
}

TEST(Capacity, NeedsExactlyWhatIsEnough) {
  for (const Equipment& equipment : kEquipments) {
    for (std::uint64_t connections = 1; connections < 5'000; ++connections) {
      const std::uint64_t needed = descriptors_for(connections, equipment);
      ASSERT_GE(connections_within(needed, equipment), connections);
      ASSERT_LT(connections_within(needed - 1, equipment), connections);
    }
  }
}

TEST(Capacity, OfTheUnitsLimitIsAboveTheDefaultOfMaxConnections) {
  EXPECT_GE(connections_within(65'536, {2, 2, 32}), 10'000u);
  EXPECT_GE(connections_within(65'536, {64, 4, 4}), 10'000u);
}

TEST(Capacity, LetsFilesAndConnectionsInBelowWhatTheProcessNeedsForItself) {
  EXPECT_EQ(descriptors_below(1024), 1024 - static_cast<int>(kDescriptorsOfProcess));
  EXPECT_EQ(descriptors_below(kDescriptorsOfProcess), 0);
  EXPECT_EQ(descriptors_below(10), 0);
  EXPECT_EQ(descriptors_below(~std::uint64_t{0}), std::numeric_limits<int>::max());
}

}  // namespace
}  // namespace tallygate::net
