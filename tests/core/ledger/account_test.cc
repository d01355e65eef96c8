#include "core/ledger/account.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/core/ledger/account_history.h"
#include "tests/core/ledger/sample_records.h"
#include "tests/support/seed.h"

namespace tallygate::ledger {

void PrintTo(const Event& event, std::ostream* out) {
  *out << "event " << event.seq << " kind " << event.what.index();
  if (const auto* counted = std::get_if<CopiesCounted>(&event.what)) {
    *out << " copies " << counted->copies << " gen " << counted->reset_gen;
  }
  if (const auto* blocked = std::get_if<BlockedChanged>(&event.what)) {
    *out << " blocked " << static_cast<int>(blocked->blocked);
  }
}
void PrintTo(const Knowledge& k, std::ostream* out) {
  *out << fmt::format(
      "limit {} counted {} copies {} traffic {} blocked {} unfinished {} flights {}",
      k.limit ? static_cast<int>(*k.limit) : -1, k.counted, k.copies, k.traffic,
      static_cast<int>(k.blocked), k.unfinished_copy, k.in_flight.value_or(999));
}

namespace {

constexpr int kHistories = 400;
constexpr int kSteps = 120;

// Runs `check(history, random)` on many histories, each with a seed of its own.
template <class Check>
void for_many_histories(const AccountHistory::Options& options, Check check) {
  const std::uint64_t base = test_seed();
  for (int i = 0; i < kHistories && !testing::Test::HasFailure(); ++i) {
    const std::uint64_t seed = base + static_cast<std::uint64_t>(i);
    SCOPED_TRACE(seed_note(seed));
    AccountHistory::Options o = options;
    o.waste_permille = seed % 2 == 0 ? 2000 : 0;
    AccountHistory history(seed, o);
    history.run(kSteps);
    std::mt19937_64 random(seed);
    check(history, o, random);
  }
}

std::string decoded_standing(const std::string& snapshot) {
  // Meters come in the order of their first use; a replay may have met them in another.
  std::string_view view = snapshot;
  auto record = take_record(view);
  if (!record) return "no record";
  auto& meters = std::get<Standing>(record->what).meters;
  std::erase_if(meters, [](const Meter& m) { return m.traffic == 0 && m.copies == 0; });
  std::sort(meters.begin(), meters.end(),
            [](const Meter& a, const Meter& b) { return a.version < b.version; });
  Entries entries;
  append(entries, *record);
  return entries.bytes;
}

// -- replaying ----------------------------------------------------------------------------------

TEST(AccountReplay, OfEveryPrefixOfTheRecordsKnowsWhatTheLiveAccountKnew) {
  for_many_histories({}, [](AccountHistory& h, const auto& options, auto&) {
    Replayed replayed(options.waste_permille);
    std::string_view bytes = h.bytes;
    for (const auto& step : h.steps) {
      while (replayed.records < step.records) {
        ASSERT_TRUE(replayed.take(bytes)) << step.what << ", record " << replayed.records;
      }
      ASSERT_EQ(knowledge(replayed.account), step.knowledge) << step.what << " " << step.records;
      if (step.snapshot.empty() || replayed.account.in_flight() != 0) continue;
      Entries standing;
      replayed.account.snapshot(standing);
      ASSERT_EQ(decoded_standing(standing.bytes), decoded_standing(step.snapshot)) << step.what;
    }
    EXPECT_TRUE(bytes.empty());
  });
}

TEST(AccountReplay, GivesTheSameEventsWithTheSameNumbers) {
  for_many_histories({}, [](AccountHistory& h, const auto& options, auto&) {
    h.finish();
    Replayed replayed(options.waste_permille);
    std::string_view bytes = h.bytes;
    while (!bytes.empty()) ASSERT_TRUE(replayed.take(bytes));
    ASSERT_EQ(replayed.events.size(), h.events.size());
    for (std::size_t i = 0; i < h.events.size(); ++i) ASSERT_EQ(replayed.events[i], h.events[i]);
  });
}

TEST(AccountReplay, OfASnapshotAndTheRecordsAfterItIsReplayOfAll) {
  for_many_histories({}, [](AccountHistory& h, const auto& options, auto&) {
    h.finish();
    const Knowledge end = knowledge(h.live);
    std::string_view rest = h.bytes;
    Replayed whole(options.waste_permille);
    for (const auto& step : h.steps) {
      while (whole.records < step.records) ASSERT_TRUE(whole.take(rest));
      if (step.snapshot.empty()) continue;
      Replayed later(options.waste_permille);
      std::string_view snapshot = step.snapshot;
      ASSERT_TRUE(later.take(snapshot));
      later.records = step.records;
      std::string_view bytes = rest;
      while (!bytes.empty()) ASSERT_TRUE(later.take(bytes)) << "after " << step.what;
      ASSERT_EQ(knowledge(later.account), end) << "from " << step.records;
      std::vector<Event> expected;
      for (const Event& e : h.events) {
        if (e.seq >= step.records) expected.push_back(e);
      }
      ASSERT_EQ(later.events, expected);
    }
  });
}

TEST(AccountReplay, AfterACrashAtAnyRecordStaysWithinTheLimit) {
  const AccountHistory::Options rising{.limit_falls = false};
  for_many_histories(rising, [](AccountHistory& h, const auto& options, auto& random) {
    for (int crash = 0; crash < 8; ++crash) {
      const std::uint64_t survive = random() % (h.records + 1);
      Replayed replayed(options.waste_permille);
      std::string_view bytes = h.bytes;
      while (replayed.records < survive) ASSERT_TRUE(replayed.take(bytes));
      const AccountView before = replayed.account.view();
      Entries entries;
      ASSERT_EQ(replayed.account.replay(Crashed{}, entries), survive != 0);
      const AccountView after = replayed.account.view();
      EXPECT_EQ(after.in_flight, 0u);
      EXPECT_GE(after.copies, before.copies);
      EXPECT_GE(after.traffic_bytes, before.traffic_bytes);
      ASSERT_LE(after.copies, after.limit.value_or(UINT32_MAX)) << "crash after " << survive;
    }
  });
}

TEST(AccountReplay, ReportsExactlyWhatIsCountedInEachGeneration) {
  const AccountHistory::Options rising{.limit_falls = false};
  for_many_histories(rising, [](AccountHistory& h, const auto&, auto&) {
    h.finish();
    std::map<std::uint32_t, std::uint64_t> told;
    std::size_t used = 0;
    Blocked blocked = Blocked::none;
    for (const Event& e : h.events) {
      if (const auto* c = std::get_if<CopiesCounted>(&e.what)) {
        EXPECT_GT(c->copies, 0u);
        told[c->reset_gen] += c->copies;
      }
      if (const auto* b = std::get_if<BlockedChanged>(&e.what)) {
        EXPECT_NE(b->blocked, blocked) << "no change";
        blocked = b->blocked;
      }
      used += std::holds_alternative<LinkUsed>(e.what);
    }
    const AccountView view = h.live.view();
    EXPECT_EQ(told[view.spoken.word.reset_gen], view.counted);
    EXPECT_EQ(used, view.identity.used ? 1u : 0u);
    EXPECT_EQ(blocked, view.blocked);
  });
}

// -- nonsense -----------------------------------------------------------------------------------

TEST(AccountReplay, OfNonsenseIsRefusedOrHarmless) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  const auto number = [&]() -> std::uint64_t {
    constexpr std::uint64_t kTelling[] = {0, 1, 2, 9, 500, 1000, 1001, UINT32_MAX, UINT64_MAX};
    return kTelling[random() % std::size(kTelling)];
  };
  const auto flight = [&] { return static_cast<std::uint32_t>(number()); };
  const auto version = [&] { return VersionKey{0, random() % 2}; };
  const auto samples = sample_records();
  for (int round = 0; round < 20'000; ++round) {
    Account account(2000);
    Entries entries;
    for (int i = 0; i < 20; ++i) {
      Change change;
      switch (random() % 7) {
        case 0:
          change = samples[random() % samples.size()].what;
          break;
        case 1:
          change = Opened{version(), number(), flight(), number(), number(), number(), false};
          break;
        case 2:
          change = Leased{flight(), number()};
          break;
        case 3:
          change = Settled{flight(), number()};
          break;
        case 4:
          change = Closed{flight(), number(), number(), random() % 2 == 0};
          break;
        case 5:
          change = Delivered{version(), number(), number(), number(), number(), random() % 2 == 0};
          break;
        default:
          change = LimitSet{random() % 2 ? Limit() : Limit(flight())};
      }
      if (!account.replay(change, entries)) break;  // unusable from here on
    }
    static_cast<void>(account.view());
  }
}

TEST(AccountReplay, RefusesWhatCannotFollow) {
  const VersionKey v{1, 2};
  const Identity identity{"a", "", "/f", true};
  const Opened opened{v, 1000, 1, 100, 300, 900, false};
  struct Case {
    const char* what;
    std::vector<Change> before;
    Change change;
    bool good;
  };
  const Case cases[] = {
      {"a change of a link that nothing introduced", {}, LimitSet{1}, false},
      {"an identity first", {}, identity, true},
      {"an identity without an id", {}, Identity{}, false},
      {"another path", {identity}, Identity{"a", "", "/g", true}, true},
      {"another id", {identity}, Identity{"b", "", "/f", true}, false},
      {"a standing first", {}, Standing{identity, {}, {}, {}, 0, Blocked::none, {}}, true},
      {"a standing later", {identity}, Standing{identity, {}, {}, {}, 0, Blocked::none, {}}, false},
      {"a version twice",
       {},
       Standing{identity, {}, {}, {}, 0, Blocked::none, {Meter(v, 1), Meter(v, 1)}},
       false},
      {"a flight", {identity}, opened, true},
      {"a flight twice", {identity, opened}, opened, false},
      {"a flight beyond the file", {identity}, Opened{v, 899, 1, 100, 300, 900, false}, false},
      {"a flight that ends before its lease",
       {identity},
       Opened{v, 1000, 1, 0, 9, 8, false},
       false},
      {"a lease behind its begin", {identity}, Opened{v, 1000, 1, 9, 8, 10, false}, false},
      {"the same version with another size",
       {identity, opened},
       Opened{v, 1001, 2, 0, 0, 1, false},
       false},
      {"a lease to the end", {identity, opened}, Leased{1, 900}, true},
      {"a lease beyond the end", {identity, opened}, Leased{1, 901}, false},
      {"a lease that shrinks", {identity, opened}, Leased{1, 299}, false},
      {"a lease of nobody", {identity, opened}, Leased{2, 900}, false},
      {"all of the lease acknowledged", {identity, opened}, Settled{1, 200}, true},
      {"more than the lease acknowledged", {identity, opened}, Settled{1, 201}, false},
      {"nobody's bytes acknowledged", {identity}, Settled{1, 0}, false},
      {"all of the lease left", {identity, opened}, Closed{1, 150, 50, false}, true},
      {"more than the lease left", {identity, opened}, Closed{1, 150, 51, false}, false},
      {"more than the lease arrived", {identity, opened}, Closed{1, 201, 0, false}, false},
      {"the end of nobody", {identity}, Closed{1, 0, 0, false}, false},
      {"unleased bytes to the end", {identity}, Delivered{v, 10, 2, 3, 5, false}, true},
      {"unleased bytes beyond the end", {identity}, Delivered{v, 10, 2, 3, 6, false}, false},
      {"unleased bytes that wrap", {identity}, Delivered{v, 10, 2, UINT64_MAX, 1, false}, false},
      {"unleased bytes that begin behind it", {identity}, Delivered{v, 10, 11, 0, 0, false}, false},
  };
  for (const Case& c : cases) {
    Account account(2000);
    Entries entries;
    for (const Change& change : c.before) ASSERT_TRUE(account.replay(change, entries)) << c.what;
    EXPECT_EQ(account.replay(c.change, entries), c.good) << c.what;
  }
}

// -- one thing at a time ------------------------------------------------------------------------

class AccountTest : public testing::Test {
 protected:
  AccountTest() : account(2000) {
    Entries entries;
    account.introduce("a", "", entries);
  }
  AdmitRequest whole(const shop::Word& word = {}) {
    AdmitRequest r;
    r.link_id = "a";
    r.path = "/f";
    r.signed_limit = 1;
    r.word = word;
    r.version = {0, 1};
    r.size = kSize;
    r.ranges = {&range_, 1};
    r.window_bytes = kSize;
    return r;
  }
  static constexpr std::uint64_t kSize = 1000;
  Account account;
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
  Account thrifty(0);  // no waste allowed beyond the allowance
  thrifty.introduce("a", "", out);
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
  Account thrifty(0);
  thrifty.introduce("a", "", out);
  AdmitRequest small = whole();
  const auto admitted = thrifty.admit(small, out);
  thrifty.close(admitted->first_flight, 0, 400, false, out);
  ASSERT_EQ(thrifty.view().blocked, Blocked::none) << "400 + 1000 is within 1000 + 500";
  AdmitRequest large = small;
  large.version = {0, 2};
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
