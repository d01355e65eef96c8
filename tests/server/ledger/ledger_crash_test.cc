// Crash after crash of a ledger that serves, against notes kept outside of it: what the customers
// have received, what was granted, and what the follower has been told.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "core/ledger/span.h"
#include "tests/server/ledger/ledger_rig.h"
#include "tests/support/seed.h"

namespace tallygate::ledger {
namespace {

constexpr int kRounds = 150;
constexpr int kLives = 8;  // of each round: 1,200 crashes in all
constexpr int kSteps = 24;

struct Link {
  std::string id;
  std::uint32_t limit = 1;
  std::uint64_t size = 1000;
  std::vector<Span> received;        // by customers, while a copy was left
  std::uint64_t received_bytes = 0;  // in all
  std::uint64_t copies_before = 0;   // as the ledger said last
};

struct Running {
  std::size_t link = 0;
  FlightRef flight;
  std::uint64_t settled = 0;  // position
  std::uint64_t sent = 0;
  std::uint64_t upto = 0;  // granted
  std::uint64_t last = 0;
  bool late = false;
};

class Round {
 public:
  explicit Round(std::uint64_t seed) : random_(seed) {
    static constexpr std::uint64_t kSizes[] = {1000, 5000, 100'000, 1};
    for (std::size_t i = 0; i < 3; ++i) {
      Link link;
      link.id = fmt::format("link-{}", i);
      link.limit = 1 + static_cast<std::uint32_t>(pick(3));
      link.size = kSizes[pick(4)];
      links_.push_back(link);
    }
  }

  void run() {
    for (int life = 0; life < kLives && !testing::Test::HasFailure(); ++life) {
      SCOPED_TRACE(fmt::format("life {}", life));
      live();
    }
  }

 private:
  std::uint64_t pick(std::uint64_t choices) { return random_() % choices; }

  void live() {
    // Sometimes it dies while it starts, once or twice.
    for (auto deaths = pick(4) == 0 ? 1 + pick(2) : 0; deaths != 0; --deaths) {
      rig_.disk.crash_at_call(1 + pick(25));
      static_cast<void>(rig_.open());
      crash();
    }
    ASSERT_EQ(rig_.open(), "");
    check();
    if (pick(3) == 0) rig_.disk.crash_at_call(1 + pick(80));
    for (int i = 0; i < kSteps; ++i) step();
    if (pick(6) == 0) rig_.ledger->flush();
    if (pick(4) == 0) rig_.follower.die();  // a little before the rest
    crash();
  }
  void crash() {
    static constexpr Crash kHow[] = {Crash::process, Crash::all_lost, Crash::sectors,
                                     Crash::sectors};
    rig_.crash(kHow[pick(4)], random_);
    running_.clear();
  }

  void step() {
    switch (pick(6)) {
      case 0:
      case 1:
        return admit();
      case 2:
        return send();
      case 3:
        return settle();
      case 4:
        return lease();
      default:
        return close();
    }
  }
  void admit() {
    const std::size_t number = pick(links_.size());
    Link& link = links_[number];
    const std::uint64_t first = pick(2) ? 0 : pick(link.size);
    const auto view = rig_.ledger->view(link.id);
    const auto admitted = rig_.admit({.link_id = link.id,
                                      .limit = link.limit,
                                      .size = link.size,
                                      .range = Span{first, link.size},
                                      .window = 1 + link.size / (1 + pick(4))});
    if (!admitted) return;
    running_.push_back({number,
                        {admitted->link, admitted->first_flight},
                        first,
                        first,
                        admitted->upto,
                        link.size,
                        view && view->counted >= link.limit});
  }
  Running* any() { return running_.empty() ? nullptr : &running_[pick(running_.size())]; }
  void lease() {
    Running* r = any();
    if (r == nullptr || r->upto == r->last) return;
    const std::uint64_t upto = r->upto + 1 + pick(r->last - r->upto);
    if (rig_.lease(r->flight, upto) == PendingLease::Outcome::granted) {
      r->upto = upto;
    } else {
      close(*r);  // as a transfer does
    }
  }
  void send() {
    Running* r = any();
    if (r == nullptr) return;
    const std::uint64_t n = pick(3) ? r->upto - r->sent : pick(r->upto - r->sent + 1);
    Link& link = links_[r->link];
    if (!r->late) link.received.push_back({r->sent, r->sent + n});
    link.received_bytes += n;
    r->sent += n;
  }
  void settle() {
    Running* r = any();
    if (r == nullptr) return;
    const std::uint64_t n = pick(r->sent - r->settled + 1);
    rig_.ledger->settle(r->flight, n);
    r->settled += n;
  }
  void close() {
    if (Running* r = any()) close(*r);
  }
  // All that was sent has arrived: the customers hold it.
  void close(Running& r) {
    rig_.ledger->close(r.flight, r.sent - r.settled, 0, r.sent == r.last);
    running_.erase(running_.begin() + (&r - running_.data()));
  }

  // After a start, with nothing in flight.
  void check() {
    for (Link& link : links_) {
      SCOPED_TRACE(fmt::format("{}: limit {}, {} bytes", link.id, link.limit, link.size));
      const auto view = rig_.ledger->view(link.id);
      if (!view) {
        ASSERT_EQ(link.received_bytes, 0u) << "forgotten";
        continue;
      }
      ASSERT_EQ(view->in_flight, 0u);
      ASSERT_GE(view->traffic_bytes, link.received_bytes) << "a granted lease was lost";
      ASSERT_GE(view->copies, min_depth(link.size, {}, link.received)) << "a copy was forgotten";
      ASSERT_LE(view->copies, link.limit);
      ASSERT_GE(view->copies, link.copies_before) << "counts never fall";
      link.copies_before = view->copies;
      ASSERT_EQ(rig_.follower.copies(link.id, 0), view->counted) << "told twice, or not at all";
      ASSERT_EQ(rig_.follower.blocked(link.id), view->blocked);
      ASSERT_EQ(rig_.follower.knows_used(link.id), view->identity.used);
    }
    ASSERT_EQ(rig_.disk.repeated_syncs(), 0u);
  }

  std::mt19937_64 random_;
  LedgerRig rig_;
  std::vector<Link> links_;
  std::vector<Running> running_;
};

TEST(LedgerCrash, ForgetsNoByteThatACustomerHasReceivedAndNeverExceedsALimit) {
  const std::uint64_t base = test_seed();
  for (std::uint64_t seed = base; seed < base + kRounds && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed_note(seed));
    Round(seed).run();
  }
}

}  // namespace
}  // namespace tallygate::ledger
