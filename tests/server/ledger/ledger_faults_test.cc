// Every call of the disk fails in turn: once, or from then on for good, in each way that such a
// call can fail, over a day of the ledger with all that it does, its stop and its next start. Then
// the process is killed or the power cut, and what is left is compared with what was granted and
// told.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "tests/server/ledger/ledger_rig.h"
#include "tests/server/ledger/ledger_world.h"
#include "tests/support/seed.h"

namespace tallygate::ledger {
namespace {

constexpr std::size_t kSmall = 0;  // limit 2, 1,000 bytes
constexpr std::size_t kLarge = 1;  // limit 1, 40 MiB
constexpr std::size_t kUnlimited = 2;
constexpr std::size_t kMoved = 3;  // whose file is replaced

struct Plan {
  std::uint64_t call = 0;  // counted over all processes; 0: none
  int error = EIO;
  bool forever = false;
  unsigned eighths = 4;         // of a write or a sync, done before it fails
  std::uint64_t then_call = 0;  // and this one, of the start after the day
};

// Whether such a call can end so, behind the interface: reads and writes that are interrupted go
// on.
bool can_end(DiskCall call, int error) {
  switch (call) {
    case DiskCall::list:
    case DiskCall::size:
    case DiskCall::read:
      return error == EIO;
    case DiskCall::open:
      return error == EIO || error == EINTR;
    case DiskCall::sync:
    case DiskCall::sync_names:
      return error != EROFS;
    default:
      return error != EINTR;
  }
}

class FaultyDay final : public LedgerWorld {
 public:
  FaultyDay(std::uint64_t seed, LedgerTally& tally, const Plan& plan)
      : LedgerWorld(seed, tally), plan_(plan) {
    options_.segment_bytes_min = options_.segment_bytes_max = 16 << 10;
    add_link(2, {1000, 1000});
    add_link(1, {40 << 20, 0});
    add_link({}, {5000, 0});
    add_link(3, {300, 100});
  }

  // Empty: nothing was lost, counted twice, or told wrongly.
  std::string run(Crash how) {
    if (open().empty()) {
      check_recovery();
      day();
      if (is_running()) stop(how);
    }
    if (wrong_.empty() && !happened_.empty() && ledger_) crash(how);
    if (plan_.forever && plan_.then_call == 0) over_ = true;  // the disk was replaced
    starting_at_ = calls_;
    for (int start = 0; wrong_.empty(); ++start) {
      if (start == 2) over_ = true;
      faulted_ = false;
      const std::string error = open();
      if (error.empty()) break;
      if (over_) return "it does not start: " + error;
      crash(how);
    }
    if (!wrong_.empty()) return wrong_;
    check_recovery();
    if (wrong_.empty()) evening();
    crash(how);
    over_ = true;
    if (const std::string error = open(); !error.empty()) return "it does not start: " + error;
    if (wrong_.empty()) check_recovery();
    if (wrong_.empty()) end_well();
    ledger_.reset();
    return wrong_;
  }
  // The fault was met at all.
  [[nodiscard]] bool met() const { return met_; }
  [[nodiscard]] bool met_then() const { return met_then_; }
  // There was such a call, and it cannot end so.
  [[nodiscard]] bool spared() const { return spared_; }
  [[nodiscard]] std::vector<std::string> files() const { return disk_.names(); }

 private:
  FakeDisk::Fault judge(DiskCall call, const std::string&) override {
    ++calls_;
    if (over_) return {};
    const bool then = starting_at_ != 0 && calls_ == starting_at_ + plan_.then_call;
    const bool first = plan_.call != 0 && (plan_.forever ? calls_ >= plan_.call && !starting_at_
                                                         : calls_ == plan_.call);
    if (!(then && plan_.then_call != 0) && !first) return {};
    (first ? met_ : met_then_) = true;
    if (!can_end(call, plan_.error)) {
      if (!plan_.forever) spared_ = true;
      return {};
    }
    faulted_ = true;
    ++tally_.faults;
    return {{plan_.error, boost::system::system_category()}, plan_.eighths};
  }

