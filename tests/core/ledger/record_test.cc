#include "core/ledger/record.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <new>
#include <random>

#include "tests/core/ledger/bytes.h"
#include "tests/core/ledger/sample_records.h"
#include "tests/support/seed.h"

namespace {

// The largest single allocation since it was last set to zero.
std::size_t largest_allocation = 0;

}  // namespace

void* operator new(std::size_t size) {
  largest_allocation = std::max(largest_allocation, size);
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace tallygate::ledger {
namespace {

// A wild length must not become a wild allocation: what is decoded takes a few times its bytes.
void expect_harmless(std::string_view bytes, const std::string& what) {
  largest_allocation = 0;
  std::string_view rest = bytes;
  const auto record = take_record(rest);
  EXPECT_LE(largest_allocation, 16 * bytes.size() + 64) << what;
  EXPECT_EQ(record.has_value(), rest.size() < bytes.size()) << what;
}

TEST(LedgerRecord, OfEveryTypeRoundTrips) {
  const auto samples = sample_records();
  ASSERT_EQ(samples.size(), std::variant_size_v<Change>);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    ASSERT_EQ(samples[i].what.index(), i);
    const std::string bytes = encoded(samples[i]) + "rest";
    std::string_view view = bytes;
    const auto record = take_record(view);
    ASSERT_TRUE(record) << i;
    EXPECT_EQ(*record, samples[i]) << i;
    EXPECT_EQ(view, "rest") << i;
  }
}

TEST(LedgerRecord, WithNothingInItRoundTrips) {
  const std::vector<Change> empty{Used{},   Signed{},  Spoken{}, LimitSet{},  Opened{},
                                  Leased{}, Settled{}, Closed{}, Delivered{}, TransferEnded{}};
  for (const Change& what : empty) {
    const Record sample{"i", what};
    const std::string bytes = encoded(sample);
    std::string_view view = bytes;
    const auto record = take_record(view);
    ASSERT_TRUE(record) << what.index();
    EXPECT_EQ(*record, sample) << what.index();
  }
}

TEST(LedgerRecord, OfALinkWithTheLongestIdRoundTrips) {
  for (const std::size_t length : {1u, 96u, 255u}) {
    const Record sample{std::string(length, 'x'), LimitSet{7}};
    const std::string bytes = encoded(sample);
    std::string_view view = bytes;
    EXPECT_EQ(take_record(view), sample) << length;
  }
}

// The file format, as it is on disks: a change here needs a new kFormatVersion.
TEST(LedgerRecord, HasTheBytesItAlwaysHad) {
  const std::vector<std::string> golden{
      "23000000"
      "0769313030312d37"
      "01"
      "050069313030310d002f6d757369632f612e666c6163",
      "1c000000"
      "0769313030312d37"
      "02"
      "0101030000000100b9556900000000",
      "32000000"
      "0769313030312d37"
      "03"
      "0101050000000100f153650000000000000000000000000001020000000700000000000000",
      "12000000"
      "0769313030312d37"
      "04"
      "0104000000",
      "3a000000"
      "0769313030312d37"
      "05"
      "4444333322221111e8030000000000000900000064000000000000002c0100000000000084030000"
      "0000000001",
      "19000000"
      "0769313030312d37"
      "06"
      "09000000f401000000000000",
      "19000000"
      "0769313030312d37"
      "07"
      "090000009600000000000000",
      "22000000"
      "0769313030312d37"
      "08"
      "090000003c00000000000000140000000000000001",
      "36000000"
      "0769313030312d37"
      "09"
      "4444333322221111e8030000000000000a0000000000000014000000000000001e00000000000000"
      "01",
      "68000000"
      "0769313030312d37"
      "0a"
      "01f153650000000009f1536500000000640000000000000084030000000000002003000000000000"
      "1603000000000000e80300000000000044443333222211110100000002010b00323030313a646238"
      "3a3a3106006375726c2f38",
      "0d000000"
      "0769313030312d37"
      "0b",
      "0d000000"
      "0769313030312d37"
      "0c",
      "0d000000"
      "0769313030312d37"
      "0d",
      "11000000"
      "0769313030312d37"
      "0e"
      "09000000",
  };
  const auto samples = sample_records();
  ASSERT_EQ(golden.size(), samples.size());
  for (std::size_t i = 0; i < samples.size(); ++i) {
    EXPECT_EQ(hex(encoded(samples[i])), golden[i]) << "type " << i + 1;
  }
}

TEST(LedgerRecord, CutAtAnyByteIsRefused) {  // J6
  for (const Record& sample : sample_records()) {
    const std::string bytes = encoded(sample);
    for (std::size_t length = 0; length < bytes.size(); ++length) {
      const std::string cut = bytes.substr(0, length);  // a copy: ASan sees a read beyond it
      std::string_view view = cut;
      EXPECT_FALSE(take_record(view)) << sample.what.index() << " cut at " << length;
      EXPECT_EQ(view.size(), length);
    }
  }
}

TEST(LedgerRecord, ShortenedToAnyLengthThatItNamesItselfIsRefused) {
  for (const Record& sample : sample_records()) {
    const std::string bytes = encoded(sample);
    for (std::size_t length = 4; length < bytes.size(); ++length) {
      std::string cut = bytes.substr(0, length);
      const auto named = static_cast<std::uint32_t>(length);
      std::memcpy(cut.data(), &named, sizeof named);
      std::string_view view = cut;
      EXPECT_FALSE(take_record(view)) << sample.what.index() << " shortened to " << length;
    }
  }
}

TEST(LedgerRecord, WithAnyByteChangedIsDecodedOrRefused) {
  for (const Record& sample : sample_records()) {
    const std::string bytes = encoded(sample);
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      for (int value = 0; value < 256; ++value) {
        std::string changed = bytes;
        changed[at] = static_cast<char>(value);
        expect_harmless(changed,
                        fmt::format("type {}, byte {} = {}", sample.what.index() + 1, at, value));
      }
    }
  }
}

TEST(LedgerRecord, WithManyBytesChangedIsDecodedOrRefused) {  // J7
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  const auto samples = sample_records();
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = encoded(samples[random() % samples.size()]);
    for (auto changes = random() % 8 + 1; changes != 0; --changes) {
      constexpr unsigned char kTelling[] = {0, 1, 0x7f, 0x80, 0xff};
      bytes[4 + random() % (bytes.size() - 4)] = static_cast<char>(kTelling[random() % 5]);
    }
    expect_harmless(bytes, hex(bytes));
  }
}

