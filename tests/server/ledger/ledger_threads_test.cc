// Several workers on one ledger with all its threads, for the thread sanitizer, and for sums that
// come out right.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <thread>

#include "server/ledger/files.h"
#include "tests/server/ledger/ledger_rig.h"

namespace tallygate::ledger {
namespace {

constexpr std::uint64_t kSize = 1000;

struct Sums {
  std::atomic<std::uint64_t> admitted{0};
  std::atomic<std::uint64_t> copies{0};
  std::atomic<std::uint64_t> refused{0};
};

AdmitRequest request_of(std::string_view link_id, Limit limit, const Span& whole) {
  AdmitRequest request;
  request.link_id = link_id;
  request.path = "/f";
  request.signed_limit = limit;
  request.version = {1};
  request.size = kSize;
  request.ranges = {&whole, 1};
  request.window_bytes = kSize / 4;
  return request;
}

Task<> download(Ledger& ledger, WaitingRoom& room, std::string link_id, Limit limit, Sums& sums) {
  const Span whole{0, kSize};
  const auto admitted = co_await ledger.admit(request_of(link_id, limit, whole), room);
  if (!admitted) {
    EXPECT_NE(admitted.error(), Refusal::unavailable);
    ++sums.refused;
    co_return;
  }
  ++sums.admitted;
  const FlightRef flight{admitted->link, admitted->first_flight};
  std::uint64_t upto = admitted->upto;
  std::uint64_t settled = 0;
  while (upto < kSize) {
    const std::uint64_t next = upto + kSize / 4;
    PendingLease lease = ledger.lease(flight, next, room);
    sums.copies += ledger.settle(flight, upto - settled);
    settled = upto;
    const auto outcome = co_await lease.outcome();
    EXPECT_EQ(outcome, PendingLease::Outcome::granted);
    upto = next;
  }
  sums.copies += ledger.close(flight, kSize - settled, 0, true);
  TransferEnded ended;
  ended.bytes_acked = kSize;
  ledger.ended(link_id, ended);
}

// Runs `make(i, room)` for i < `transfers` side by side on each worker, and waits for them.
template <class Make>
void on_workers(int workers, int transfers, Make make) {
  std::vector<std::thread> threads;
  for (int w = 0; w < workers; ++w) {
    threads.emplace_back([&make, transfers] {
      asio::io_context context(1);
      // No machine is so slow: that a wake was lost is seen by the test's own timeout.
      WaitingRoom room(context.get_executor(), std::chrono::hours(1));
      for (int i = 0; i < transfers; ++i) {
        asio::co_spawn(context.get_executor(), make(i, room), asio::detached);
      }
      context.run();
    });
  }
  for (std::thread& thread : threads) thread.join();
}

class LedgerThreads : public testing::Test {
 protected:
  LedgerThreads() { rig.options.background = true; }
  // What must hold after every restart.
  void expect_copies(const std::string& link_id, std::uint64_t copies) {
    const auto view = rig.ledger->view(link_id);
    ASSERT_TRUE(view) << link_id;
    EXPECT_EQ(view->copies, copies) << link_id;
    EXPECT_EQ(view->in_flight, 0u) << link_id;
    EXPECT_EQ(rig.follower.copies(link_id, 0), copies) << link_id;
  }
  void restart() {
    rig.close();
    ASSERT_EQ(rig.open(), "");
  }
  LedgerRig rig;
};

TEST_F(LedgerThreads, GiveAwayNoMoreCopiesOfAHotLinkThanItsLimit) {  // J11
  ASSERT_EQ(rig.open(), "");
  Sums sums;
  on_workers(4, 60,
             [&](int, WaitingRoom& room) { return download(*rig.ledger, room, "hot", 3, sums); });
  EXPECT_EQ(sums.copies, 3u);
  EXPECT_GE(sums.admitted, 3u);
  EXPECT_EQ(sums.admitted + sums.refused, 240u);
  EXPECT_TRUE(rig.ledger->flush());
  expect_copies("hot", 3);
}

// Two that began together had the same number, and wrote one file.
TEST_F(LedgerThreads, TakeSnapshotsOneAtATime) {
  rig.options.snapshot_after_min = rig.options.snapshot_after_max = 1 << 30;
  ASSERT_EQ(rig.open(), "");
  Sums sums;
  on_workers(2, 500, [&](int i, WaitingRoom& room) {
    return download(*rig.ledger, room, fmt::format("link-{}", i), 3, sums);
  });
  EXPECT_TRUE(rig.ledger->flush());
  const std::size_t links = rig.ledger->links();
  for (int round = 0; round < 20; ++round) {
    std::thread other([&] { EXPECT_EQ(rig.ledger->take_snapshot(), ""); });
    EXPECT_EQ(rig.ledger->take_snapshot(), "");
    other.join();
  }
  restart();
  EXPECT_EQ(rig.ledger->links(), links);
}

// The files change under it all the while: a snapshot is nearly always due.
TEST_F(LedgerThreads, CountThousandsOfParallelRequestsWhileSnapshotsAreTaken) {
  constexpr int kWorkers = 2;
  constexpr int kTransfers = 1000;
  constexpr int kLinks = 100;  // twenty requests for the three copies of each
  rig.options.segment_bytes_min = rig.options.segment_bytes_max = 1 << 20;
  rig.options.snapshot_after_min = rig.options.snapshot_after_max = 16 << 10;
  ASSERT_EQ(rig.open(), "");
  const auto snapshots = [&] {
    const auto names = rig.disk.names();
    return std::count_if(names.begin(), names.end(), [](const std::string& name) {
      return name.starts_with("snapshot-") && name.ends_with(".tgs");
    });
  };
  int rounds = 0;
  for (; rounds < 3 || snapshots() < 2; ++rounds) {
    Sums sums;
    on_workers(kWorkers, kTransfers, [&](int i, WaitingRoom& room) {
      return download(*rig.ledger, room, fmt::format("link-{}-{}", rounds, i % kLinks), 3, sums);
    });
    EXPECT_EQ(sums.copies, 3u * kLinks);
    EXPECT_EQ(sums.admitted + sums.refused, std::uint64_t{kWorkers} * kTransfers);
  }
  EXPECT_TRUE(rig.ledger->flush());
  for (int restarts = 0; restarts < 3; ++restarts) {
    SCOPED_TRACE(fmt::format("after {} restarts", restarts));
    EXPECT_EQ(rig.ledger->links(), static_cast<std::size_t>(rounds * kLinks));
    for (int round = 0; round < rounds; ++round) {
      for (int i = 0; i < kLinks; ++i) expect_copies(fmt::format("link-{}-{}", round, i), 3);
    }
    restart();
  }
  EXPECT_GE(snapshots(), 2);
  EXPECT_TRUE(rig.notes.empty()) << rig.notes.front();
}

TEST_F(LedgerThreads, CountEveryCopyWhileTheShopAndAnOperatorAskAndTell) {
  constexpr int kWorkers = 4;
  constexpr int kLinks = 60;
  ASSERT_EQ(rig.open(), "");
  Sums sums;
  std::atomic<bool> stop{false};
  std::thread shop([&] {
    for (std::uint32_t i = 0; !stop; ++i) {
      const std::string id = "link-" + std::to_string(i % kLinks);
      rig.ledger->hear(id, {.not_before = i}, false);
      static_cast<void>(rig.ledger->look(id, ""));
      static_cast<void>(rig.ledger->view(id));
      rig.ledger->row_acknowledged(id);
      if (i % 16 == 0) {
        static_cast<void>(rig.ledger->find_use(id));
        EXPECT_LE(rig.ledger->links(), std::size_t{kLinks});
        EXPECT_EQ(rig.ledger->failure(), "");
      }
      rig.ledger->flush();
    }
  });
  on_workers(kWorkers, kLinks, [&](int i, WaitingRoom& room) {
    const Limit limit = i % 2 == 0 ? Limit() : Limit(kWorkers);
    return download(*rig.ledger, room, "link-" + std::to_string(i), limit, sums);
  });
  stop = true;
  shop.join();
  EXPECT_EQ(sums.refused, 0u) << "there are as many copies as workers";
  EXPECT_EQ(sums.copies, std::uint64_t{kWorkers} * kLinks);
  EXPECT_TRUE(rig.ledger->flush());
  for (int restarts = 0; restarts < 2; ++restarts) {
    for (int i = 0; i < kLinks; ++i) expect_copies("link-" + std::to_string(i), kWorkers);
    restart();
  }
}

TEST_F(LedgerThreads, AllHearOfADiskThatFails) {
  for (const std::uint64_t call : {2u, 9u, 30u}) {
    SCOPED_TRACE(fmt::format("at call {}", call));
    LedgerRig r;
    r.options.background = true;
    ASSERT_EQ(r.open(), "");
    r.disk.fail_call(call, make_error_code(boost::system::errc::io_error), true);
    std::atomic<int> unavailable{0};
    std::atomic<int> granted{0};
    on_workers(4, 60, [&](int i, WaitingRoom& room) -> Task<> {
      // Its parameters live in the frame; a lambda's captures do not.
      return [](Ledger& ledger, WaitingRoom& waiting, int number, std::atomic<int>& no,
                std::atomic<int>& yes) -> Task<> {
        const Span whole{0, kSize};
        const std::string id = "link-" + std::to_string(number);
        for (int again = 0; again < 20; ++again) {
          const auto admitted = co_await ledger.admit(request_of(id, 100, whole), waiting);
          if (!admitted) {
            EXPECT_EQ(admitted.error(), Refusal::unavailable);
            ++no;
            continue;
          }
          ++yes;
          ledger.close({admitted->link, admitted->first_flight}, 0, 0, false);
        }
      }(*r.ledger, room, i, unavailable, granted);
    });
    EXPECT_EQ(unavailable + granted, 4 * 60 * 20);
    EXPECT_GT(unavailable, 0);
    EXPECT_NE(r.ledger->failure(), "");
    EXPECT_EQ(r.disk.repeated_syncs(), 0u);
    for (int i = 0; i < 60; ++i) {
      const auto view = r.ledger->view("link-" + std::to_string(i));
      EXPECT_EQ(view ? view->in_flight : 0, 0u) << "what was not granted was taken back";
    }
  }
}

}  // namespace
}  // namespace tallygate::ledger
