#include "core/http/range.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/core/http/naive_range.h"

namespace tallygate::http {

void PrintTo(const ByteSpan& span, std::ostream* out) {
  *out << '[' << span.first << ',' << span.last << ')';
}
void PrintTo(Selection::Kind kind, std::ostream* out) {
  *out << (kind == Selection::Kind::whole    ? "whole"
           : kind == Selection::Kind::ranges ? "ranges"
                                             : "unsatisfiable");
}

namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;
using Kind = Selection::Kind;
using Spans = std::vector<ByteSpan>;

constexpr std::uint64_t kLarge = 1'000'000;

Spans selected(std::string_view range, std::uint64_t file_size) {
  const auto selection = select_bytes(range, file_size);
  EXPECT_EQ(selection.kind(), Kind::ranges) << range;
  return {selection.spans().begin(), selection.spans().end()};
}

Kind kind(std::string_view range, std::uint64_t file_size) {
  return select_bytes(range, file_size).kind();
}

TEST(Range, WithoutOneTheFileIsWhole) {
  const auto selection = select_bytes("", 1000);
  EXPECT_EQ(selection.kind(), Kind::whole);
  EXPECT_THAT(selection.spans(), ElementsAre(ByteSpan{0, 1000}));
  EXPECT_EQ(selection.file_bytes(), 1000u);
}

TEST(Range, SingleOnesResolveAtBothEdges) {
  struct Case {
    const char* range;
    ByteSpan span;
  };
  for (const auto& [range, span] : std::vector<Case>{
           {"bytes=0-0", {0, 1}},
           {"bytes=0-499", {0, 500}},
           {"bytes=500-999", {500, 1000}},
           {"bytes=999-999", {999, 1000}},
           {"bytes=0-998", {0, 999}},
           {"bytes=0-999", {0, 1000}},
           {"bytes=0-1000", {0, 1000}},
           {"bytes=0-", {0, 1000}},
           {"bytes=999-", {999, 1000}},
           {"bytes=-1", {999, 1000}},
           {"bytes=-999", {1, 1000}},
           {"bytes=-1000", {0, 1000}},
           {"bytes=-1001", {0, 1000}},
           {"bytes=000-0009", {0, 10}},
           {"BYTES=1-2", {1, 3}},
       }) {
    EXPECT_THAT(selected(range, 1000), ElementsAre(span)) << range;
  }
}

TEST(Range, AFirstPositionBeyondTheEndIsUnsatisfiable) {  // H2
  for (const auto* range :
       {"bytes=1000-", "bytes=1000-1000", "bytes=1001-2000", "bytes=-0", "bytes=-00",
        "bytes=-0,1000-,5000-6000", "bytes=18446744073709551616-", "bytes=99999999999999999999-"}) {
    EXPECT_EQ(kind(range, 1000), Kind::unsatisfiable) << range;
    EXPECT_THAT(select_bytes(range, 1000).spans(), IsEmpty());
  }
}

TEST(Range, AnUnsatisfiableOneAmongOthersIsDropped) {
  EXPECT_THAT(selected("bytes=1000-,0-0", 1000), ElementsAre(ByteSpan{0, 1}));
  EXPECT_THAT(selected("bytes=-0,-1", 1000), ElementsAre(ByteSpan{999, 1000}));
}

TEST(Range, MalformedOnesAreIgnored) {  // H1
  for (const auto* range : {"bytes",
                            "bytes=",
                            "bytes= ",
                            "bytes=,",
                            "bytes=-",
                            "bytes=--1",
                            "bytes=1",
                            "bytes=a-b",
                            "bytes=1-b",
                            "bytes=a-1",
                            "bytes=1-2-3",
                            "bytes=1 -2",
                            "bytes=1- 2",
                            "bytes=+1-2",
                            "bytes=1-+2",
                            "bytes=0x0-1",
                            "bytes=5-4",
                            "bytes=0-0,5-4",
                            "bytes=0-0;5-6",
                            "bytes=0-0 5-6",
                            "bytes=0-0,x",
                            "bytes:0-0",
                            "bytes =0-0",
                            " bytes=0-0",
                            "items=0-5",
                            "byte=0-5",
                            "=0-5",
                            "0-5",
                            "bytes=1000-,5-4",
                            "bytes=1.5-2",
                            "bytes=0-1,\"2-3\"",
                            "bytes=0-1\xc2\xa0"}) {
    EXPECT_EQ(kind(range, 1000), Kind::whole) << range;
  }
}

TEST(Range, WhiteSpaceMayStandAroundMembersOnly) {
  EXPECT_THAT(selected("bytes=0-0 ,\t500-500 , ,999-999,", kLarge),
              ElementsAre(ByteSpan{0, 1}, ByteSpan{500, 501}, ByteSpan{999, 1000}));
  EXPECT_THAT(selected("bytes= 0-0 ", kLarge), ElementsAre(ByteSpan{0, 1}));
}

TEST(Range, NumbersBeyond64BitsSaturateButStillCompare) {
  EXPECT_THAT(selected("bytes=0-18446744073709551615", 10), ElementsAre(ByteSpan{0, 10}));
  EXPECT_THAT(selected("bytes=0-18446744073709551616", 10), ElementsAre(ByteSpan{0, 10}));
  EXPECT_THAT(selected("bytes=-18446744073709551616", 10), ElementsAre(ByteSpan{0, 10}));
  EXPECT_THAT(selected("bytes=9-99999999999999999999999", 10), ElementsAre(ByteSpan{9, 10}));
  EXPECT_EQ(kind("bytes=18446744073709551616-5", 10), Kind::whole);
  EXPECT_EQ(kind("bytes=18446744073709551617-18446744073709551616", 10), Kind::whole);
  EXPECT_EQ(kind("bytes=18446744073709551616-18446744073709551617", 10), Kind::unsatisfiable);
  EXPECT_EQ(kind("bytes=018446744073709551616-18446744073709551616", 10), Kind::unsatisfiable);
}

TEST(Range, TheLargestFileHasNoOverflow) {
  constexpr auto kMax = std::numeric_limits<std::uint64_t>::max();
  EXPECT_THAT(selected("bytes=-1", kMax), ElementsAre(ByteSpan{kMax - 1, kMax}));
  EXPECT_THAT(selected("bytes=0-18446744073709551615", kMax), ElementsAre(ByteSpan{0, kMax}));
  EXPECT_THAT(selected("bytes=-1,0-0", kMax),
              ElementsAre(ByteSpan{kMax - 1, kMax}, ByteSpan{0, 1}));
  EXPECT_EQ(kind("bytes=18446744073709551615-", kMax), Kind::unsatisfiable);
}

TEST(Range, AnEmptyFileHasNoPositionsButASuffix) {
  EXPECT_EQ(kind("", 0), Kind::whole);
  EXPECT_THAT(select_bytes("", 0).spans(), IsEmpty());
  EXPECT_EQ(kind("bytes=0-", 0), Kind::unsatisfiable);
  EXPECT_EQ(kind("bytes=0-0", 0), Kind::unsatisfiable);
  EXPECT_EQ(kind("bytes=-0", 0), Kind::unsatisfiable);
  EXPECT_EQ(kind("bytes=-5", 0), Kind::whole);
  EXPECT_EQ(kind("bytes=0-,-5", 0), Kind::whole);
  EXPECT_EQ(kind("bytes=0-,x", 0), Kind::whole);
  EXPECT_EQ(kind("bytes=,", 0), Kind::whole);
}

TEST(Range, SeveralKeepTheirOrder) {
  EXPECT_THAT(selected("bytes=500000-500001,0-1,-2", kLarge),
              ElementsAre(ByteSpan{500'000, 500'002}, ByteSpan{0, 2}, ByteSpan{999'998, kLarge}));
}

TEST(Range, GapsSmallerThanAPartHeadAreSentAlong) {
  // Gaps of 79 and of 80 bytes.
  EXPECT_THAT(selected("bytes=0-9,89-99", kLarge), ElementsAre(ByteSpan{0, 100}));
  EXPECT_THAT(selected("bytes=0-9,90-99", kLarge), ElementsAre(ByteSpan{0, 10}, ByteSpan{90, 100}));
  EXPECT_THAT(selected("bytes=10-19,0-9", kLarge), ElementsAre(ByteSpan{0, 20}));
  EXPECT_THAT(selected("bytes=0-99,10-19,50-149", kLarge), ElementsAre(ByteSpan{0, 150}));
}

TEST(Range, AMergedOneStandsWhereItsFirstMemberStood) {
  EXPECT_THAT(selected("bytes=500-599,90000-90001,0-9,550-700", kLarge),
              ElementsAre(ByteSpan{500, 701}, ByteSpan{90'000, 90'002}, ByteSpan{0, 10}));
}

TEST(Range, OneLaterMemberCanBridgeTwoEarlierOnes) {
  EXPECT_THAT(selected("bytes=0-99,1000-1099,50-1050", kLarge), ElementsAre(ByteSpan{0, 1100}));
}

std::string ranges_apart(std::size_t count, std::uint64_t step) {
  std::string range = "bytes=";
  for (std::size_t i = 0; i < count; ++i) {
    range += std::to_string(i * step) + "-" + std::to_string(i * step) + ",";
  }
  return range;
}

TEST(Range, AtMost16AreLeftAfterMerging) {  // H3
  EXPECT_EQ(selected(ranges_apart(16, 1000), kLarge).size(), 16u);
  EXPECT_EQ(kind(ranges_apart(17, 1000), kLarge), Kind::whole);
  EXPECT_THAT(selected(ranges_apart(17, 1000) + "0-20000", kLarge),
              ElementsAre(ByteSpan{0, 20'001}));
}

TEST(Range, AThousandSpecsAreMergedAndMoreAreIgnored) {  // H3
  EXPECT_EQ(selected(ranges_apart(kRangeSpecsMax, 2), kLarge).size(), 1u);
  EXPECT_EQ(kind(ranges_apart(kRangeSpecsMax + 1, 2), kLarge), Kind::whole);
  EXPECT_EQ(kind(ranges_apart(kRangeSpecsMax, 2), 1), Kind::ranges);
}

TEST(Range, ABodyLargerThanTheFileIsTheFile) {  // H3
  // Two single bytes and twice 256 bytes around them.
  EXPECT_EQ(kind("bytes=0-0,-1", 514), Kind::ranges);
  EXPECT_EQ(kind("bytes=0-0,-1", 513), Kind::whole);
  // One range costs no part head, however close it comes to the whole.
  EXPECT_EQ(kind("bytes=0-511", 513), Kind::ranges);
  EXPECT_EQ(kind("bytes=0-", 1), Kind::ranges);
}

TEST(ContentRange, NamesTheLastByteNotTheOneBehind) {
  EXPECT_EQ(content_range({0, 500}, 1234).view(), "bytes 0-499/1234");
  EXPECT_EQ(content_range({0, 1}, 1).view(), "bytes 0-0/1");
  constexpr auto kMax = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(content_range({kMax - 1, kMax}, kMax).view(),
            "bytes 18446744073709551614-18446744073709551614/18446744073709551615");
  EXPECT_EQ(unsatisfied_content_range(1234).view(), "bytes */1234");
  EXPECT_EQ(unsatisfied_content_range(0).view(), "bytes */0");
}

TEST(Range, AgreesWithASetOfBytesOnRandomRanges) {  // H3
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto up_to = [&](std::uint64_t max) {
    return std::uniform_int_distribution<std::uint64_t>(0, max)(random);
  };
  std::map<Kind, int> seen;
  for (int round = 0; round < 20'000; ++round) {
    const auto file_size = 1 + up_to(round % 2 == 0 ? 600 : 12'000);
    const auto longest = round % 3 == 0 ? file_size : 1 + file_size / 40;
    std::vector<InclusiveSpec> specs;
    std::string range = "bytes=";
    for (auto left = 1 + up_to(round % 5 == 0 ? 40 : 6); left > 0; --left) {
      const auto first = up_to(file_size + file_size / 8);
      const auto length = 1 + up_to(longest);
      switch (up_to(5)) {
        case 0:
          specs.push_back({file_size - std::min(length, file_size), file_size - 1});
          range += "-" + std::to_string(length);
          break;
        case 1:
          if (first + length < file_size) continue;  // an open range near the end only
          specs.push_back({first, std::max(first, file_size)});
          range += std::to_string(first) + "-";
          break;
        default:
          specs.push_back({first, first + length - 1});
          range += std::to_string(first) + "-" + std::to_string(first + length - 1);
      }
      range += up_to(3) == 0 ? " , " : ",";
    }
    if (specs.empty()) continue;
    const auto expected = select_naively(specs, file_size);
    const auto selection = select_bytes(range, file_size);
    ASSERT_EQ(selection.kind(), expected.kind) << range << " of " << file_size;
    ASSERT_THAT(selection.spans(), ElementsAreArray(expected.spans))
        << range << " of " << file_size;
    ++seen[expected.kind];
  }
  EXPECT_EQ(seen.size(), 3u) << "the generator no longer reaches every kind of answer";
}

TEST(Range, NoTextBreaksTheInvariants) {  // H3
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const std::string_view alphabet = "0123456789---,,,  \t=x9";
  for (int round = 0; round < 50'000; ++round) {
    std::string range = "bytes=";
    for (auto left = random() % 40; left > 0; --left) range += alphabet[random() % alphabet.size()];
    const std::uint64_t file_size = random() >> (random() % 64);
    const auto selection = select_bytes(range, file_size);
    std::uint64_t bytes = 0;
    for (const auto& span : selection.spans()) {
      ASSERT_LT(span.first, span.last) << range;
      ASSERT_LE(span.last, file_size) << range;
      bytes += span.bytes();
    }
    ASSERT_LE(bytes, file_size) << range;
    ASSERT_EQ(bytes, selection.file_bytes());
    ASSERT_LE(selection.spans().size(), kRangesMax);
    if (file_size == 0) continue;
    ASSERT_EQ(selection.kind() == Kind::unsatisfiable, selection.spans().empty())
        << range << " of " << file_size;
  }
}

}  // namespace
}  // namespace tallygate::http
