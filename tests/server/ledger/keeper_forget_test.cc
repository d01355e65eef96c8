// Which links the keeper forgets, and that it is never the wrong one.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>

#include "server/ledger/files.h"
#include "server/ledger/keeper.h"
#include "tests/server/ledger/ledger_rig.h"
#include "tests/support/seed.h"

namespace tallygate::ledger {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kDay = 86'400;
constexpr Limit kUnlimited = std::nullopt;

class KeeperForget : public testing::Test {
 protected:
  KeeperForget() {
    rig.options.keep_expired = std::chrono::seconds(3 * kDay);
    // Nobody follows: a link that comes again would be told as used once more.
    rig.options.follower_cursor = {};
    open();
  }
  void open() {
    auto opened =
        Ledger::open(rig.disk.directory(), rig.options, rig.clock, {}, [](const std::string&) {});
    ASSERT_TRUE(opened) << opened.error();
    rig.ledger = std::move(*opened);
  }
  void reopen() {
    rig.close();
    open();
  }
  void drain() {
    while (rig.ledger->turn()) {
    }
  }
  // Used, not in flight any more.
  void use(const std::string& id, std::optional<std::int64_t> expires_at, Limit limit = 9) {
    ASSERT_TRUE(rig.download({.link_id = id, .limit = limit, .expires_at = expires_at}));
    drain();
  }
  // Both clocks run, and the keeper sees it.
  void pass(std::chrono::seconds time) {
    for (; time > 1h; time -= 1h) {
      rig.clock.advance(1h);
      rig.ledger->turn();
    }
    rig.clock.advance(time);
    rig.ledger->turn();
  }
  void snapshot() {
    rig.ledger->turn();
    ASSERT_EQ(rig.ledger->take_snapshot(), "");
    drain();
  }
  [[nodiscard]] bool knows(const std::string& id) const { return rig.ledger->knows(id); }

