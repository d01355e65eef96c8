#include "server/transfer/delivery.h"

#include <gtest/gtest.h>

#include "tests/server/ledger/ledger_rig.h"

namespace tallygate::transfer {
namespace {

using ledger::Admission;
using ledger::LedgerRig;
using ledger::Span;

constexpr std::uint64_t kMiB = 1 << 20;

TEST(LeaseWindow, IsASixtyFourthOfTheFileWithinItsBounds) {
  EXPECT_EQ(lease_window(0), kMiB);
  EXPECT_EQ(lease_window(64 * kMiB), kMiB);
  EXPECT_EQ(lease_window(64 * kMiB + 64), kMiB + 1);
  EXPECT_EQ(lease_window(1024 * kMiB), 16 * kMiB);
  EXPECT_EQ(lease_window(UINT64_MAX), 16 * kMiB);
}

class DeliveryTest : public testing::Test {
 protected:
  DeliveryTest() { EXPECT_EQ(rig.open(), ""); }

  std::unique_ptr<Delivery> begin(std::uint64_t size, std::vector<Span> spans,
                                  ledger::Limit limit = 1) {
    const auto file = std::make_shared<content::OpenFile>();
    file->version.size = size;
    ledger::AdmitRequest request;
    request.link_id = "a";
    request.path = "/f";
    request.signed_limit = limit;
    request.version = {size};
    request.size = size;
    request.ranges = spans;
    request.window_bytes = lease_window(size);
    const auto admitted = rig.run(rig.ledger->admit(request, rig.room));
    if (!admitted) return nullptr;
    return std::make_unique<Delivery>(*rig.ledger, rig.room, *admitted, "a", ledger::link_key("a"),
                                      file, spans, ledger::TransferEnded{}, rig.clock, counters);
  }
  std::uint64_t leased(Delivery& delivery) { return rig.run(delivery.leased()); }
  ledger::AccountView view() { return *rig.ledger->view("a"); }
  ledger::TransferEnded told() {
    rig.ledger->flush();
    ledger::TransferEnded last;
    for (const auto& event : rig.follower.events()) {
      if (const auto* ended = std::get_if<ledger::TransferEnded>(&event.what)) last = *ended;
    }
    return last;
  }
  metrics::WorkerCounters counters;
  LedgerRig rig;
};

TEST_F(DeliveryTest, OfAWholeFileIsOneCopyWhenItsLastByteIsAcknowledged) {
  const auto d = begin(1000, {{0, 1000}});
  d->begin_part(0, 300);  // behind the head of the answer
  EXPECT_EQ(leased(*d), 1000u);
  d->sent(1000);
  d->all_sent();
  EXPECT_TRUE(d->part_sent());
  EXPECT_FALSE(d->settle(300)) << "only the head has arrived";
  EXPECT_FALSE(d->settle(1299));
  EXPECT_EQ(view().copies, 0u);
  EXPECT_TRUE(d->settle(1300));
  EXPECT_EQ(view().copies, 1u);
  EXPECT_EQ(view().in_flight, 0u);
  const auto ended = told();
  EXPECT_EQ(ended.outcome, ledger::Outcome::complete);
  EXPECT_EQ(ended.bytes_sent, 1000u);
  EXPECT_EQ(ended.bytes_acked, 1000u);
  EXPECT_EQ(ended.copies, 1u);
}

TEST_F(DeliveryTest, IsCountedByItsWorkerAsItGoes) {
  const auto d = begin(1000, {{0, 1000}});
  EXPECT_EQ(counters.transfers_begun.value(), 1u);
  d->begin_part(0, 300);
  d->sent(600);
  EXPECT_EQ(counters.file_bytes.value(), 600u) << "before it is over";
  d->sent(400);
  d->all_sent();
  EXPECT_EQ(counters.copies.value(), 0u);
  EXPECT_TRUE(d->settle(1300));
  EXPECT_EQ(counters.copies.value(), 1u);
  EXPECT_EQ(counters.transfers_complete.value(), 1u);
  d->end(1300);
  EXPECT_EQ(counters.transfers_complete.value(), 1u) << "over once";
  EXPECT_EQ(counters.transfers_partial.value(), 0u);
  EXPECT_EQ(counters.file_bytes.value(), 1000u);
}

TEST_F(DeliveryTest, ThatBreaksIsCountedAsPartial) {
  {
    const auto d = begin(1000, {{0, 1000}});
    d->begin_part(0, 100);
    d->sent(700);
  }
  EXPECT_EQ(counters.transfers_partial.value(), 1u);
  EXPECT_EQ(counters.transfers_complete.value(), 0u);
  EXPECT_EQ(counters.file_bytes.value(), 700u);
  EXPECT_EQ(counters.copies.value(), 0u);
}

TEST_F(DeliveryTest, AsksForTheNextWindowWhileItSendsThisOne) {
  const std::uint64_t size = 3 * kMiB + 5;
  const auto d = begin(size, {{0, size}});
  d->begin_part(0, 0);
  std::uint64_t sent = 0;
  for (const std::uint64_t window : {kMiB, kMiB, kMiB, std::uint64_t{5}}) {
    ASSERT_EQ(leased(*d), window);
    EXPECT_FALSE(d->at_window_end());
    d->sent(window);
    sent += window;
    EXPECT_TRUE(d->at_window_end());
    EXPECT_EQ(d->position(), sent);
  }
  EXPECT_TRUE(d->part_sent());
  d->all_sent();
  EXPECT_TRUE(d->settle(size));
}

TEST_F(DeliveryTest, ThatBreaksCountsWhatArrivedAsCoverageAndTheRestAsTraffic) {
  {
    const auto d = begin(1000, {{0, 1000}});
    d->begin_part(0, 100);
    static_cast<void>(leased(*d));
    d->sent(700);
    EXPECT_FALSE(d->settle(400));
    d->end(600);
  }
  EXPECT_EQ(view().traffic_bytes, 700u);
  EXPECT_TRUE(view().unfinished_copy);
  EXPECT_EQ(told().bytes_acked, 500u);
  EXPECT_EQ(told().outcome, ledger::Outcome::partial);
  const auto rest = begin(1000, {{500, 1000}});
  ASSERT_TRUE(rest);
  rest->begin_part(0, 0);
  static_cast<void>(leased(*rest));
  rest->sent(500);
  rest->all_sent();
  EXPECT_TRUE(rest->settle(500));
  EXPECT_EQ(view().copies, 1u);
}

TEST_F(DeliveryTest, ThatIsDroppedBeforeItBeganLeavesNothingBehind) {
  begin(1000, {{0, 1000}}).reset();
  EXPECT_EQ(view().in_flight, 0u);
  EXPECT_EQ(view().traffic_bytes, 0u);
  EXPECT_EQ(told().bytes_sent, 0u);
  EXPECT_TRUE(begin(1000, {{0, 1000}}));
}

TEST_F(DeliveryTest, OfSeveralPartsSettlesEachByItself) {
  const auto d = begin(1000, {{0, 500}, {500, 1000}});
  d->begin_part(0, 100);
  EXPECT_EQ(leased(*d), 500u);
  d->sent(500);
  d->begin_part(1, 700);  // the head of the part takes 100 bytes
  EXPECT_EQ(leased(*d), 500u);
  d->sent(500);
  d->all_sent();
  EXPECT_FALSE(d->settle(650)) << "the first has arrived, the head of the second not quite";
  EXPECT_EQ(view().in_flight, 1u);
  EXPECT_FALSE(d->settle(1199));
  EXPECT_TRUE(d->settle(1200));
  EXPECT_EQ(view().copies, 1u);
  EXPECT_EQ(told().bytes_acked, 1000u);
}

TEST_F(DeliveryTest, OfAnEmptyFileHasArrivedWithItsHead) {
  const auto d = begin(0, {{0, 0}});
  d->begin_part(0, 100);
  EXPECT_EQ(leased(*d), 0u);
  d->all_sent();
  EXPECT_FALSE(d->settle(99));
  EXPECT_TRUE(d->settle(100));
  EXPECT_EQ(view().copies, 1u);
}

TEST_F(DeliveryTest, GetsNoLeaseOfALedgerThatCannotWrite) {
  const std::uint64_t size = 4 * kMiB;
  const auto d = begin(size, {{0, size}});
  d->begin_part(0, 0);
  rig.disk.fail_call(1, make_error_code(boost::system::errc::io_error), true);
  ASSERT_EQ(leased(*d), kMiB) << "what was granted with the admission";
  d->sent(kMiB);
  EXPECT_EQ(leased(*d), 0u);
}

TEST_F(DeliveryTest, IsToldEndedOnce) {
  const auto d = begin(1000, {{0, 1000}});
  d->begin_part(0, 0);
  static_cast<void>(leased(*d));
  d->sent(1000);
  d->all_sent();
  EXPECT_TRUE(d->settle(1000));
  EXPECT_TRUE(d->settle(1000));
  d->end(1000);
  rig.ledger->flush();
  EXPECT_EQ(rig.follower.events().size(), 4u) << "used, counted, blocked, ended";
}

}  // namespace
}  // namespace tallygate::transfer
