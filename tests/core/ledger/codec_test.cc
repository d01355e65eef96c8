#include "core/ledger/codec.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "tests/core/ledger/bytes.h"
#include "tests/support/seed.h"

namespace tallygate::ledger {
namespace {

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

std::string varint(std::uint64_t value) {
  std::string bytes;
  ByteWriter(bytes).put_varint(value);
  return bytes;
}
std::string signed_varint(std::int64_t value) {
  std::string bytes;
  ByteWriter(bytes).put_signed_varint(value);
  return bytes;
}

TEST(Varint, HasSevenBitsAByteTheLowOnesFirst) {
  const struct {
    std::uint64_t value;
    const char* bytes;
  } cases[] = {
      {0, "00"},
      {1, "01"},
      {0x7f, "7f"},
      {0x80, "8001"},
      {300, "ac02"},
      {0x3fff, "ff7f"},
      {0x4000, "808001"},
      {0xffff'ffff, "ffffffff0f"},
      {kMost / 2, "ffffffffffffffff7f"},
      {kMost / 2 + 1, "80808080808080808001"},
      {kMost, "ffffffffffffffffff01"},
  };
  for (const auto& c : cases) {
    const std::string bytes = varint(c.value);
    EXPECT_EQ(hex(bytes), c.bytes);
    ByteReader r(bytes);
    EXPECT_EQ(r.get_varint(), c.value);
    EXPECT_TRUE(r.ok());
    EXPECT_EQ(r.left(), 0u);
  }
}

TEST(Varint, WithASignIsShortNearZero) {
  const struct {
    std::int64_t value;
    const char* bytes;
  } cases[] = {
      {0, "00"},
      {-1, "01"},
      {1, "02"},
      {-64, "7f"},
      {64, "8001"},
      {std::numeric_limits<std::int64_t>::max(), "feffffffffffffffff01"},
      {std::numeric_limits<std::int64_t>::min(), "ffffffffffffffffff01"},
  };
  for (const auto& c : cases) {
    const std::string bytes = signed_varint(c.value);
    EXPECT_EQ(hex(bytes), c.bytes);
    ByteReader r(bytes);
    EXPECT_EQ(r.get_signed_varint(), c.value);
    EXPECT_TRUE(r.ok());
  }
}

TEST(Varint, OfAnyValueRoundTrips) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t value = random() >> random() % 64;
    const std::string bytes = varint(value) + signed_varint(static_cast<std::int64_t>(value));
    ByteReader r(bytes);
    ASSERT_EQ(r.get_varint(), value);
    ASSERT_EQ(r.get_signed_varint(), static_cast<std::int64_t>(value));
    ASSERT_TRUE(r.ok() && r.left() == 0);
  }
}

// Equal values have equal bytes: images can be compared, and nothing hides in the longer forms.
TEST(Varint, ThatIsNotTheShortestOrDoesNotFitIsRefused) {
  const std::string cases[] = {
      "",
      "\x80",
      std::string("\x80\x00", 2),                                   // 0 in two bytes
      std::string("\xff\x80\x00", 3),                               // 127 in three
      "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",                   // 2^65 and more
      "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x03",                   //
      "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",               // eleven bytes
      std::string("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 10),  // the tenth says nothing
  };
  for (const std::string& bytes : cases) {
    ByteReader r(bytes);
    EXPECT_EQ(r.get_varint(), 0u) << hex(bytes);
    EXPECT_FALSE(r.ok()) << hex(bytes);
    EXPECT_EQ(r.get<std::uint8_t>(), 0u) << "nothing is read behind an error";
    EXPECT_EQ(r.get_varint(), 0u);
  }
}

TEST(Varint, ThatMustBeSmallIsRefusedBeyond) {
  const struct {
    std::uint64_t value;
    bool good;
  } cases[] = {{0, true}, {0xffff'ffff, true}, {0x1'0000'0000, false}, {kMost, false}};
  for (const auto& c : cases) {
    const std::string bytes = varint(c.value);
    ByteReader r(bytes);
    EXPECT_EQ(r.get_small<std::uint32_t>(), c.good ? c.value : 0) << c.value;
    EXPECT_EQ(r.ok(), c.good) << c.value;
  }
}

TEST(ByteReader, TakesBytesWithTheirLengthWithoutCopyingThem) {
  std::string bytes;
  ByteWriter w(bytes);
  w.put_bytes("");
  w.put_bytes("abc");
  w.put_bytes(std::string(300, 'x'));
  EXPECT_EQ(hex(bytes.substr(0, 7)), "0003616263ac02");
  ByteReader r(bytes);
  EXPECT_EQ(r.get_bytes(), "");
  const std::string_view abc = r.get_bytes();
  EXPECT_EQ(abc, "abc");
  EXPECT_EQ(abc.data(), bytes.data() + 2);
  EXPECT_EQ(r.get_bytes(), std::string(300, 'x'));
  EXPECT_TRUE(r.ok() && r.left() == 0);
}

TEST(ByteReader, WithALengthBeyondTheEndHasNothing) {
  for (const std::uint64_t length : {std::uint64_t{4}, kMost}) {
    const std::string bytes = varint(length) + "abc";
    ByteReader r(bytes);
    EXPECT_EQ(r.get_bytes(), "") << length;
    EXPECT_FALSE(r.ok()) << length;
  }
  ByteReader text(std::string_view("\x04\x00xyz", 5));
  EXPECT_EQ(text.get_text(), "");
  EXPECT_FALSE(text.ok());
}

TEST(ByteReader, ReadsFieldsLittleEndianAndStopsAtTheEnd) {
  const std::string bytes("\x01\x02\x03\x04\x05\x06\x07", 7);
  ByteReader r(bytes);
  EXPECT_EQ(r.get<std::uint32_t>(), 0x0403'0201u);
  EXPECT_EQ(r.get<std::uint16_t>(), 0x0605u);
  EXPECT_EQ(r.get<std::uint16_t>(), 0u) << "one byte is left";
  EXPECT_FALSE(r.ok());
  EXPECT_EQ(r.get<std::uint8_t>(), 0u) << "and it is not given any more";
}

TEST(ByteReader, KnowsTwoTruthsOnly) {
  for (const int value : {0, 1, 2, 0xff}) {
    const std::string bytes(1, static_cast<char>(value));
    ByteReader r(bytes);
    EXPECT_EQ(r.get_bool(), value == 1) << value;
    EXPECT_EQ(r.ok(), value <= 1) << value;
  }
}

}  // namespace
}  // namespace tallygate::ledger
