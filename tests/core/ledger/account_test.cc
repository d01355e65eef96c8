#include "core/ledger/account.h"

#include <gtest/gtest.h>

#include "tests/core/ledger/account_history.h"

namespace tallygate::ledger {
namespace {

class AccountTest : public testing::Test {
 protected:
  AdmitRequest whole(const shop::Word& word = {}) {
    AdmitRequest r;
    r.link_id = "a";
    r.path = "/f";
    r.signed_limit = 1;
    r.word = word;
    r.version = {1};
    r.size = kSize;
    r.ranges = {&range_, 1};
    r.window_bytes = kSize;
    return r;
  }
  static constexpr std::uint64_t kSize = 1000;
  Account account{2000, "a"};
  Entries out;

 private:
  const Span range_{0, kSize};
};

TEST_F(AccountTest, TellsOnceThatItIsUsed) {
  for (int i = 0; i < 3; ++i) {
    const auto admitted = account.admit(whole(), out);
    ASSERT_TRUE(admitted);
    account.close(admitted->first_flight, 1, 0, false, out);
  }
  EXPECT_EQ(std::count_if(out.events.begin(), out.events.end(),
                          [](const Event& e) { return std::holds_alternative<LinkUsed>(e.what); }),
            1);
}

// A raised limit pays for more waste, so that fewer copies would have been used up by it.
TEST_F(AccountTest, ShowsNoFewerCopiesThanItHasToldWhenTheLimitRises) {
  shop::Word word;
  word.max_copies = 7;
  for (int i = 0; i < 10; ++i) {
    const auto admitted = account.admit(whole(word), out);
    ASSERT_TRUE(admitted) << i;
    account.close(admitted->first_flight, 0, 950, false, out);
  }
  std::uint64_t told = 0;
  for (const Event& event : out.events) {
    if (const auto* counted = std::get_if<CopiesCounted>(&event.what)) told += counted->copies;
  }
  EXPECT_EQ(told, 6u) << "9.5 sizes, of which 3.5 are waste";
  EXPECT_EQ(account.view().counted, told);
  word.max_copies = 8;
  account.hear(word, word, out);
  EXPECT_EQ(account.view().counted, told);
}

std::vector<Used> uses(const Entries& entries) {
  std::vector<Used> found;
  std::string_view bytes = entries.bytes;
  while (const auto record = take_record(bytes)) {
    if (const auto* used = std::get_if<Used>(&record->what)) found.push_back(*used);
  }
  EXPECT_TRUE(bytes.empty());
  return found;
}

// Id and path of a link that rests are on disk only, and so the journal has them for whatever may
// be asked about; but not with every request.
TEST_F(AccountTest, RecordsItsPathAtTheFirstUseAndForEachNewVersion) {
  const struct {
    std::uint64_t version;
    const char* path;
    bool recorded;
  } requests[] = {
      {1, "/f", true}, {1, "/f", false}, {1, "/elsewhere", false},
      {2, "/g", true}, {1, "/f", false}, {2, "/g", false},
  };
  for (const auto& request : requests) {
    AdmitRequest r = whole();
    r.signed_limit = 9;
    r.version = {request.version};
    r.path = request.path;
    r.parent_id = "order";
    out = {};
    const auto admitted = account.admit(r, out);
    ASSERT_TRUE(admitted);
    std::vector<Used> expected;
    if (request.recorded) expected.push_back({"order", request.path});
    EXPECT_EQ(uses(out), expected);
    account.close(admitted->first_flight, 1, 0, false, out);
  }
  EXPECT_EQ(account.identity().path, "/g");
  EXPECT_EQ(account.identity().parent_id, "order");
}

TEST_F(AccountTest, IsBlankUntilSomethingIsRecorded) {
  EXPECT_TRUE(account.is_blank());
  EXPECT_FALSE(account.peek(whole()));
  EXPECT_TRUE(account.is_blank()) << "HEAD";
  EXPECT_FALSE(account.row_gone(out));
  EXPECT_TRUE(account.is_blank()) << "a row that never was";
  EXPECT_TRUE(out.empty());
  account.row_acknowledged(out);
  EXPECT_FALSE(account.is_blank());
  EXPECT_EQ(out.records, 1u);
}

TEST_F(AccountTest, LeavesNoEventsWhereNobodyFollows) {
  out.wants_events = false;
  const auto admitted = account.admit(whole(), out);
  account.close(admitted->first_flight, kSize, 0, true, out);
  record_ended("a", {}, out);
  EXPECT_TRUE(out.events.empty());
  EXPECT_EQ(out.records, 6u) << "signed, limit, used, opened with its lease, closed, ended";
}

TEST_F(AccountTest, TellsTheHistoryWhatEndedAndCountsNothingByIt) {
  const Knowledge before = knowledge(account);
  TransferEnded ended;
  ended.bytes_acked = kSize;
  record_ended("a", ended, out);
  ASSERT_EQ(out.events.size(), 1u);
  EXPECT_EQ(out.events[0], (Event{0, "a", ended}));
  std::string_view bytes = out.bytes;
  EXPECT_EQ(take_record(bytes), (Record{"a", ended}));
  EXPECT_EQ(knowledge(account), before);
}

TEST_F(AccountTest, ThatWasOnlyRefusedIsNotUsed) {
  shop::Word none;
  none.max_copies = 0;
  EXPECT_EQ(account.admit(whole(none), out).error(), Refusal::exhausted);
  EXPECT_FALSE(account.view().identity.used);
  EXPECT_TRUE(out.events.empty());
}

TEST_F(AccountTest, CountsACopyThatBeganBeforeAResetInTheGenerationBeforeIt) {
  const auto before = account.admit(whole(), out);
  ASSERT_TRUE(before);
  shop::Word reset;
  reset.reset_gen = 5;
  account.hear(reset, reset, out);
  const auto after = account.admit(whole(reset), out);
  ASSERT_TRUE(after) << "as new";
  out.events.clear();
  account.close(before->first_flight, kSize, 0, true, out);
  ASSERT_EQ(out.events.size(), 1u);
  EXPECT_EQ(std::get<CopiesCounted>(out.events[0].what), (CopiesCounted{0, 1}));
  EXPECT_EQ(account.view().copies, 0u);
  out.events.clear();
  account.close(after->first_flight, kSize, 0, true, out);
  ASSERT_EQ(out.events.size(), 2u);
  EXPECT_EQ(std::get<CopiesCounted>(out.events[0].what), (CopiesCounted{5, 1}));
  EXPECT_EQ(std::get<BlockedChanged>(out.events[1].what), BlockedChanged{Blocked::copies});
}

TEST_F(AccountTest, IsBlockedByItsLastCopyAndFreeAgainWithAHigherLimit) {
  const auto admitted = account.admit(whole(), out);
  account.close(admitted->first_flight, kSize, 0, true, out);
  ASSERT_TRUE(std::holds_alternative<BlockedChanged>(out.events.back().what));
  EXPECT_EQ(account.view().blocked, Blocked::copies);
  shop::Word more;
  more.max_copies = 2;
  account.hear(more, more, out);
  EXPECT_EQ(std::get<BlockedChanged>(out.events.back().what), BlockedChanged{Blocked::none});
  EXPECT_EQ(account.view().blocked, Blocked::none);
}

TEST_F(AccountTest, IsBlockedByTraffic) {
  Account thrifty(0, "a");  // no waste allowed beyond the allowance
  AdmitRequest r = whole();
  const Span first_half{0, kSize / 2};
  r.ranges = {&first_half, 1};
  for (int i = 0; i < 3; ++i) {
    const auto admitted = thrifty.admit(r, out);
    ASSERT_TRUE(admitted) << i;
    thrifty.close(admitted->first_flight, 0, kSize / 2, false, out);  // never acknowledged
  }
  EXPECT_EQ(std::get<BlockedChanged>(out.events.back().what), BlockedChanged{Blocked::traffic});
  EXPECT_EQ(thrifty.view().blocked, Blocked::traffic);
  EXPECT_EQ(thrifty.admit(whole(), out).error(), Refusal::traffic);
}

TEST_F(AccountTest, HeadLeavesNothingBehind) {
  const Knowledge before = knowledge(account);
  AdmitRequest r = whole();
  r.signed_limit.reset();
  EXPECT_FALSE(account.peek(r));
  EXPECT_EQ(knowledge(account), before);
  EXPECT_EQ(account.in_flight(), 0u);
}

// A HEAD for a version whose last copy the traffic cannot pay for must not block the version that
// customers are fetching.
TEST_F(AccountTest, HeadOfAnotherVersionDoesNotBlockTheLink) {
  Account thrifty(0, "a");
  AdmitRequest small = whole();
  const auto admitted = thrifty.admit(small, out);
  thrifty.close(admitted->first_flight, 0, 400, false, out);
  ASSERT_EQ(thrifty.view().blocked, Blocked::none) << "400 + 1000 is within 1000 + 500";
  AdmitRequest large = small;
  large.version = {2};
  large.size = 1 << 30;
  const Span byte{0, 1};
  large.ranges = {&byte, 1};
  EXPECT_FALSE(thrifty.peek(large));
  EXPECT_EQ(thrifty.view().blocked, Blocked::none) << "its allowance is a sixteenth, not a half";
}

TEST_F(AccountTest, WithoutALimitRecordsNoLeaseAndIsAdoptedWhenItGetsOne) {
  AdmitRequest r = whole();
  r.signed_limit.reset();
  const auto admitted = account.admit(r, out);
  ASSERT_TRUE(admitted);
  EXPECT_FALSE(admitted->counted);
  out = {};
  EXPECT_EQ(account.lease(admitted->first_flight, kSize, out), LeaseAnswer::free);
  EXPECT_TRUE(out.empty());
  shop::Word two;
  two.max_copies = 2;
  account.hear(two, two, out);
  std::string_view bytes = out.bytes;
  std::vector<std::size_t> kinds;
  while (const auto record = take_record(bytes)) kinds.push_back(record->what.index());
  EXPECT_EQ(kinds, (std::vector<std::size_t>{2, 4, 3})) << "Spoken, Opened, LimitSet";
}

TEST_F(AccountTest, RemembersTheLargestLimitAndTheLatestExpiryOfItsUrls) {
  struct {
    Limit limit;
    std::optional<std::int64_t> expires_at;
    Limit then;
    std::optional<std::int64_t> expires_then;
  } const urls[] = {
      {2, 100, 2, 100}, {1, 200, 2, 200},           {3, 50, 3, 200},
      {3, {}, 3, 200},  {std::nullopt, 1, {}, 200}, {9, 1, {}, 200},
  };
  for (const auto& url : urls) {
    AdmitRequest r = whole();
    r.signed_limit = url.limit;
    r.expires_at = url.expires_at;
    const auto admitted = account.admit(r, out);
    ASSERT_TRUE(admitted);
    account.close(admitted->first_flight, 0, 0, false, out);
    EXPECT_EQ(account.view().limit, url.then);
    EXPECT_EQ(account.view().signed_terms.expires_at, url.expires_then);
  }
}

TEST_F(AccountTest, TakesAMissingRowForRevokedOnlyIfItWasThere) {
  EXPECT_FALSE(account.row_gone(out));
  account.row_acknowledged(out);
  EXPECT_TRUE(account.row_gone(out));
  EXPECT_EQ(account.spoken().word.state, shop::State::revoked);
  EXPECT_FALSE(account.row_gone(out)) << "once";
}

TEST_F(AccountTest, NeverGoesBackToAnEarlierGeneration) {
  shop::Word reset;
  reset.reset_gen = 3;
  account.hear(reset, reset, out);
  const auto admitted = account.admit(whole(reset), out);
  account.close(admitted->first_flight, kSize, 0, true, out);
  shop::Word yesterday;
  yesterday.reset_gen = 1;
  account.hear(yesterday, yesterday, out);
  EXPECT_EQ(account.spoken().word.reset_gen, 3u);
  EXPECT_EQ(account.view().copies, 1u);
}

}  // namespace
}  // namespace tallygate::ledger
