#include "core/ledger/link_table.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

#include "tests/support/seed.h"

namespace tallygate::ledger {
namespace {

LinkKey key_of(std::uint64_t n) {
  return link_key(fmt::format("i{}", n));
}

std::string image_of(std::size_t length, std::uint64_t n) {
  std::string image(length, '\0');
  std::mt19937_64 random(n);
  for (char& c : image) c = static_cast<char>(random());
  return image;
}

// A table, and the map that it must be the same as.
class Pair {
 public:
  void put(const LinkKey& key, std::string image) {
    table.put(key, image);
    map_[key] = std::move(image);
  }
  void erase(const LinkKey& key) { EXPECT_EQ(table.erase(key), map_.erase(key) != 0); }
  void expect_same(const LinkKey& key) const {
    const auto image = table.find(key);
    const auto it = map_.find(key);
    ASSERT_EQ(image.has_value(), it != map_.end());
    if (image) {
      ASSERT_EQ(*image, it->second);
    }
  }
  void expect_all_same() const {
    ASSERT_EQ(table.size(), map_.size());
    std::map<LinkKey, std::string> visited;
    table.each([&](const LinkKey& key, std::string_view image) {
      EXPECT_TRUE(visited.emplace(key, image).second) << "visited twice";
    });
    ASSERT_EQ(visited, map_);
    for (const auto& [key, image] : map_) ASSERT_NO_FATAL_FAILURE(expect_same(key));
  }

  LinkTable table;

