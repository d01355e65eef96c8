// Several workers on one ledger, for the thread sanitizer, and for sums that come out right.
#include <gtest/gtest.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <atomic>
#include <thread>

#include "tests/server/ledger/ledger_rig.h"

namespace tallygate::ledger {
namespace {

constexpr int kWorkers = 4;
constexpr int kTransfers = 60;  // side by side on each worker
constexpr std::uint64_t kSize = 1000;

struct Sums {
  std::atomic<std::uint64_t> admitted{0};
  std::atomic<std::uint64_t> copies{0};
  std::atomic<std::uint64_t> refused{0};
};

Task<> download(Ledger& ledger, std::string link_id, Limit limit, Sums& sums) {
  const Executor executor = co_await asio::this_coro::executor;
  const Span whole{0, kSize};
  AdmitRequest request;
  request.link_id = link_id;
  request.path = "/f";
  request.signed_limit = limit;
  request.version = {1, 1};
  request.size = kSize;
  request.ranges = {&whole, 1};
  request.window_bytes = kSize / 4;
  const auto admitted = co_await ledger.admit(request);
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
    PendingLease lease = ledger.lease(flight, next, executor);
    sums.copies += ledger.settle(flight, upto - settled);
    settled = upto;
    const auto outcome = co_await lease.outcome();
    EXPECT_EQ(outcome, PendingLease::Outcome::granted);
    upto = next;
  }
  sums.copies += ledger.close(flight, kSize - settled, 0, true);
  TransferEnded ended;
  ended.bytes_acked = kSize;
  ledger.ended(flight.link, ended);
}

// Runs `make(i)` as coroutines on all workers, and waits for them.
template <class Make>
void on_all_workers(Make make) {
  std::vector<std::thread> threads;
  for (int w = 0; w < kWorkers; ++w) {
    threads.emplace_back([&make] {
      asio::io_context context;
      for (int i = 0; i < kTransfers; ++i) {
        asio::co_spawn(context.get_executor(), make(i), asio::detached);
      }
      context.run();
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(LedgerThreads, GiveAwayNoMoreCopiesOfAHotLinkThanItsLimit) {
  LedgerRig rig;
  ASSERT_EQ(rig.open(), "");
  Sums sums;
  on_all_workers([&](int) { return download(*rig.ledger, "hot", 3, sums); });
  EXPECT_EQ(sums.copies, 3u);
  EXPECT_GE(sums.admitted, 3u);
  EXPECT_EQ(sums.admitted + sums.refused, std::uint64_t{kWorkers} * kTransfers);
  EXPECT_EQ(rig.copies("hot"), 3u);
  EXPECT_EQ(rig.ledger->view("hot")->in_flight, 0u);
  rig.ledger->flush();
  EXPECT_EQ(rig.follower.copies("hot", 0), 3u);
}

TEST(LedgerThreads, CountEveryCopyOfManyLinks) {
  LedgerRig rig;
  ASSERT_EQ(rig.open(), "");
  Sums sums;
  std::atomic<bool> stop{false};
  // Meanwhile the shop and an operator ask and tell.
  std::thread shop([&] {
    for (std::uint32_t i = 0; !stop; ++i) {
      const std::string id = "link-" + std::to_string(i % kTransfers);
      rig.ledger->hear(id, {.not_before = i}, false);
      static_cast<void>(rig.ledger->look(id, ""));
      static_cast<void>(rig.ledger->view(id));
      rig.ledger->row_acknowledged(id);
      rig.ledger->each([](const AccountView& view) { EXPECT_FALSE(view.identity.id.empty()); });
      rig.ledger->flush();
    }
  });
  on_all_workers([&](int i) {
    const Limit limit = i % 2 == 0 ? Limit() : Limit(kWorkers);
    return download(*rig.ledger, "link-" + std::to_string(i), limit, sums);
  });
  stop = true;
  shop.join();
  EXPECT_EQ(sums.refused, 0u) << "there are as many copies as workers";
  EXPECT_EQ(sums.copies, std::uint64_t{kWorkers} * kTransfers);
  for (int restart = 0; restart < 2; ++restart) {
    for (int i = 0; i < kTransfers; ++i) {
      const std::string id = "link-" + std::to_string(i);
      EXPECT_EQ(rig.copies(id), static_cast<std::uint64_t>(kWorkers)) << id;
    }
    rig.close();
    ASSERT_EQ(rig.open(), "");
  }
  for (int i = 0; i < kTransfers; ++i) {
    EXPECT_EQ(rig.follower.copies("link-" + std::to_string(i), 0), std::uint64_t{kWorkers});
  }
}

TEST(LedgerThreads, AllHearOfADiskThatFails) {
  LedgerRig rig;
  ASSERT_EQ(rig.open(), "");
  rig.disk.fail_call(2, make_error_code(boost::system::errc::io_error), true);
  std::atomic<int> unavailable{0};
  std::atomic<int> granted{0};
  on_all_workers([&](int i) -> Task<> {
    return [](Ledger& ledger, int number, std::atomic<int>& no, std::atomic<int>& yes) -> Task<> {
      const Span whole{0, kSize};
      const std::string id = "link-" + std::to_string(number);
      AdmitRequest request;
      request.link_id = id;
      request.path = "/f";
      request.signed_limit = 100;
      request.version = {1, 1};
      request.size = kSize;
      request.ranges = {&whole, 1};
      request.window_bytes = kSize;
      const auto admitted = co_await ledger.admit(request);
      if (!admitted) {
        EXPECT_EQ(admitted.error(), Refusal::unavailable);
        ++no;
        co_return;
      }
      ++yes;
      ledger.close({admitted->link, admitted->first_flight}, 0, 0, false);
    }(*rig.ledger, i, unavailable, granted);
  });
  EXPECT_EQ(unavailable + granted, kWorkers * kTransfers);
  EXPECT_GT(unavailable, 0);
  EXPECT_NE(rig.ledger->failure(), "");
  EXPECT_EQ(rig.disk.repeated_syncs(), 0u);
}

}  // namespace
}  // namespace tallygate::ledger