TEST(LedgerRecord, OfAnUnknownTypeIsRefused) {  // J8
  std::string bytes = encoded({"i", Crashed{}});
  ASSERT_EQ(bytes.size(), 7u);
  for (const int type : {0, 14, 15, 0x80, 0xff}) {
    bytes[6] = static_cast<char>(type);
    std::string_view view = bytes;
    EXPECT_FALSE(take_record(view)) << type;
    EXPECT_TRUE(peek_record(view)) << "whose it is can be seen: it is for take_record to refuse it";
  }
}

TEST(LedgerRecord, WithALengthThatLeavesNoRoomForItsHeadIsRefused) {
  const std::string bytes = encoded({"id", Crashed{}}) + "more";
  for (const std::uint32_t length : {0u, 1u, 4u, 5u, 7u, 13u, 0xffff'ffffu}) {
    std::string changed = bytes;
    std::memcpy(changed.data(), &length, sizeof length);
    std::string_view view = changed;
    EXPECT_FALSE(peek_record(view)) << length;
    EXPECT_FALSE(take_record(view)) << length;
  }
}

TEST(LedgerRecord, OfALinkWithoutAnIdIsRefused) {
  std::string bytes = encoded({"i", Crashed{}});
  bytes[4] = 0;
  std::string_view view = bytes;
  EXPECT_FALSE(peek_record(view));
  EXPECT_FALSE(take_record(view));
}

TEST(LedgerRecord, CanBeSkippedWithoutBeingRead) {
  Entries entries;
  for (const Record& sample : sample_records()) append(entries, sample);
  std::string_view view = entries.bytes;
  std::size_t count = 0;
  while (const auto head = peek_record(view)) {
    EXPECT_EQ(head->link_id, "i1001-7");
    std::string_view alone = view.substr(0, head->bytes);
    EXPECT_TRUE(take_record(alone)) << count;
    EXPECT_TRUE(alone.empty());
    view.remove_prefix(head->bytes);
    ++count;
  }
  EXPECT_TRUE(view.empty());
  EXPECT_EQ(count, sample_records().size());
}

TEST(LedgerRecord, WithAStateOrOutcomeThatDoesNotExistIsRefused) {
  std::string spoken = encoded({"i", Spoken{}});
  const std::size_t state = spoken.size() - 13;  // before the generation and the copies elsewhere
  for (const int value : {3, 4, 0xff}) {
    spoken[state] = static_cast<char>(value);
    std::string_view view = spoken;
    EXPECT_EQ(take_record(view).has_value(), value <= 3) << value;
  }
  std::string ended = encoded({"i", TransferEnded{}});
  const std::size_t outcome = ended.size() - 6;  // before `whole` and two empty texts
  for (const int value : {3, 4, 0xff}) {
    ended[outcome] = static_cast<char>(value);
    std::string_view view = ended;
    EXPECT_EQ(take_record(view).has_value(), value <= 3) << value;
  }
}

TEST(LinkKey, IsXxh3OfTheIdHighHalfFirst) {
  const LinkKey key = link_key("i1001-7");
  EXPECT_EQ(key.high, 0xb0aeb15280749c0bu);
  EXPECT_EQ(key.low, 0x00f9487a22de0b40u);
  EXPECT_EQ(LinkKeyHash()(key), key.low);
}

TEST(LedgerRecord, CutsATextThatIsLongerThanItsLengthFieldCanSay) {
  const std::string bytes = encoded({"i", Used{std::string(70'000, 'x'), "/f"}});
  std::string_view view = bytes;
  const auto record = take_record(view);
  ASSERT_TRUE(record);
  EXPECT_EQ(std::get<Used>(record->what).parent_id.size(), 65'535u);
  EXPECT_EQ(std::get<Used>(record->what).path, "/f");
}

TEST(LedgerRecord, EntriesKeepTheirOrderAndCount) {
  Entries entries;
  EXPECT_TRUE(entries.empty());
  for (const Record& sample : sample_records()) append(entries, sample);
  EXPECT_EQ(entries.records, 14u);
  std::string_view view = entries.bytes;
  for (const Record& sample : sample_records()) EXPECT_EQ(take_record(view), sample);
  EXPECT_TRUE(view.empty());
}

}  // namespace
}  // namespace tallygate::ledger