  template <class Deed>
  void deed(Deed&& what) {
    if (!is_running()) return;
    poll();
    const std::size_t before = happened_.size();
    what();
    if (happened_.size() != before) note(happened_.back().link);
  }
  void get(std::size_t link, std::vector<Span> ranges, std::uint64_t window) {
    deed([&] { ask(link, ranges, window, link % kWorkers); });
  }
  // Each transfer of the link that has an answer and may go on.
  template <class Deed>
  void each(std::size_t link, Deed&& what) {
    for (std::size_t i = transfers_.size(); i-- != 0;) {
      if (i < transfers_.size() && transfers_[i].link == link && !transfers_[i].asking) {
        deed([&] { what(i, transfers_[i]); });
      }
    }
  }
  void deliver(std::size_t link) {
    each(link, [&](std::size_t i, const Transfer& t) { send(i, t.upto - t.sent); });
  }
  void acknowledge(std::size_t link) {
    each(link, [&](std::size_t i, const Transfer& t) { settle(i, t.sent - t.settled); });
  }
  void ask_for_more(std::size_t link, std::uint64_t bytes) {
    each(link, [&](std::size_t i, const Transfer& t) {
      if (t.upto != t.last) lease(i, std::min(t.last, t.upto + bytes));
    });
  }
  void finish(std::size_t link) {
    each(link,
         [&](std::size_t i, const Transfer& t) { end(i, t.sent - t.settled, t.sent == t.last); });
  }
  // The line breaks; half of what was not acknowledged is lost.
  void cut(std::size_t link) {
    each(link, [&](std::size_t i, const Transfer& t) { end(i, (t.sent - t.settled) / 2, false); });
  }
  void change(std::size_t link, const std::function<void(shop::Word&)>& f) {
    deed([&] {
      shop::Word word = live_[link].word();
      f(word);
      hear(link, word);
    });
  }

  void day() {
    get(kSmall, {{0, 1000}}, 400);
    get(kLarge, {{0, 40 << 20}}, 1 << 20);
    get(kUnlimited, {{0, 5000}}, 5000);
    turn();
    for (const std::size_t link : {kSmall, kLarge, kUnlimited}) deliver(link);
    ask_for_more(kSmall, 600);
    ask_for_more(kLarge, 16 << 20);
    acknowledge(kLarge);
    turn();
    deliver(kSmall);
    deliver(kLarge);
    finish(kSmall);
    cut(kLarge);
    deed([&] { acknowledge_row(kSmall); });
    turn();
    get(kLarge, {{links_[kLarge].resume_at, 40 << 20}}, 8 << 20);  // resumes
    get(kMoved, {{0, 100}, {200, 300}}, 100);
    change(kUnlimited, [](shop::Word& word) { word.max_copies = 4; });
    turn();
    follower_.keep(1000);
    turn();
    snapshot();
    get(kUnlimited, {{0, 5000}}, 1000);
    acknowledge(kUnlimited);
    finish(kUnlimited);
    deliver(kMoved);
    turn();
    turn();
    change(kMoved, [](shop::Word& word) { word.reset_gen += 1; });
    finish(kMoved);
    links_[kMoved].version = 1;
    get(kMoved, {{0, 100}}, 100);
    turn();
    deliver(kMoved);
    finish(kMoved);
    change(kLarge, [](shop::Word& word) { word.state = shop::State::held; });
    flush();
    follower_.keep(3);  // the rest it is told again
    turn();
    snapshot();
    get(kSmall, {{0, 1000}}, 1000);
    turn();
    change(kSmall, [](shop::Word& word) { word.max_copies = -1; });
    turn();
    deliver(kSmall);
    give_up(0);
    turn();
  }
  void evening() {
    get(kSmall, {{0, 1000}}, 1000);
    get(kMoved, {{0, 100}}, 50);
    turn();
    deliver(kSmall);
    deliver(kMoved);
    turn();
    snapshot();
    turn();
  }
  // The disk is well: everybody is served.
  void end_well() {
    turn();
    get(kUnlimited, {{0, 5000}}, 5000);
    turn();
    deliver(kUnlimited);
    finish(kUnlimited);
    turn();
    snapshot();
    for (std::size_t i = 0; i < links_.size(); ++i) check_link(i);
    if (!ledger_->failure().empty()) wrong("it stays unavailable: " + ledger_->failure());
    if (!ledger_->warning().empty()) wrong("there is trouble: " + ledger_->warning());
  }