 private:
  std::map<LinkKey, std::string> map_;
};

TEST(LinkTable, IsEmptyAtFirst) {
  LinkTable table;
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(table.memory_bytes(), 0u) << "most shards of a small ledger";
  EXPECT_FALSE(table.find(key_of(1)));
  EXPECT_FALSE(table.erase(key_of(1)));
  table.each([](const LinkKey&, std::string_view) { FAIL(); });
}

TEST(LinkTable, KeepsImagesOfAnyLength) {
  Pair pair;
  for (std::uint64_t n = 0; n < 600; ++n) pair.put(key_of(n), image_of(n, n));
  for (const std::uint64_t length : {1'000u, 10'000u, 1'000'000u}) {
    pair.put(key_of(length), image_of(length, length));
  }
  pair.expect_all_same();
}

// From every length to every other, on both sides of where an image moves to the end and of where
// it is kept outside.
TEST(LinkTable, ReplacesAnImageByOneOfAnyOtherLength) {
  const std::vector<std::size_t> lengths{0,  1,  2,   3,   13,  14,  15,  16,  17,  21,
                                         22, 23, 199, 200, 201, 202, 255, 256, 5000};
  Pair pair;
  std::uint64_t n = 0;
  for (const std::size_t before : lengths) {
    for (const std::size_t after : lengths) {
      const LinkKey key = key_of(++n);
      pair.put(key, image_of(before, n));
      pair.put(key_of(1'000'000 + n), image_of(4, n));  // a neighbour that must not be touched
      pair.put(key, image_of(after, n + 1));
      ASSERT_NO_FATAL_FAILURE(pair.expect_same(key)) << before << " to " << after;
    }
  }
  pair.expect_all_same();
  for (std::uint64_t i = 1; i <= n; ++i) pair.erase(key_of(i));
  pair.expect_all_same();
}

TEST(LinkTable, DoesNotMistakeOneKeyForAnother) {
  // The same place and the same tag in the index: only the rest of the key tells them apart.
  Pair pair;
  for (std::uint64_t i = 0; i < 100; ++i) pair.put({i, 0x1234'5678'0000'02a5}, image_of(20, i));
  for (std::uint64_t i = 0; i < 100; ++i) pair.put({0, 0x1234'5678'0000'02a5 + (i << 10)}, "other");
  pair.expect_all_same();
  EXPECT_FALSE(pair.table.find({100, 0x1234'5678'0000'02a5}));
  EXPECT_FALSE(pair.table.find({1, 0x1234'5678'0000'06a5}));
  for (std::uint64_t i = 0; i < 100; i += 3) pair.erase({i, 0x1234'5678'0000'02a5});
  pair.expect_all_same();
}

// Erasing moves up what stands behind: in a table whose probes wrap around its end as well.
TEST(LinkTable, FindsWhatStoodBehindAnErasedOne) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 300; ++round) {
    Pair pair;
    std::vector<LinkKey> keys;
    for (int i = 0; i < 14; ++i) {
      // The table has 16 slots: all want the last few of them.
      const std::uint64_t slot = 12 + random() % 4;
      keys.push_back({random(), slot << 60 | random() >> 4});
      pair.put(keys.back(), image_of(random() % 30, random()));
    }
    std::shuffle(keys.begin(), keys.end(), random);
    for (const LinkKey& key : keys) {
      pair.erase(key);
      ASSERT_NO_FATAL_FAILURE(pair.expect_all_same());
    }
  }
}

TEST(LinkTable, IsAMapThroughAnyHistory) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  for (const std::uint64_t keys : {20u, 500u, 20'000u}) {
    Pair pair;
    for (std::uint64_t step = 0; step < 5 * keys + 5'000; ++step) {
      const LinkKey key = key_of(random() % keys);
      // Growing at first, then shrinking, then both.
      const std::uint64_t erased = step < 2 * keys ? 1 : step < 3 * keys ? 8 : 5;
      if (random() % 10 < erased) {
        pair.erase(key);
      } else {
        const std::size_t length = random() % 50 == 0 ? random() % 600 : 15 + random() % 20;
        pair.put(key, image_of(length, random()));
      }
      ASSERT_NO_FATAL_FAILURE(pair.expect_same(key_of(random() % keys)));
    }
    ASSERT_NO_FATAL_FAILURE(pair.expect_all_same());
  }
}

TEST(LinkTable, GivesItsRoomBackWhenImagesOutgrowIt) {
  LinkTable table;
  constexpr std::uint64_t kLinks = 2'000;
  for (std::size_t length = 20; length <= 180; length += 4) {
    for (std::uint64_t n = 0; n < kLinks; ++n) table.put(key_of(n), std::string(length, 'x'));
  }
  EXPECT_LT(table.memory_bytes(), kLinks * 260) << "an eighth of it at most is dead";
}

TEST(LinkTable, GivesItsRoomBackWhenLinksAreErased) {
  LinkTable table;
  constexpr std::uint64_t kLinks = 2'000;
  for (std::uint64_t n = 0; n < kLinks; ++n) table.put(key_of(n), std::string(21, 'x'));
  for (std::size_t round = 0; round < 200; ++round) {
    for (std::uint64_t n = 0; n < kLinks; n += 10) {
      EXPECT_TRUE(table.erase(key_of(n)));
      table.put(key_of(n), std::string(20 + round % 40, 'x'));
    }
  }
  EXPECT_EQ(table.size(), kLinks);
  EXPECT_LT(table.memory_bytes(), kLinks * 64);
  for (std::uint64_t n = 0; n < kLinks; ++n) table.erase(key_of(n));
  EXPECT_EQ(table.size(), 0u);
  EXPECT_LT(table.memory_bytes(), kLinks * 8) << "index and the last few chunks";
}

TEST(LinkTable, CountsAndFreesWhatIsKeptOutside) {
  LinkTable table;
  table.put(key_of(1), std::string(21, 'x'));
  const std::size_t before = table.memory_bytes();
  table.put(key_of(1), std::string(100'000, 'x'));
  EXPECT_GE(table.memory_bytes(), before + 100'000);
  table.put(key_of(1), std::string(21, 'x'));
  EXPECT_EQ(table.memory_bytes(), before);
  table.put(key_of(2), std::string(50'000, 'x'));
  EXPECT_TRUE(table.erase(key_of(2)));
  EXPECT_EQ(table.memory_bytes(), before);
}

// By what the table has asked for. That is not what the process then occupies: pages, allocator
// and the shards themselves come on top, and a benchmark of the whole ledger has to say how much.
TEST(LinkTable, AsksForAtMost48BytesForATypicalLink) {
  const std::string image(21, 'x');
  constexpr std::uint64_t kShards = 4;  // with as many links as each of 4,096 has of 100 million
  LinkTable shards[kShards];
  for (std::uint64_t n = 0; n < 100'000; ++n) shards[n % kShards].put(key_of(n), image);
  std::size_t links = 0;
  std::size_t bytes = 0;
  for (const LinkTable& shard : shards) {
    links += shard.size();
    bytes += shard.memory_bytes();
  }
  ASSERT_EQ(links, 100'000u);
  RecordProperty("bytes_per_link", static_cast<int>(bytes / links));
  EXPECT_LE(bytes, 48 * links) << fmt::format("{:.2f} bytes", double(bytes) / double(links));
}

// The index grows by a quarter at a time: also just after that, and wherever it is looked.
TEST(LinkTable, AsksForAtMost48BytesForATypicalLinkAtAnySizeOfAShard) {  // J18
  const std::string image(21, 'x');
  LinkTable table;
  double most = 0;
  for (std::uint64_t n = 0; n < 60'000; ++n) {
    table.put(key_of(n), image);
    if (table.size() < 5'000) continue;  // few links: then memory does not matter
    most = std::max(most, double(table.memory_bytes()) / double(table.size()));
  }
  EXPECT_LE(most, 48.0);
}

}  // namespace
}  // namespace tallygate::ledger
