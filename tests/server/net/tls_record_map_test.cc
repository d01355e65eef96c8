#include "server/net/tls_record_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "tests/support/seed.h"

namespace tallygate::net {
namespace {

constexpr std::uint64_t kPlain = 16'384;
constexpr std::uint64_t kCipher = kPlain + 22;

TEST(TlsRecordMap, OfNothingIsNothing) {
  TlsRecordMap map;
  EXPECT_EQ(map.acknowledge(1000), 0u);
  map.append(0, 0);
  EXPECT_EQ(map.runs(), 0u);
}

TEST(TlsRecordMap, CountsARecordWithItsLastByte) {
  TlsRecordMap map;
  map.append(1000, 0);  // the handshake
  map.append(kCipher, kPlain);
  map.append(122, 100);
  EXPECT_EQ(map.acknowledge(0), 0u);
  EXPECT_EQ(map.acknowledge(1000), 0u);
  EXPECT_EQ(map.acknowledge(1000 + kCipher - 1), 0u);
  EXPECT_EQ(map.acknowledge(1000 + kCipher), kPlain);
  EXPECT_EQ(map.acknowledge(1000 + kCipher + 121), kPlain);
  EXPECT_EQ(map.acknowledge(1000 + kCipher + 122), kPlain + 100);
  EXPECT_EQ(map.runs(), 0u);
  EXPECT_EQ(map.plain_end(), kPlain + 100);
  EXPECT_EQ(map.cipher_end(), 1000 + kCipher + 122);
}

TEST(TlsRecordMap, NeverFallsAndNeverGoesBeyondItsEnd) {
  TlsRecordMap map;
  map.append(32, 10);
  map.append(32, 10);
  EXPECT_EQ(map.acknowledge(64), 20u);
  EXPECT_EQ(map.acknowledge(32), 20u);
  EXPECT_EQ(map.acknowledge(UINT64_MAX), 20u);
  map.append(32, 10);
  EXPECT_EQ(map.acknowledge(95), 20u);
  EXPECT_EQ(map.acknowledge(96), 30u);
}

TEST(TlsRecordMap, KeepsALargeBodyInOneRun) {
  TlsRecordMap map;
  for (int i = 0; i < 100'000; ++i) map.append(kCipher, kPlain);
  EXPECT_EQ(map.runs(), 1u);
  EXPECT_EQ(map.acknowledge(kCipher * 77'777 + 5), kPlain * 77'777);
  EXPECT_EQ(map.acknowledge(kCipher * 100'000), kPlain * 100'000);
}

TEST(TlsRecordMap, TellsNoMoreRecordsApartThanItHasRoomFor) {
  TlsRecordMap map;
  std::uint64_t cipher = 0;
  std::uint64_t plain = 0;
  for (std::uint64_t i = 1; i <= 5 * TlsRecordMap::kRunsMax; ++i) {
    map.append(i + 22, i);
    cipher += i + 22;
    plain += i;
    ASSERT_LE(map.runs(), TlsRecordMap::kRunsMax);
  }
  EXPECT_LT(map.acknowledge(cipher - 1), plain);
  EXPECT_EQ(map.acknowledge(cipher), plain);
  EXPECT_EQ(map.runs(), 0u);
}

// Against the plain list of all records.
TEST(TlsRecordMap, IsExactAsLongAsThereIsRoom) {
  const auto seed = test_seed();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  const auto below = [&](std::uint64_t end) {
    return std::uniform_int_distribution<std::uint64_t>(0, end - 1)(random);
  };
  TlsRecordMap map;
  struct End {
    std::uint64_t cipher;
    std::uint64_t plain;
  };
  std::vector<End> ends{{0, 0}};
  std::uint64_t acknowledged = 0;
  for (int step = 0; step < 20'000; ++step) {
    if (map.runs() < TlsRecordMap::kRunsMax && below(3) != 0) {
      const std::uint64_t plain = below(4) == 0 ? below(3) * 100 : kPlain;
      map.append(plain + 22, plain);
      ends.push_back({ends.back().cipher + plain + 22, ends.back().plain + plain});
    } else {
      acknowledged += below(ends.back().cipher - acknowledged + 1);
      const auto beyond = std::upper_bound(
          ends.begin(), ends.end(), acknowledged,
          [](std::uint64_t offset, const End& end) { return offset < end.cipher; });
      ASSERT_EQ(map.acknowledge(acknowledged), std::prev(beyond)->plain);
    }
  }
}

}  // namespace
}  // namespace tallygate::net
