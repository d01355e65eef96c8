// An account at rest. That images say all that there is to know is in account_replay_test.cc.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "core/ledger/account.h"
#include "tests/core/ledger/account_history.h"
#include "tests/core/ledger/bytes.h"
#include "tests/core/ledger/image_fields.h"
#include "tests/support/seed.h"

namespace tallygate::ledger {
namespace {

constexpr std::uint32_t kWaste = 2000;
constexpr VersionKey kVersion{0x1111'2222'3333'4444};
constexpr VersionKey kUnseen{0x9999'aaaa'bbbb'cccc};
constexpr VersionKey kOther{0x5555'6666'7777'8888};
constexpr std::int64_t kStartOf2026 = 1'767'225'600;
constexpr std::int64_t kInJune2026 = 1'781'481'600;

std::string image_of(const Account& account) {
  std::string image;
  account.write_image(image);
  return image;
}

// The image of a link to which all this has happened.
std::string image_after(const std::vector<Change>& changes) {
  Account account(kWaste, "i1001-7");
  Entries entries;
  for (const Change& change : changes) EXPECT_TRUE(account.replay(change, entries));
  return image_of(account);
}

struct Sample {
  const char* what;
  std::vector<Change> changes;
  const char* image;
};

// Sold with a limit of 3, for a week, and downloaded once; the shop's row is there.
const std::vector<Change> kTypical{
    Used{"", "/music/a.flac"},
    Signed{true, 3, kInJune2026},
    LimitSet{3},
    Spoken{true, {}},
    Opened{kVersion, 640'000'000, 1, 0, 640'000'000, 640'000'000, false},
    Closed{1, 640'000'000, 0, true},
};

const std::vector<Sample>& samples() {
  static const Used used{"", "/f"};
  static const Signed once{true, 1, {}};
  static const std::vector<Sample> all{
      {"nothing", {}, "00"},
      {"a row of the shop, never used", {Spoken{true, {}}}, "10"},
      {"a typical link", kTypical, "9f0403809ecc0d444433332222111180c096b10201"},
      {"its last copy delivered",
       {used, once, LimitSet{1}, Opened{kVersion, 1000, 1, 0, 1000, 1000, false},
        Closed{1, 1000, 0, true}},
       "8705014444333322221111e80701"},
      {"an unlimited link without an expiry",
       {used, Signed{true, {}, {}}, Delivered{kVersion, 1000, 0, 1000, 0, true}},
       "83044444333322221111e80701"},
      {"revoked, with all that a row may say",
       {used, once, LimitSet{1},
        Spoken{true, {5, kStartOf2026 - 1, kStartOf2026 + 1, shop::State::revoked, 2, 7}}},
       "f75801070a0102020702"},
      {"a limit from the folder's row", {used, once, LimitSet{9}}, "8710010a"},
      {"unlimited by the folder's row", {used, once}, "87100100"},
      {"an unfinished copy, and bytes that were fetched twice",
       {used, Signed{true, 2, {}}, LimitSet{2}, Opened{kVersion, 1000, 1, 0, 430, 1000, false},
        Closed{1, 400, 30, false}, Opened{kVersion, 1000, 2, 100, 200, 200, false},
        Closed{2, 100, 0, true}, Opened{kVersion, 1000, 3, 500, 600, 600, false},
        Closed{3, 100, 0, true}},
       "8780010201004444333322221111e80700f604000002020090036464016464"},
      {"two versions, and doubt after a crash",
       {used, Signed{true, 5, {}}, LimitSet{5}, Opened{kVersion, 1000, 1, 0, 400, 1000, false},
        Opened{kOther, 2000, 2, 0, 2000, 2000, false}, Closed{2, 2000, 0, true}, Crashed{}},
       "8780010502004444333322221111e8070090030090030101009003008888777766665555"
       "d00f01d00f000000"},
      {"in flight",
       {used, once, LimitSet{1}, Opened{kVersion, 1000, 9, 100, 300, 900, false}, Settled{9, 150}},
       "8780030101004444333322221111e8070096010000010164960101090000fa0132d804"},
      {"late, for the finishing touch",
       {used, once, LimitSet{1}, Opened{kVersion, 1000, 1, 0, 1000, 1000, false},
        Closed{1, 1000, 0, true}, Opened{kVersion, 1000, 2, 900, 1000, 1000, true}, Settled{2, 40}},
       "8781030101004444333322221111e80701900828000001020001ac073c00"},
      {"in flight from before a reset",
       {used, once, LimitSet{1}, Opened{kVersion, 1000, 1, 0, 100, 1000, false},
        Spoken{true, {{}, {}, {}, shop::State::active, 3, 0}},
        Opened{kVersion, 1000, 2, 0, 1000, 1000, false}},
       "97c0030103000201004444333322221111e8070000000000004444333322221111e80700"
       "00000000020100000064840702010000e80700"},
      {"told of more than counts now, since the limit went",
       {used, once, LimitSet{1}, Opened{kVersion, 1000, 1, 0, 1000, 1000, false},
        Closed{1, 0, 1000, false}, Opened{kVersion, 1000, 2, 0, 1000, 1000, false},
        Closed{2, 0, 1000, false}, Opened{kVersion, 1000, 3, 0, 1000, 1000, false},
        Closed{3, 0, 1000, false}, LimitSet{std::nullopt}},
       "87b001010001004444333322221111e80700b81700000001"},
  };
  return all;
}

// The file format, as it is on disks: a change here needs a new kFormatVersion.
TEST(AccountImage, HasTheBytesItAlwaysHad) {
  for (const Sample& sample : samples()) {
    EXPECT_EQ(hex(image_after(sample.changes)), sample.image) << sample.what;
  }
}

TEST(AccountImage, OfATypicalLinkIsAtMost22Bytes) {
  EXPECT_LE(image_after(kTypical).size(), 22u);
  // Whether it has expired, is blocked or was used up: what most links are in the end.
  for (const std::uint64_t copies : {2u, 3u}) {
    auto changes = kTypical;
    for (std::uint64_t i = 1; i < copies; ++i) {
      changes.insert(changes.end(), kTypical.end() - 2, kTypical.end());
    }
    EXPECT_LE(image_after(changes).size(), 22u) << copies;
  }
}

TEST(AccountImage, OfATypicalLinkIsWhatThePaperSays) {
  const auto f = ImageFields::read(image_after(kTypical));
  ASSERT_TRUE(f);
  EXPECT_EQ(f->flags, 1u << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 9);
  EXPECT_EQ(f->signed_limit, 3u);
  EXPECT_EQ(f->signed_expiry, kInJune2026 - kStartOf2026);
  ASSERT_EQ(f->meters.size(), 1u);
  EXPECT_EQ(f->meters[0].version, kVersion.hash);
  EXPECT_EQ(f->meters[0].size, 640'000'000u);
  EXPECT_EQ(f->meters[0].copies, 1u);
  EXPECT_TRUE(f->flights.empty());
}

TEST(AccountImage, OfAllThatCanBeIsWhatThePaperSays) {
  const auto find = [](std::string_view what) {
    for (const Sample& s : samples()) {
      if (s.what == what) return ImageFields::read(image_after(s.changes)).value();
    }
    ADD_FAILURE() << what;
    return ImageFields{};
  };
  const auto revoked = find("revoked, with all that a row may say");
  EXPECT_EQ(revoked.flags >> 5 & 3, 3u);
  EXPECT_EQ(revoked.terms, 7);
  EXPECT_EQ(revoked.max_copies, 5);
  EXPECT_EQ(revoked.not_before, -1);
  EXPECT_EQ(revoked.expires_at, 1);
  EXPECT_EQ(revoked.reset_gen, 2u);
  EXPECT_EQ(revoked.used_elsewhere, 7u);
  EXPECT_EQ(revoked.limit, 2u) << "1, where the row would have made it 0";

  EXPECT_EQ(find("a limit from the folder's row").limit, 10u);
  EXPECT_EQ(find("unlimited by the folder's row").limit, 0u);
  EXPECT_EQ(find("unlimited by the folder's row").flags >> 11 & 1, 1u);
  EXPECT_EQ(find("its last copy delivered").flags >> 7 & 3, 1u) << "blocked by its copies";
  EXPECT_EQ(find("told of more than counts now, since the limit went").reported, 1u);

  using Meter = ImageFields::Meter;
  const auto unfinished = find("an unfinished copy, and bytes that were fetched twice");
  EXPECT_EQ(
      unfinished.meters,
      (std::vector<Meter>{
          {false, 0, kVersion.hash, 1000, 0, 630, 0, 0, {{{0, 400}, {100, 100}}, {{100, 100}}}}}));
  const auto two = find("two versions, and doubt after a crash");
  EXPECT_EQ(two.meters,
            (std::vector<Meter>{{false, 0, kVersion.hash, 1000, 0, 400, 0, 400, {{{0, 400}}}},
                                {false, 0, kOther.hash, 2000, 1, 2000, 0, 0, {}}}));
  using Flight = ImageFields::Flight;
  EXPECT_EQ(find("in flight").flights, (std::vector<Flight>{{9, 0, false, 250, 300, 900}}));
  const auto late = find("late, for the finishing touch");
  EXPECT_EQ(late.flights, (std::vector<Flight>{{2, 0, true, 940, 1000, 1000}}));
  EXPECT_EQ(late.meters, (std::vector<Meter>{{false, 0, kVersion.hash, 1000, 1, 1040, 40, 0, {}}}));
  const auto reset = find("in flight from before a reset");
  EXPECT_EQ(reset.meters, (std::vector<Meter>{{true, 0, kVersion.hash, 1000, 0, 0, 0, 0, {}},
                                              {false, 0, kVersion.hash, 1000, 0, 0, 0, 0, {}}}));
  EXPECT_EQ(reset.flights,
            (std::vector<Flight>{{1, 0, false, 0, 100, 1000}, {2, 1, false, 0, 1000, 1000}}));
}

TEST(AccountImage, GivesTheAccountBack) {
  for (const Sample& sample : samples()) {
    Account account(kWaste, "i1001-7");
    Entries entries;
    for (const Change& change : sample.changes) ASSERT_TRUE(account.replay(change, entries));
    Account woken(kWaste, "i1001-7");
    ASSERT_TRUE(woken.read_image(image_of(account))) << sample.what;
    EXPECT_EQ(image_of(woken), image_of(account)) << sample.what;
    Knowledge before = knowledge(account);
    before.identity.path.clear();  // in the files only
    EXPECT_TRUE(knowledge(woken) == before) << sample.what;
    EXPECT_EQ(woken.in_flight(), account.in_flight()) << sample.what;
  }
}

// Those of transfers that the last run had leased are told apart from new ones.
TEST(AccountImage, OfALinkInFlightGivesOtherNumbersToNewTransfers) {
  Account account(kWaste, "i1001-7");
  ASSERT_TRUE(account.read_image(image_after({Used{"", "/f"}, Signed{true, 5, {}}, LimitSet{5},
                                              Opened{kVersion, 1000, 9, 100, 300, 900, false}})));
  const Span whole{0, 1000};
  AdmitRequest r;
  r.link_id = "i1001-7";
  r.signed_limit = 5;
  r.version = kVersion;
  r.size = 1000;
  r.ranges = {&whole, 1};
  r.window_bytes = 1000;
  Entries entries;
  const auto admitted = account.admit(r, entries);
  ASSERT_TRUE(admitted);
  EXPECT_EQ(admitted->first_flight, 10u);
}

TEST(AccountImage, SaysWhenTheLinkExpiresWithoutBeingReadWhole) {
  struct Case {
    const char* what;
    std::vector<Change> changes;
    std::optional<std::int64_t> expires_at;
    bool in_flight;
  };
  const Spoken row{true, {5, 100, 200, shop::State::active, 2, 7}};
  const Spoken row_without{true, {5, 100, {}, shop::State::active, 2, 7}};
  const Opened opened{kVersion, 1000, 1, 0, 100, 1000, false};
  const Case cases[] = {
      {"nothing", {}, {}, false},
      {"as signed", {Signed{true, 1, 300}}, 300, false},
      {"as the shop says", {Signed{true, 1, 300}, row}, 200, false},
      {"as signed, since the row says nothing", {Signed{true, 1, 300}, row_without}, 300, false},
      {"never", {Signed{true, 1, {}}}, {}, false},
      {"before 1970", {Signed{true, 1, -5}}, -5, false},
      {"at the end of time", {Signed{true, 1, INT64_MAX}}, INT64_MAX, false},
      {"at its beginning", {Signed{true, 1, INT64_MIN}}, INT64_MIN, false},
      {"in flight", {Signed{true, 1, 300}, opened}, 300, true},
  };
  for (const Case& c : cases) {
    const auto terms = image_terms(image_after(c.changes));
    ASSERT_TRUE(terms) << c.what;
    EXPECT_EQ(terms->expires_at, c.expires_at) << c.what;
    EXPECT_EQ(terms->in_flight, c.in_flight) << c.what;
  }
  EXPECT_FALSE(image_terms(""));
  EXPECT_FALSE(image_terms("\x80"));
}

TEST(AccountImage, SaysWhatAnAdmissionAsksFirstWithoutBeingReadWhole) {
  std::size_t unfinished = 0;
  for (const Sample& sample : samples()) {
    Account account(kWaste, "i1001-7");
    Entries entries;
    for (const Change& change : sample.changes) ASSERT_TRUE(account.replay(change, entries));
    const auto glance = image_glance(image_of(account));
    ASSERT_TRUE(glance) << sample.what;
    EXPECT_EQ(glance->spoken, account.spoken()) << sample.what;
    EXPECT_EQ(glance->unfinished_copy, account.unfinished_copy()) << sample.what;
    unfinished += glance->unfinished_copy;
  }
  EXPECT_GT(unfinished, 0u);
  EXPECT_FALSE(image_glance(""));
  EXPECT_FALSE(image_glance("\x80"));
}

// -- damage -------------------------------------------------------------------------------------

// Whatever can be asked of an account, of one that nobody ever wrote.
class Hardship {
 public:
  explicit Hardship(std::string_view image) : account_(kWaste, "i1001-7") {
    usable_ = account_.read_image(image);
    if (usable_) fields_ = ImageFields::read(image);
  }
  [[nodiscard]] bool usable() const { return usable_; }

  void endure() {
    ASSERT_TRUE(fields_) << "an image that the paper does not allow was taken";
    const std::string again = image_of(account_);
    Account other(kWaste, "i1001-7");
    ASSERT_TRUE(other.read_image(again));
    EXPECT_EQ(image_of(other), again);
    EXPECT_TRUE(knowledge(other) == knowledge(account_));
    Account own(kWaste, "i1001-7");
    ASSERT_TRUE(own.read_image(again, true));
    EXPECT_TRUE(knowledge(own) == knowledge(account_));
    const auto glance = image_glance(again);
    ASSERT_TRUE(glance);
    EXPECT_EQ(glance->spoken, account_.spoken());
    EXPECT_EQ(glance->unfinished_copy, account_.unfinished_copy());
    const auto terms = image_terms(again);
    ASSERT_TRUE(terms);
    EXPECT_EQ(terms->in_flight, account_.in_flight() != 0);
    static_cast<void>(account_.unfinished_copy());
    for (const auto& meter : fields_->meters) {
      if (!meter.detached) download({meter.version}, meter.size);
    }
    for (const auto& flight : fields_->flights) finish(flight);
    download(kUnseen, 12'345);
    shop::Word word = account_.spoken().word;
    word.max_copies = 2;
    if (word.reset_gen != UINT32_MAX) ++word.reset_gen;
    account_.hear(word, word, out_);
    download(kUnseen, 12'345);
    ASSERT_TRUE(account_.replay(Crashed{}, out_));
    ASSERT_EQ(account_.in_flight(), 0u);
    static_cast<void>(account_.view());
  }

 private:
  void download(VersionKey version, std::uint64_t size) {
    const Span whole{0, size};
    AdmitRequest r;
    r.link_id = "i1001-7";
    r.path = "/f";
    r.signed_limit = 2;
    r.word = account_.spoken().word;
    r.version = version;
    r.size = size;
    r.ranges = {&whole, 1};
    r.window_bytes = size / 2;
    out_.clear();
    static_cast<void>(account_.peek(r));
    const auto admitted = account_.admit(r, out_);
    if (!admitted) return;
    const bool more = account_.lease(admitted->first_flight, size, out_) != LeaseAnswer::refused;
    account_.settle(admitted->first_flight, admitted->upto, out_);
    account_.close(admitted->first_flight, more ? size - admitted->upto : 0, 0, more, out_);
  }
  void finish(const ImageFields::Flight& f) {
    out_.clear();
    const bool more = account_.lease(f.id, f.last, out_) != LeaseAnswer::refused;
    account_.settle(f.id, f.upto - f.first, out_);
    account_.close(f.id, 0, more ? f.last - f.upto : 0, false, out_);
  }

  Account account_;
  bool usable_ = false;
  std::optional<ImageFields> fields_;
  Entries out_;
};

TEST(AccountImage, CutAtAnyByteIsRefused) {
  for (const Sample& sample : samples()) {
    const std::string image = image_after(sample.changes);
    for (std::size_t length = 0; length < image.size(); ++length) {
      const std::string cut = image.substr(0, length);  // a copy: ASan sees a read beyond it
      EXPECT_FALSE(Hardship(cut).usable()) << sample.what << " cut at " << length;
    }
    EXPECT_FALSE(Hardship(image + '\0').usable()) << sample.what << " and more";
  }
}

TEST(AccountImage, WithAnyByteChangedIsRefusedOrIsThatOfAnAccountThatWorks) {
  std::size_t refused = 0;
  std::size_t taken = 0;
  for (const Sample& sample : samples()) {
    const std::string image = image_after(sample.changes);
    for (std::size_t at = 0; at < image.size(); ++at) {
      for (int value = 0; value < 256; ++value) {
        std::string changed = image;
        changed[at] = static_cast<char>(value);
        Hardship hardship(changed);
        if (!hardship.usable()) {
          ++refused;
          continue;
        }
        ++taken;
        ASSERT_NO_FATAL_FAILURE(hardship.endure())
            << sample.what << ", byte " << at << " = " << value << ": " << hex(changed);
      }
    }
  }
  EXPECT_GT(refused, 0u);
  EXPECT_GT(taken, 0u);
}

TEST(AccountImage, WithManyBytesChangedIsRefusedOrIsThatOfAnAccountThatWorks) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  AccountHistory history(seed, {});
  history.run(2000);
  for (int round = 0; round < 20'000; ++round) {
    std::string image = history.steps[random() % history.steps.size()].image;
    if (image.empty()) continue;
    for (auto changes = random() % 4 + 1; changes != 0; --changes) {
      constexpr unsigned char kTelling[] = {0, 1, 2, 0x7f, 0x80, 0xff};
      image[random() % image.size()] = static_cast<char>(kTelling[random() % 6]);
    }
    Hardship hardship(image);
    if (!hardship.usable()) continue;
    ASSERT_NO_FATAL_FAILURE(hardship.endure()) << hex(image);
  }
}

TEST(AccountImage, ThatNobodyWritesIsRefused) {
  // Flags, then what they announce; a meter of 8 bytes, size 10, and its counters.
  const std::string version(8, 'v');
  const std::string meter = std::string("\x80\x80\x01\x01", 4);  // flags: meters; one
  const auto with = [&](std::string_view counters) {
    return meter + '\0' + version + '\x0a' + std::string(counters);
  };
  const struct {
    const char* what;
    std::string image;
    bool good;
  } cases[] = {
      {"the last flag there is, without what it announces", "\x80\x80\x02", false},
      {"a flag that nobody knows", "\x80\x80\x04", false},
      {"blocked for a reason that does not exist", "\x80\x03", false},
      {"row terms that say nothing", std::string("\x80\x08\x00", 3), false},
      {"a row term that nobody knows", std::string("\x80\x08\x08", 3), false},
      {"a limit beyond 32 bits", "\x80\x10\x81\x80\x80\x80\x10", false},
      {"the largest limit", "\x80\x10\x80\x80\x80\x80\x10", true},
      {"no meters, where some are announced", std::string("\x80\x80\x01\x00", 4), false},
      {"a meter", with(std::string_view("\0\x05\0\0\0", 5)), true},
      {"all of its traffic in doubt", with(std::string_view("\0\x05\0\x05\0", 5)), true},
      {"more doubt than traffic", with(std::string_view("\0\x05\0\x06\0", 5)), false},
      {"all of its traffic late", with(std::string_view("\0\x05\x05\0\0", 5)), true},
      {"more late than traffic", with(std::string_view("\0\x05\x06\0\0", 5)), false},
      {"as much delivered as left",
       with(std::string_view("\0\x07\0\0\x02\x01\x01\x04\x01\x02\x03", 11)), true},
      {"more delivered than left",
       with(std::string_view("\0\x06\0\0\x02\x01\x01\x04\x01\x02\x03", 11)), false},
      {"a layer up to the end", with(std::string_view("\0\x14\0\0\x01\x01\x01\x09", 8)), true},
      {"a layer beyond the end", with(std::string_view("\0\x14\0\0\x01\x01\x01\x0a", 8)), false},
      {"a layer that is a copy", with(std::string_view("\0\x14\0\0\x01\x01\x00\x0a", 8)), false},
      {"a layer without spans", with(std::string_view("\0\x14\0\0\x01\x00", 6)), false},
      {"an empty span", with(std::string_view("\0\x14\0\0\x01\x01\x01\x00", 8)), false},
      {"two spans", with(std::string_view("\0\x14\0\0\x01\x02\0\x01\x01\x01", 10)), true},
      {"two spans that touch", with(std::string_view("\0\x14\0\0\x01\x02\0\x01\0\x01", 10)), false},
      {"a layer within the one before",
       with(std::string_view("\0\x14\0\0\x02\x01\x01\x04\x01\x02\x03", 11)), true},
      {"a layer that the one before does not contain",
       with(std::string_view("\0\x14\0\0\x02\x01\x01\x04\x01\x02\x04", 11)), false},
      {"more layers than bytes", with(std::string_view("\0\x05\0\0\xff\xff\x03", 7)), false},
  };
  for (const auto& c : cases) EXPECT_EQ(Hardship(c.image).usable(), c.good) << c.what;
}

TEST(AccountImage, WithAFlightThatCannotBeIsRefused) {
  const std::string meter = std::string("\x80\x80\x03\x01", 4) + '\0' + std::string(8, 'v') +
                            '\x0a' + std::string("\0\0\0\0\0", 5);
  const struct {
    const char* what;
    std::string_view flights;
    bool good;
  } cases[] = {
      {"one", {"\x01\x01\x00\x00\x02\x03\x05", 7}, true},
      {"none", {"\x00", 1}, false},
      {"without a number", {"\x01\x00\x00\x00\x02\x03\x05", 7}, false},
      {"the largest number", {"\x01\xfe\xff\xff\xff\x0f\x00\x00\x02\x03\x05", 11}, true},
      {"a number too large", {"\x01\xff\xff\xff\xff\x0f\x00\x00\x02\x03\x05", 11}, false},
      {"of a meter that is not there", {"\x01\x01\x01\x00\x02\x03\x05", 7}, false},
      {"beyond the end", {"\x01\x01\x00\x00\x02\x03\x06", 7}, false},
      {"two", {"\x02\x01\x00\x00\x00\x01\x01\x02\x00\x00\x00\x01\x01", 13}, true},
      {"two with one number", {"\x02\x01\x00\x00\x00\x01\x01\x01\x00\x00\x00\x01\x01", 13}, false},
      {"not in their order", {"\x02\x02\x00\x00\x00\x01\x01\x01\x00\x00\x00\x01\x01", 13}, false},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(Hardship(meter + std::string(c.flights)).usable(), c.good) << c.what;
  }
}

}  // namespace
}  // namespace tallygate::ledger
