#include "core/ledger/span.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <random>

namespace tallygate::ledger {

void PrintTo(const Span& span, std::ostream* out) {
  *out << '[' << span.first << ", " << span.last << ')';
}

namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Added {
  std::vector<Span> set;
  std::vector<Span> again;
};

Added add_all(const std::vector<Span>& before, Span span) {
  SpanSet set;
  Added added;
  for (const Span& s : before) set.add(s, added.again);
  added.again.clear();
  set.add(span, added.again);
  added.set.assign(set.spans().begin(), set.spans().end());
  return added;
}

TEST(SpanSet, KeepsSpansSortedAndApart) {
  const Added added = add_all({{30, 40}, {0, 5}}, {10, 20});
  EXPECT_THAT(added.set, ElementsAre(Span{0, 5}, Span{10, 20}, Span{30, 40}));
  EXPECT_THAT(added.again, IsEmpty());
}

TEST(SpanSet, JoinsASpanToTheNeighboursThatItTouches) {
  const Added added = add_all({{0, 10}, {20, 30}}, {10, 20});
  EXPECT_THAT(added.set, ElementsAre(Span{0, 30}));
  EXPECT_THAT(added.again, IsEmpty());
}

TEST(SpanSet, AppendsOnlyWhatBeginsAtItsEndOrBehindIt) {
  const struct {
    const char* name;
    std::vector<Span> before;
    Span piece;
    bool appended;
    std::vector<Span> after;
  } kCases[] = {
      {"to nothing", {}, {5, 10}, true, {{5, 10}}},
      {"at its end", {{0, 5}}, {5, 10}, true, {{0, 10}}},
      {"behind it", {{0, 5}}, {6, 10}, true, {{0, 5}, {6, 10}}},
      {"at the end of the last of several", {{0, 5}, {7, 8}}, {8, 10}, true, {{0, 5}, {7, 10}}},
      {"into it", {{0, 5}}, {4, 10}, false, {{0, 5}}},
      {"before it", {{5, 10}}, {0, 4}, false, {{5, 10}}},
      {"up to its beginning", {{5, 10}}, {0, 5}, false, {{5, 10}}},
      {"into a gap", {{0, 1}, {5, 10}}, {2, 3}, false, {{0, 1}, {5, 10}}},
  };
  for (const auto& c : kCases) {
    SpanSet set;
    std::vector<Span> again;
    for (const Span& s : c.before) set.add(s, again);
    EXPECT_EQ(set.append(c.piece), c.appended) << c.name;
    EXPECT_THAT(set.spans(), ::testing::ElementsAreArray(c.after)) << c.name;
  }
}

TEST(SpanSet, LeavesAGapOfOneByte) {
  const Added added = add_all({{0, 10}, {20, 30}}, {11, 19});
  EXPECT_THAT(added.set, ElementsAre(Span{0, 10}, Span{11, 19}, Span{20, 30}));
  EXPECT_THAT(added.again, IsEmpty());
}

TEST(SpanSet, GivesBackThePartsThatWereThere) {
  const Added added = add_all({{0, 10}, {20, 30}, {40, 50}}, {5, 45});
  EXPECT_THAT(added.set, ElementsAre(Span{0, 50}));
  EXPECT_THAT(added.again, ElementsAre(Span{5, 10}, Span{20, 30}, Span{40, 45}));
}

TEST(SpanSet, GivesBackAWholeSpanThatWasThere) {
  const Added added = add_all({{0, 100}}, {40, 60});
  EXPECT_THAT(added.set, ElementsAre(Span{0, 100}));
  EXPECT_THAT(added.again, ElementsAre(Span{40, 60}));
}

TEST(SpanSet, IgnoresAnEmptySpan) {
  const Added added = add_all({{0, 10}}, {5, 5});
  EXPECT_THAT(added.set, ElementsAre(Span{0, 10}));
  EXPECT_THAT(added.again, IsEmpty());
}

TEST(SpanSet, ReachesTheLastPositionOf64Bits) {
  constexpr std::uint64_t kMax = ~std::uint64_t{0};
  const Added added = add_all({{kMax - 1, kMax}}, {0, kMax});
  EXPECT_THAT(added.set, ElementsAre(Span{0, kMax}));
  EXPECT_THAT(added.again, ElementsAre(Span{kMax - 1, kMax}));
}

TEST(SpanSet, AddsManyPiecesAsIfOneAfterTheOther) {
  SpanSet set;
  std::vector<Span> again;
  set.add({10, 20}, again);
  set.add({30, 40}, again);
  set.add({90, 99}, again);
  const std::vector<Span> pieces{{0, 2}, {5, 12}, {15, 17}, {20, 21}, {35, 50}, {60, 70}};
  set.add(pieces, again);
  EXPECT_THAT(set.spans(),
              ElementsAre(Span{0, 2}, Span{5, 21}, Span{30, 50}, Span{60, 70}, Span{90, 99}));
  EXPECT_THAT(again, ElementsAre(Span{10, 12}, Span{15, 17}, Span{35, 40}));
}

TEST(SpanSet, AdjoinsWhatTouchesOneOfItsSpansEndToEnd) {
  SpanSet set;
  std::vector<Span> again;
  set.add({10, 20}, again);
  set.add({30, 40}, again);
  const struct {
    Span span;
    bool adjoins;
  } kCases[] = {
      {{20, 21}, true},  {{19, 21}, false}, {{21, 22}, false}, {{5, 10}, true},  {{5, 9}, false},
      {{5, 11}, false},  {{20, 30}, true},  {{0, 30}, true},   {{40, 50}, true}, {{41, 50}, false},
      {{10, 20}, false}, {{0, 50}, false},  {{20, 40}, true},  {{15, 30}, true}, {{15, 29}, false},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(set.adjoins(c.span), c.adjoins) << ::testing::PrintToString(c.span);
  }
  EXPECT_FALSE(SpanSet().adjoins({0, 1}));
}

TEST(SpanSet, CoversOnlyWhatLiesInOneOfItsSpans) {
  SpanSet set;
  std::vector<Span> again;
  set.add({10, 20}, again);
  set.add({30, 40}, again);
  const struct {
    Span span;
    bool covered;
  } kCases[] = {
      {{10, 20}, true},  {{9, 20}, false},  {{10, 21}, false}, {{19, 20}, true},
      {{20, 21}, false}, {{15, 35}, false}, {{30, 40}, true},  {{39, 41}, false},
      {{0, 10}, false},  {{40, 50}, false}, {{25, 25}, true},  {{10, 40}, false},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(set.covers(c.span), c.covered) << ::testing::PrintToString(c.span);
  }
  EXPECT_FALSE(SpanSet().covers({0, 1}));
  EXPECT_TRUE(SpanSet().covers({0, 0}));
}

TEST(SpanSet, AgreesWithAFlagForEachByte) {
  const unsigned seed = std::random_device{}();
  std::cout << "seed " << seed << '\n';
  std::mt19937 random(seed);
  for (int round = 0; round < 2000; ++round) {
    const std::uint64_t size = 1 + random() % 60;
    std::vector<bool> there(size);
    SpanSet set;
    for (int step = 0; step < 30; ++step) {
      std::vector<std::uint64_t> ends(2 * (1 + random() % 5));
      for (auto& end : ends) end = random() % (size + 1);
      std::sort(ends.begin(), ends.end());
      std::vector<Span> pieces;
      std::vector<bool> expected_again(size);
      for (std::size_t i = 0; i < ends.size(); i += 2) {
        if (ends[i] == ends[i + 1]) continue;
        pieces.push_back({ends[i], ends[i + 1]});
        for (std::uint64_t at = ends[i]; at < ends[i + 1]; ++at) {
          expected_again[at] = there[at];
          there[at] = true;
        }
      }
      std::vector<Span> again;
      set.add(pieces, again);

      std::vector<bool> got(size);
      std::vector<bool> got_again(size);
      for (const Span& s : set.spans())
        std::fill_n(got.begin() + static_cast<long>(s.first), s.bytes(), true);
      for (const Span& s : again)
        std::fill_n(got_again.begin() + static_cast<long>(s.first), s.bytes(), true);
      ASSERT_EQ(got, there);
      ASSERT_EQ(got_again, expected_again);
      ASSERT_EQ(set.bytes(), std::count(there.begin(), there.end(), true));
      ASSERT_EQ(set.fragments(), set.spans().size());
      for (std::size_t i = 0; i < set.fragments(); ++i) {
        ASSERT_FALSE(set.spans()[i].empty());
        if (i > 0) {
          ASSERT_LT(set.spans()[i - 1].last, set.spans()[i].first);
        }
      }
      const auto all = [&](std::uint64_t first, std::uint64_t last) {
        return std::all_of(there.begin() + static_cast<long>(first),
                           there.begin() + static_cast<long>(last),
                           [](bool present) { return present; });
      };
      const std::uint64_t c = random() % (size + 1);
      const std::uint64_t d = c + random() % (size + 1 - c);
      ASSERT_EQ(set.covers({c, d}), all(c, d)) << c << ' ' << d;
    }
  }
}

// `deliveries` as layers: the first has what was delivered at all, the second what was twice, ...
std::vector<SpanSet> layers_of(const std::vector<Span>& deliveries) {
  std::vector<SpanSet> layers;
  for (const Span& delivery : deliveries) {
    std::vector<Span> pieces{delivery};
    for (std::size_t i = 0; !pieces.empty(); ++i) {
      if (i == layers.size()) layers.emplace_back();
      std::vector<Span> again;
      for (const Span& piece : pieces) layers[i].add(piece, again);
      pieces = again;
    }
  }
  return layers;
}

TEST(MinDepth, IsTheDepthOfTheShallowestByte) {
  const struct {
    const char* name;
    std::vector<Span> delivered;
    std::vector<Span> spans;
    std::uint64_t depth;
  } kCases[] = {
      {"nothing", {}, {}, 0},
      {"all", {}, {{0, 10}}, 1},
      {"all, delivered", {{0, 10}}, {}, 1},
      {"all but the first", {}, {{1, 10}}, 0},
      {"all but the last", {}, {{0, 9}}, 0},
      {"two halves", {}, {{5, 10}, {0, 5}}, 1},
      {"two halves, one delivered", {{5, 10}}, {{0, 5}}, 1},
      {"a hole in the middle", {{0, 4}}, {{5, 10}}, 0},
      {"three, one with a hole", {{0, 10}, {0, 4}}, {{0, 10}, {5, 10}}, 2},
      {"overlapping halves", {}, {{0, 6}, {4, 10}}, 1},
      {"an empty span", {}, {{0, 10}, {3, 3}}, 1},
      {"one span many times", {{2, 3}, {2, 3}}, {{2, 3}, {2, 3}, {0, 10}}, 1},
      {"a hole in the second layer", {{0, 10}, {0, 3}, {4, 10}}, {{4, 10}}, 1},
      {"a hole filled by a span", {{0, 10}, {0, 3}, {4, 10}}, {{3, 4}}, 2},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(min_depth(10, layers_of(c.delivered), c.spans), c.depth) << c.name;
  }
  const Span twice[] = {{0, 1}, {0, 1}};
  EXPECT_EQ(min_depth(1, {}, twice), 2);
}

TEST(MinDepth, AgreesWithACounterForEachByte) {
  const unsigned seed = std::random_device{}();
  std::cout << "seed " << seed << '\n';
  std::mt19937 random(seed);
  for (int round = 0; round < 20000; ++round) {
    const std::uint64_t size = 1 + random() % 40;
    std::vector<std::uint64_t> depth(size);
    const auto draw = [&] {
      std::vector<Span> spans;
      for (auto n = random() % 9; n > 0; --n) {
        const std::uint64_t a = random() % 3 == 0 ? 0 : random() % (size + 1);
        const std::uint64_t b = random() % 3 == 0 ? size : a + random() % (size + 1 - a);
        spans.push_back({a, b});
        for (std::uint64_t i = a; i < b; ++i) ++depth[i];
      }
      return spans;
    };
    const std::vector<Span> delivered = draw();
    const std::vector<Span> spans = draw();
    ASSERT_EQ(min_depth(size, layers_of(delivered), spans),
              *std::min_element(depth.begin(), depth.end()))
        << ::testing::PrintToString(delivered) << ::testing::PrintToString(spans);
  }
}

}  // namespace
}  // namespace tallygate::ledger