  LedgerRig rig;
  const std::int64_t start = rig.clock.unix_now();
  std::mt19937_64 random{1};
};

TEST_F(KeeperForget, AfterAReloadAsLongAsItSays) {
  use("expired", start);
  pass(48h);
  snapshot();
  EXPECT_TRUE(knows("expired"));
  rig.ledger->use(rig.options.waste_permille, 24h);
  snapshot();
  EXPECT_FALSE(knows("expired"));
}

TEST_F(KeeperForget, ALinkThatExpiredLongAgo) {
  use("expired", start);
  use("later", start + 1);
  use("never", {});
  pass(72h);
  snapshot();
  EXPECT_TRUE(knows("expired")) << "exactly so long";
  pass(1s);
  EXPECT_TRUE(knows("expired")) << "not before the next snapshot";
  snapshot();
  EXPECT_FALSE(knows("expired"));
  EXPECT_FALSE(rig.ledger->find_use("expired"));
  EXPECT_TRUE(knows("later"));
  EXPECT_EQ(rig.ledger->links(), 2u);
  for (int run = 0; run < 3; ++run) {
    reopen();
    EXPECT_FALSE(knows("expired"));
    EXPECT_TRUE(knows("later"));
    EXPECT_TRUE(knows("never"));
    snapshot();
  }
}

TEST_F(KeeperForget, GoesByTheShopsOwnExpiryBeforeTheUrls) {
  use("prolonged", start);
  rig.ledger->hear("prolonged", {.expires_at = start + 30 * kDay}, true);
  use("shortened", start + 30 * kDay);
  rig.ledger->hear("shortened", {.expires_at = start}, true);
  use("for ever by URL", {});
  rig.ledger->hear("for ever by URL", {.expires_at = start}, true);
  rig.ledger->hear("never used", {.expires_at = start}, true);
  rig.ledger->hear("without end", {.max_copies = 1}, true);
  pass(73h);
  snapshot();
  EXPECT_TRUE(knows("prolonged"));
  EXPECT_FALSE(knows("shortened"));
  EXPECT_FALSE(knows("for ever by URL"));
  EXPECT_FALSE(knows("never used"));
  EXPECT_TRUE(knows("without end"));
}

TEST_F(KeeperForget, NothingThatIsInUse) {
  const auto counted = rig.admit({.link_id = "counted", .limit = 9, .expires_at = start});
  // Its transfer is not in the files: only the ledger knows.
  use("free", start, kUnlimited);
  const auto free = rig.admit({.link_id = "free", .limit = kUnlimited, .expires_at = start});
  drain();
  pass(73h);
  snapshot();
  EXPECT_TRUE(knows("counted"));
  EXPECT_TRUE(knows("free"));
  rig.ledger->close({counted->link, counted->first_flight}, 1000, 0, true);
  rig.ledger->close({free->link, free->first_flight}, 1000, 0, true);
  EXPECT_EQ(rig.copies("counted"), 1u);
  EXPECT_EQ(rig.copies("free"), 2u);
  drain();
  snapshot();
  EXPECT_FALSE(knows("counted"));
  EXPECT_FALSE(knows("free"));
}

TEST_F(KeeperForget, NothingThatWasGivenANewExpirySinceTheSegmentWasClosed) {
  use("by the shop", start);
  use("by a new URL", start);
  use("used once more", start);
  use("expired", start);
  pass(73h);
  // All of this comes while the snapshot is being made, before it asks.
  bool done = false;
  rig.disk.set_judge([&](DiskCall call, const std::string& name) -> FakeDisk::Fault {
    if (done || call != DiskCall::create || !name.starts_with("snapshot-")) return {};
    done = true;
    rig.ledger->hear("by the shop", {.expires_at = start + 30 * kDay}, false);
    const Span whole{0, 1000};
    for (const char* id : {"by a new URL", "used once more"}) {
      AdmitRequest request;
      request.link_id = id;
      request.path = "/f";
      request.signed_limit = kUnlimited;  // such a one waits for nothing
      request.expires_at = id == std::string("by a new URL") ? start + 30 * kDay : start;
      request.version = {1};
      request.size = 1000;
      request.ranges = {&whole, 1};
      request.window_bytes = 1000;
      std::optional<Result<Admission, Refusal>> admitted;
      asio::io_context context;
      asio::co_spawn(context.get_executor(), rig.ledger->admit(request, rig.room),
                     [&](const std::exception_ptr&, Result<Admission, Refusal> a) {
                       admitted.emplace(std::move(a));
                     });
      context.run();
      rig.ledger->close({(*admitted)->link, (*admitted)->first_flight}, 1000, 0, true);
    }
    return {};
  });
  snapshot();
  rig.disk.set_judge({});
  ASSERT_TRUE(done);
  for (int run = 0; run < 2; ++run) {
    EXPECT_TRUE(knows("by the shop"));
    EXPECT_TRUE(knows("by a new URL"));
    EXPECT_EQ(rig.copies("by a new URL"), 2u);
    EXPECT_EQ(rig.copies("used once more"), 2u);
    EXPECT_FALSE(knows("expired"));
    rig.crash(Crash::all_lost, random);
    open();
  }
  snapshot();
  EXPECT_FALSE(knows("used once more")) << "its time has come";
  EXPECT_TRUE(knows("by the shop"));
  EXPECT_TRUE(knows("by a new URL"));
}

// -- the clock ----------------------------------------------------------------------------------

TEST_F(KeeperForget, NothingWhileTheClockIsNotBelieved) {  // T2
  const struct {
    const char* what;
    std::int64_t step;
  } cases[] = {{"a year ahead", 365 * kDay}, {"four days ahead", 4 * kDay + 60}, {"back", -kDay}};
  for (const auto& c : cases) {
    for (const bool between_turns : {false, true}) {
      SCOPED_TRACE(fmt::format("{}, between turns: {}", c.what, between_turns));
      rig.close();
      for (const std::string& name : rig.disk.names()) rig.disk.remove(name);
      open();
      const std::int64_t now = rig.clock.unix_now();
      use("expired", now - 2 * kDay - 23 * 3600);
      pass(1h);
      rig.clock.set_unix(rig.clock.unix_now() + c.step);
      if (!between_turns) rig.ledger->turn();
      ASSERT_EQ(rig.ledger->take_snapshot(), "");
      EXPECT_TRUE(knows("expired"));
      use("b", {});
      reopen();
      snapshot();
      EXPECT_TRUE(knows("expired")) << "the doubt outlives a restart";
      pass(6 * 24h);
      snapshot();
      EXPECT_TRUE(knows("expired"));
      pass(25h);
      snapshot();
      EXPECT_FALSE(knows("expired")) << "it has run for a week";
    }
  }
}

TEST_F(KeeperForget, NothingWhenTheClockMadeAStepThatOnlyTheJournalHasSeen) {
  use("expired", start);
  rig.clock.set_unix(start + 365 * kDay);
  use("b", {});
  reopen();
  snapshot();
  EXPECT_TRUE(knows("expired"));
}

TEST_F(KeeperForget, NothingAfterAPauseInWhichAStepCouldHide) {
  const struct {
    std::int64_t pause;
    bool believed;
  } cases[] = {{6 * kDay, true}, {8 * kDay, false}, {365 * kDay, false}, {-8 * kDay, false}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.pause / kDay);
    rig.close();
    for (const std::string& name : rig.disk.names()) rig.disk.remove(name);
    open();
    use("expired", rig.clock.unix_now() - 20 * kDay);
    rig.close();
    rig.clock.set_unix(rig.clock.unix_now() + c.pause);
    open();
    snapshot();
    EXPECT_EQ(knows("expired"), !c.believed);
  }
}

