// That records and images say all that there is to know of a link, on many random lives of one.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "core/ledger/account.h"
#include "tests/core/ledger/account_history.h"
#include "tests/core/ledger/bytes.h"
#include "tests/core/ledger/image_fields.h"
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

// Id, parent and path are in no image.
Knowledge without_path(Knowledge knowledge) {
  knowledge.identity.parent_id.clear();
  knowledge.identity.path.clear();
  return knowledge;
}

void expect_same_image(const std::string& a, const std::string& b, const char* what) {
  const auto fields_a = ImageFields::read(a);
  const auto fields_b = ImageFields::read(b);
  ASSERT_TRUE(fields_a && fields_b) << what;
  ASSERT_EQ(fields_a->in_order(), fields_b->in_order()) << what << "\n" << hex(a) << "\n" << hex(b);
}

// -- replaying ----------------------------------------------------------------------------------

TEST(AccountReplay, OfEveryPrefixOfTheRecordsKnowsWhatTheLiveAccountKnew) {
  for_many_histories({}, [](AccountHistory& h, const auto& options, auto&) {
    Replayed replayed(options.waste_permille);
    std::string_view bytes = h.bytes;
    std::size_t images = 0;
    for (const auto& step : h.steps) {
      while (replayed.records < step.records) {
        ASSERT_TRUE(replayed.take(bytes)) << step.what << ", record " << replayed.records;
      }
      ASSERT_EQ(knowledge(replayed.account), step.knowledge) << step.what << " " << step.records;
      if (step.image.empty()) continue;
      ++images;
      std::string image;
      replayed.account.write_image(image);
      ASSERT_NO_FATAL_FAILURE(expect_same_image(image, step.image, step.what));
    }
    EXPECT_TRUE(bytes.empty());
    EXPECT_GT(images, 0u);
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

TEST(AccountReplay, OfAnImageAndTheRecordsAfterItIsReplayOfAll) {
  for_many_histories({}, [](AccountHistory& h, const auto& options, auto& random) {
    h.finish();
    const Knowledge end = without_path(knowledge(h.live()));
    std::string_view rest = h.bytes;
    Replayed whole(options.waste_permille);
    for (const auto& step : h.steps) {
      while (whole.records < step.records) ASSERT_TRUE(whole.take(rest));
      if (step.image.empty() || random() % 8 != 0) continue;
      Replayed later(options.waste_permille);
      ASSERT_TRUE(later.account.read_image(step.image)) << step.what;
      later.records = step.records;
      std::string_view bytes = rest;
      while (!bytes.empty()) ASSERT_TRUE(later.take(bytes)) << "after " << step.what;
      ASSERT_EQ(without_path(knowledge(later.account)), end) << "from " << step.records;
      const auto unseen = std::find_if(h.events.begin(), h.events.end(),
                                       [&](const Event& e) { return e.seq >= step.records; });
      ASSERT_EQ(later.events, std::vector<Event>(unseen, h.events.end()));
    }
  });
}

TEST(AccountReplay, OfACrashAfterAnImageIsThatOfACrashAfterItsRecords) {
  std::size_t with_flights = 0;
  for_many_histories({}, [&](AccountHistory& h, const auto& options, auto& random) {
    for (const auto& step : h.steps) {
      if (step.image.empty() || random() % 8 != 0) continue;
      Account crashed(options.waste_permille, kHistoryLink);
      ASSERT_TRUE(crashed.read_image(step.image));
      with_flights += crashed.in_flight() != 0;
      Entries entries;
      ASSERT_TRUE(crashed.replay(Crashed{}, entries));
      EXPECT_EQ(crashed.in_flight(), 0u);

      Replayed other(options.waste_permille);
      std::string_view bytes = h.bytes;
      while (other.records < step.records) ASSERT_TRUE(other.take(bytes));
      Entries other_entries;
      ASSERT_TRUE(other.account.replay(Crashed{}, other_entries));
      ASSERT_EQ(without_path(knowledge(crashed)), without_path(knowledge(other.account)));
      ASSERT_EQ(entries.events, other_entries.events);
    }
  });
  EXPECT_GT(with_flights, 0u);
}

// An account that becomes an image whenever nothing is in flight, as it does in the ledger, and one
// that never does: customers, the shop and the journal cannot tell them apart.
TEST(AccountReplay, OfALinkThatRestsIsThatOfALinkThatDoesNot) {
  std::size_t rests = 0;
  for_many_histories({}, [&](AccountHistory& awake, const auto& options, auto&) {
    AccountHistory::Options o = options;
    o.rests = true;
    AccountHistory rested(awake.seed, o);
    rested.run(kSteps);
    ASSERT_TRUE(rested.wakes);
    rests += rested.rested;
    ASSERT_EQ(rested.steps.size(), awake.steps.size());
    for (std::size_t i = 0; i < awake.steps.size(); ++i) {
      ASSERT_STREQ(rested.steps[i].what, awake.steps[i].what);
      ASSERT_EQ(rested.steps[i].records, awake.steps[i].records) << awake.steps[i].what;
      ASSERT_EQ(without_path(rested.steps[i].knowledge), without_path(awake.steps[i].knowledge))
          << i << " " << awake.steps[i].what;
    }
    ASSERT_EQ(rested.events, awake.events);
  });
  EXPECT_GT(rests, 0u);
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
      ASSERT_TRUE(replayed.account.replay(Crashed{}, entries));
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
    const AccountView view = h.live().view();
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
  // Twenty times the largest is still a number of bytes.
  const auto size = [&]() -> std::uint64_t {
    constexpr std::uint64_t kTelling[] = {0, 1, 1000, UINT32_MAX, UINT64_MAX / 32};
    return kTelling[random() % std::size(kTelling)];
  };
  const auto flight = [&] { return static_cast<std::uint32_t>(number()); };
  const auto version = [&] { return VersionKey{random() % 2}; };
  const auto samples = sample_records();
  int survivors = 0;
  for (int round = 0; round < 20'000; ++round) {
    Account account(2000, "a");
    Entries entries;
    bool usable = true;
    for (auto i = random() % 20 + 1; usable && i != 0; --i) {
      Change change;
      switch (random() % 7) {
        case 0:
          change = samples[random() % samples.size()].what;
          break;
        case 1:
          change = Opened{version(), size(), flight(), number(), number(), number(), false};
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
          change = Delivered{version(), size(), number(), number(), number(), random() % 2 == 0};
          break;
        default:
          change = LimitSet{random() % 2 ? Limit() : Limit(flight())};
      }
      usable = account.replay(change, entries);
    }
    static_cast<void>(account.view());
    if (!usable) continue;
    ++survivors;
    std::string image;
    account.write_image(image);
    Account woken(2000, "a");
    ASSERT_TRUE(woken.read_image(image)) << hex(image);
  }
  EXPECT_GT(survivors, 0);
}

TEST(AccountReplay, RefusesWhatCannotFollow) {
  const VersionKey v{1};
  const Used used{"", "/f"};
  const Opened opened{v, 1000, 1, 100, 300, 900, false};
  struct Case {
    const char* what;
    std::vector<Change> before;
    Change change;
    bool good;
  };
  const Case cases[] = {
      {"a limit first", {}, LimitSet{1}, true},
      {"a use", {}, used, true},
      {"a use of another path", {used}, Used{"p", "/g"}, true},
      {"the end of a transfer that left nothing else", {}, TransferEnded{}, true},
      {"a crash with nothing in flight", {}, Crashed{}, true},
      {"doubt that is resolved and was none", {}, Resolved{}, true},
      {"a crash with something in flight", {used, opened}, Crashed{}, true},
      {"forgetting what nobody knows", {}, Forgotten{}, true},
      {"forgetting what is in flight", {used, opened}, Forgotten{}, false},
      {"a flight", {used}, opened, true},
      {"a flight without a number", {used}, Opened{v, 1000, 0, 0, 0, 1, false}, false},
      {"the largest number", {used}, Opened{v, 1000, UINT32_MAX - 1, 0, 0, 1, false}, true},
      {"a number too large", {used}, Opened{v, 1000, UINT32_MAX, 0, 0, 1, false}, false},
      {"a flight twice", {used, opened}, opened, false},
      {"a flight beyond the file", {used}, Opened{v, 899, 1, 100, 300, 900, false}, false},
      {"a flight that ends before its lease", {used}, Opened{v, 1000, 1, 0, 9, 8, false}, false},
      {"a lease behind its begin", {used}, Opened{v, 1000, 1, 9, 8, 10, false}, false},
      {"the same version with another size",
       {used, opened},
       Opened{v, 1001, 2, 0, 0, 1, false},
       false},
      {"a lease to the end", {used, opened}, Leased{1, 900}, true},
      {"a lease beyond the end", {used, opened}, Leased{1, 901}, false},
      {"a lease that shrinks", {used, opened}, Leased{1, 299}, false},
      {"a lease of nobody", {used, opened}, Leased{2, 900}, false},
      {"all of the lease acknowledged", {used, opened}, Settled{1, 200}, true},
      {"more than the lease acknowledged", {used, opened}, Settled{1, 201}, false},
      {"nobody's bytes acknowledged", {used}, Settled{1, 0}, false},
      {"all of the lease left", {used, opened}, Closed{1, 150, 50, false}, true},
      {"more than the lease left", {used, opened}, Closed{1, 150, 51, false}, false},
      {"more than the lease arrived", {used, opened}, Closed{1, 201, 0, false}, false},
      {"the end of nobody", {used}, Closed{1, 0, 0, false}, false},
      {"unleased bytes to the end", {used}, Delivered{v, 10, 2, 3, 5, false}, true},
      {"unleased bytes beyond the end", {used}, Delivered{v, 10, 2, 3, 6, false}, false},
      {"unleased bytes that wrap", {used}, Delivered{v, 10, 2, UINT64_MAX, 1, false}, false},
      {"unleased bytes that begin behind it", {used}, Delivered{v, 10, 11, 0, 0, false}, false},
  };
  for (const Case& c : cases) {
    Account account(2000, "a");
    Entries entries;
    for (const Change& change : c.before) ASSERT_TRUE(account.replay(change, entries)) << c.what;
    EXPECT_EQ(account.replay(c.change, entries), c.good) << c.what;
  }
}

}  // namespace
}  // namespace tallygate::ledger