  const Plan plan_;
  std::uint64_t calls_ = 0;
  std::uint64_t starting_at_ = 0;
  bool over_ = false;
  bool met_ = false;
  bool met_then_ = false;
  bool spared_ = false;
};

constexpr Crash kCrashes[] = {Crash::process, Crash::all_lost, Crash::sectors};

class LedgerFaults : public testing::TestWithParam<int> {};

TEST_P(LedgerFaults, OfWhateverCallLoseNothingThatWasGrantedOrTold) {  // J3, J5
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  LedgerTally tally;
  for (std::uint64_t n = 1, more = 1; more != 0; ++n) {
    more = 0;
    for (const bool forever : {false, true}) {
      for (const Crash how : kCrashes) {
        // None, half or all of it was done before it failed.
        const auto eighths = static_cast<unsigned>((n + static_cast<unsigned>(how)) % 3 * 4);
        FaultyDay day(seed, tally, {n, GetParam(), forever, eighths});
        ASSERT_EQ(day.run(how), "")
            << fmt::format("call {}{}, {} eighths, crash {}", n, forever ? " and on" : "", eighths,
                           static_cast<int>(how));
        more += day.met();
        if (day.spared()) break;
      }
    }
    ASSERT_LT(n, 2000u);
    // So many calls there are, at least: else the day proves nothing.
    ASSERT_TRUE(more != 0 || n > 150) << n;
  }
  EXPECT_GT(tally.faults, 50u);
  EXPECT_GT(tally.unavailable, 0u);
}
INSTANTIATE_TEST_SUITE_P(Errors, LedgerFaults, testing::Values(EIO, ENOSPC, EDQUOT, EROFS, EINTR),
                         [](const auto& error) {
                           return std::string(::strerrorname_np(error.param));
                         });

TEST(LedgerFaults, OfTheStartAfterAFaultLoseNothingEither) {  // J14
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  LedgerTally tally;
  for (std::uint64_t n = 1, met = 1; met != 0; n += 17) {
    met = 0;
    for (std::uint64_t then = 1, met_then = 1; met_then != 0; ++then) {
      const Crash how = kCrashes[(n + then) % 3];
      FaultyDay day(seed, tally, {n, EIO, true, 4, then});
      ASSERT_EQ(day.run(how), "") << fmt::format(
          "calls from {} on, then call {} of the start, crash {}", n, then, static_cast<int>(how));
      met_then = day.met_then();
      met += day.met();
    }
  }
}

TEST(LedgerFaults, AreWhatADayWithoutThemIsMeasuredAgainst) {
  LedgerTally tally;
  for (const Crash how : kCrashes) {
    FaultyDay day(1, tally, {});
    EXPECT_EQ(day.run(how), "");
    EXPECT_FALSE(day.met());
    EXPECT_THAT(day.files(), testing::Not(testing::Contains("journal-0000000000000001.tgj")));
  }
  EXPECT_EQ(tally.stops, 3u);
  EXPECT_GE(tally.snapshots, 9u);
  EXPECT_EQ(tally.failed_starts, 0u);
}

// Also where the last turn took a segment, and the one after it is needed and not made yet.
TEST(LedgerStop, WritesWhatWaitsWhereverTheJournalStands) {
  constexpr std::size_t kLinks = 1500;  // several segments
  for (int turns = 0; turns < 12; ++turns) {
    LedgerRig rig;
    rig.options.segment_bytes_min = rig.options.segment_bytes_max = 16 << 10;
    ASSERT_EQ(rig.open(), "");
    shop::Word word;
    word.max_copies = 3;
    for (std::size_t i = 0; i < kLinks; ++i) {
      rig.ledger->hear(fmt::format("a-link-with-a-long-id-{}", i), word, true);
    }
    for (int turn = 0; turn < turns; ++turn) rig.ledger->turn();
    rig.close();
    ASSERT_EQ(rig.open(), "") << "after " << turns << " turns";
    EXPECT_EQ(rig.ledger->links(), kLinks) << "after " << turns << " turns";
  }
}

}  // namespace
}  // namespace tallygate::ledger