// -- afterwards ---------------------------------------------------------------------------------

TEST_F(KeeperForget, AndALinkThatComesAgainStartsAnew) {
  use("a", start, 1);
  EXPECT_EQ(rig.admit({.link_id = "a"}).error(), Refusal::exhausted);
  pass(73h);
  snapshot();
  ASSERT_FALSE(knows("a"));
  ASSERT_TRUE(rig.download({.link_id = "a"})) << "with a new URL, say";
  drain();
  EXPECT_EQ(rig.copies("a"), 1u);
  EXPECT_EQ(rig.admit({.link_id = "a"}).error(), Refusal::exhausted);
  EXPECT_EQ(rig.ledger->find_use("a"), (Used{"", "/f"}));
  // From the snapshot without it; then from the one before, and both lives in the journal.
  for (const bool damaged : {false, true}) {
    rig.close();
    if (damaged) rig.disk.put(snapshot_name(2), "damaged");
    open();
    EXPECT_EQ(rig.copies("a"), 1u);
    EXPECT_EQ(rig.ledger->view("a")->traffic_bytes, 1000u);
    EXPECT_FALSE(rig.ledger->view("a")->signed_terms.expires_at);
  }
  snapshot();
  reopen();
  EXPECT_EQ(rig.copies("a"), 1u);
}

std::uint64_t calls_of_a_snapshot(LedgerRig& rig) {
  rig.disk.fail_nothing();
  EXPECT_EQ(rig.ledger->take_snapshot(), "");
  return rig.disk.calls();
}

// The records of forgetting and the snapshot without the links go to the disk one after the other.
TEST_F(KeeperForget, IsSafeWhereverItIsInterrupted) {
  const auto begin = [&] {
    rig.close();
    rig.disk.crash(Crash::process, random);
    for (const std::string& name : rig.disk.names()) rig.disk.remove(name);
    open();
    const std::int64_t now = rig.clock.unix_now();
    use("kept", {}, 2);
    snapshot();
    use("expired", now, 1);
    use("also expired", now, 1);
    pass(73h);
  };
  begin();
  const std::uint64_t calls = calls_of_a_snapshot(rig);
  EXPECT_FALSE(knows("expired"));
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  random.seed(seed);
  int forgotten = 0;
  int remembered = 0;
  const error_code io_error = make_error_code(boost::system::errc::io_error);
  for (const Crash how : {Crash::process, Crash::all_lost, Crash::sectors}) {
    for (const bool told : {false, true}) {
      for (const bool again : {false, true}) {
        for (std::uint64_t n = 1; n <= calls + 1; ++n) {
          SCOPED_TRACE(fmt::format("call {} of {}, crash {}, told {}, comes again {}", n, calls,
                                   static_cast<int>(how), told, again));
          begin();
          rig.disk.fail_call(n, io_error, false);
          static_cast<void>(rig.ledger->take_snapshot());
          rig.disk.fail_nothing();
          // A link that was forgotten may come again at once.
          const bool anew = again && !knows("expired");
          if (anew) {
            ASSERT_TRUE(rig.download({.link_id = "expired", .limit = 5}));
          }
          if (told) drain();
          rig.crash(how, random);
          open();
          EXPECT_EQ(rig.copies("kept"), 1u);
          for (const char* id : {"expired", "also expired"}) {
            const auto view = rig.ledger->view(id);
            ++(view ? remembered : forgotten);
            if (!view) {
              EXPECT_FALSE(anew && id == std::string("expired")) << "its lease was granted";
              continue;
            }
            EXPECT_EQ(view->copies, 1u);
            EXPECT_EQ(view->limit, anew && id == std::string("expired") ? 5u : 1u);
          }
          snapshot();
          reopen();
          EXPECT_EQ(rig.copies("kept"), 1u);
          EXPECT_FALSE(knows("also expired")) << "the next snapshot forgets it";
        }
      }
    }
  }
  EXPECT_GT(forgotten, 0);
  EXPECT_GT(remembered, 0);
}

}  // namespace
}  // namespace tallygate::ledger
