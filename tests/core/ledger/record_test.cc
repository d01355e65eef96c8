#include "core/ledger/record.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <random>

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

std::string encoded(const Record& record) {
  Entries entries;
  append(entries, record);
  return entries.bytes;
}

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return text;
}

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
  const std::vector<Record> empty{
      {{}, Identity{}}, {{}, Signed{}},    {{}, Spoken{}},        {{}, LimitSet{}},
      {{}, Opened{}},   {{}, Delivered{}}, {{}, TransferEnded{}}, {{}, Standing{}},
  };
  for (const Record& sample : empty) {
    const std::string bytes = encoded(sample);
    std::string_view view = bytes;
    const auto record = take_record(view);
    ASSERT_TRUE(record) << sample.what.index();
    EXPECT_EQ(*record, sample) << sample.what.index();
  }
}

// The file format, as it is on disks: a change here needs a new kFormatVersion.
TEST(LedgerRecord, HasTheBytesItAlwaysHad) {
  const std::vector<std::string> golden{
      "35000000"
      "01"
      "0b9c748052b1aeb0400bde227a48f900"
      "070069313030312d37050069313030310d002f6d757369632f612e666c616301",
      "24000000"
      "02"
      "0b9c748052b1aeb0400bde227a48f900"
      "0101030000000100b9556900000000",
      "3a000000"
      "03"
      "0b9c748052b1aeb0400bde227a48f900"
      "0101050000000100f153650000000000000000000000000001020000000700000000000000",
      "1a000000"
      "04"
      "0b9c748052b1aeb0400bde227a48f900"
      "0104000000",
      "4a000000"
      "05"
      "0b9c748052b1aeb0400bde227a48f900"
      "44443333222211118888777766665555e8030000000000000900000064000000000000002c01000000000000"
      "840300000000000001",
      "21000000"
      "06"
      "0b9c748052b1aeb0400bde227a48f900"
      "09000000f401000000000000",
      "21000000"
      "07"
      "0b9c748052b1aeb0400bde227a48f900"
      "090000009600000000000000",
      "2a000000"
      "08"
      "0b9c748052b1aeb0400bde227a48f900"
      "090000003c00000000000000140000000000000001",
      "46000000"
      "09"
      "0b9c748052b1aeb0400bde227a48f900"
      "44443333222211118888777766665555e8030000000000000a0000000000000014000000000000001e000000"
      "0000000001",
      "70000000"
      "0a"
      "0b9c748052b1aeb0400bde227a48f900"
      "01f153650000000009f153650000000064000000000000008403000000000000200300000000000016030000"
      "00000000e80300000000000088887777666655550100000002010b00323030313a6462383a3a310600637572"
      "6c2f38",
      "15000000"
      "0b"
      "0b9c748052b1aeb0400bde227a48f900",
      "ef000000"
      "0c"
      "0b9c748052b1aeb0400bde227a48f900"
      "070069313030312d37050069313030310d002f6d757369632f612e666c6163010101030000000100b9556900"
      "0000000101050000000100f15365000000000000000000000000000102000000070000000000000001040000"
      "000200000000000000020100000044443333222211118888777766665555e803000000000000020000000000"
      "0000be0a00000000000028000000000000001e00000000000000020000000200000000000000000000009001"
      "000000000000f4010000000000005802000000000000010000006400000000000000c800000000000000",
  };
  const auto samples = sample_records();
  ASSERT_EQ(golden.size(), samples.size());
  for (std::size_t i = 0; i < samples.size(); ++i) {
    EXPECT_EQ(hex(encoded(samples[i])), golden[i]) << "type " << i + 1;
  }
}

TEST(LedgerRecord, CutAtAnyByteIsRefused) {
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

TEST(LedgerRecord, WithManyBytesChangedIsDecodedOrRefused) {
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

TEST(LedgerRecord, OfAnUnknownTypeIsRefused) {
  std::string bytes = encoded({{}, Crashed{}});
  for (const int type : {0, 13, 14, 0x80, 0xff}) {
    bytes[4] = static_cast<char>(type);
    std::string_view view = bytes;
    EXPECT_FALSE(take_record(view)) << type;
  }
}

TEST(LedgerRecord, WithALengthThatLeavesNoRoomForItsHeadIsRefused) {
  const std::string bytes = encoded({{}, Crashed{}});
  for (const std::uint32_t length : {0u, 1u, 4u, 20u, 22u, 0xffff'ffffu}) {
    std::string changed = bytes;
    std::memcpy(changed.data(), &length, sizeof length);
    std::string_view view = changed;
    EXPECT_FALSE(take_record(view)) << length;
  }
}

TEST(LedgerRecord, WithAMeterThatCannotBeIsRefused) {
  const auto with = [](auto change) {
    Meter meter = sample_meter();
    change(meter);
    return encoded({{}, Standing{{}, {}, {}, {}, 0, Blocked::none, {meter}}});
  };
  struct Case {
    const char* what;
    std::string bytes;
    bool good;
  };
  const auto layers = [](std::vector<Span> outer, std::vector<Span> inner) {
    return [outer = std::move(outer), inner = std::move(inner)](Meter& m) {
      m.layers.assign(2, {});
      std::vector<Span> again;
      for (const Span& s : outer) m.layers[0].add(s, again);
      for (const Span& s : inner) m.layers[1].add(s, again);
    };
  };
  const Case cases[] = {
      {"as it is", with([](Meter&) {}), true},
      {"a fragment up to the end", with(layers({{1, 1000}}, {{5, 6}})), true},
      {"a fragment beyond the end", with(layers({{1, 1001}}, {{5, 6}})), false},
      {"a complete first layer", with(layers({{0, 1000}}, {{5, 6}})), false},
      {"a layer that the one before it does not contain", with(layers({{1, 5}}, {{5, 6}})), false},
      {"an empty layer", with(layers({{1, 5}}, {})), false},
      {"all traffic in doubt", with([](Meter& m) { m.doubt = m.traffic; }), true},
      {"more doubt than traffic", with([](Meter& m) { m.doubt = m.traffic + 1; }), false},
      {"all traffic late", with([](Meter& m) { m.tail = m.traffic; }), true},
      {"more tail than traffic", with([](Meter& m) { m.tail = m.traffic + 1; }), false},
  };
  for (const Case& c : cases) {
    std::string_view view = c.bytes;
    EXPECT_EQ(take_record(view).has_value(), c.good) << c.what;
  }
}

TEST(LedgerRecord, CutsATextThatIsLongerThanItsLengthFieldCanSay) {
  const std::string bytes = encoded({{}, Identity{"id", "", std::string(70'000, 'x'), true}});
  std::string_view view = bytes;
  const auto record = take_record(view);
  ASSERT_TRUE(record);
  EXPECT_EQ(std::get<Identity>(record->what).path.size(), 65'535u);
  EXPECT_TRUE(std::get<Identity>(record->what).used);
}

TEST(LedgerRecord, EntriesKeepTheirOrderAndCount) {
  Entries entries;
  EXPECT_TRUE(entries.empty());
  for (const Record& sample : sample_records()) append(entries, sample);
  EXPECT_EQ(entries.records, 12u);
  std::string_view view = entries.bytes;
  for (const Record& sample : sample_records()) EXPECT_EQ(take_record(view), sample);
  EXPECT_TRUE(view.empty());
}

}  // namespace
}  // namespace tallygate::ledger
