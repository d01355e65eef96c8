// Meters against the counting rule told byte by byte (naive_rule.h), on random histories of one
// link. A third party is fed what the journal would hold and must arrive at the same meters.
//
// TALLYGATE_SEED=<n> runs the one history of that seed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "tests/core/ledger/naive_rule.h"
#include "tests/core/ledger/test_link.h"

namespace tallygate::ledger {
namespace {

using naive::Bytes;

std::uint64_t u64(Bytes n) {
  return static_cast<std::uint64_t>(n);
}

std::string name(Answer answer) {
  return ::testing::PrintToString(answer);
}

class History {
 public:
  explicit History(std::uint64_t seed)
      : random_(seed), waste_(pick<std::uint32_t>({0, 500, 1000, 2000})) {
    meters_ = std::make_unique<Meters>(waste_);
    recovered_ = std::make_unique<Meters>(waste_);
    rule_ = std::make_unique<naive::Rule>(waste_);
    for (int i = pick({1, 1, 2, 3}); i > 0; --i) sizes_.push_back(pick<Bytes>({0, 1, 7, 64, 1000}));
    set_limit(draw_limit());
  }

  // At most 960 deliveries, each of which adds one fragment at the very most.
  void run() {
    constexpr int kStepsMax = 60;
    const int steps = draw(1, kStepsMax);
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      SCOPED_TRACE("after step " + std::to_string(i) + ", " + step());
      compare();
      check_promises();
    }
  }

 private:
  // What kinds of trouble this history knows; drawn once, so that each is also absent.
  struct Habits {
    int crash, limit, reset, restart;  // permille of the steps
    int admit;                         // percent
    int whole;                         // percent of the requests that are for the whole file
    bool rude;                         // peers leave without acknowledging
    bool lockstep;                     // the transfer that is behind goes on first
  };

  template <class T>
  T pick(std::initializer_list<T> choices) {
    return *(choices.begin() + draw(0, static_cast<int>(choices.size()) - 1));
  }
  template <class T>
  T draw(T low, T high) {
    return std::uniform_int_distribution<T>(low, high)(random_);
  }
  bool chance(int percent) { return draw(1, 100) <= percent; }

  std::string step() {
    int x = draw(1, 1000);
    if ((x -= habits_.crash) <= 0) return crash();
    if ((x -= habits_.limit) <= 0) return change_limit();
    if ((x -= habits_.reset) <= 0) return reset();
    if ((x -= habits_.restart) <= 0) return restart();
    if (rule_->transfers.empty() || chance(habits_.admit)) return admit();
    return advance(habits_.lockstep ? most_behind() : any_transfer());
  }

  std::string admit() {
    const int v = draw(0, static_cast<int>(sizes_.size()) - 1);
    const Bytes size = sizes_[static_cast<std::size_t>(v)];
    const std::vector<naive::Range> ranges = draw_ranges(size);
    std::vector<Span> spans;
    for (const auto& [first, last] : ranges) spans.push_back({u64(first), u64(last)});

    std::vector<int> ids;
    const std::string expected = rule_->admit(v, size, ranges, ids);
    const auto got = meters_->admit(version(u64(v)), u64(size), spans);
    EXPECT_EQ(got ? "admitted" : name(to_answer(got.error())), expected);
    if (got && !ids.empty()) {
      EXPECT_EQ(*got, static_cast<std::uint32_t>(ids.front()));
      for (const int id : ids) {
        const Flight* flight = meters_->find(static_cast<std::uint32_t>(id));
        if (flight != nullptr) recovered_->open(version(u64(v)), u64(size), *flight);
      }
    }
    for (std::size_t i = received_.size(); i < rule_->versions.size(); ++i) {
      received_.emplace_back(rule_->versions[i].acknowledged.size());
    }
    return "admit " + std::to_string(ranges.size()) + " ranges of version " + std::to_string(v);
  }

  std::vector<naive::Range> draw_ranges(Bytes size) {
    if (size == 0 || chance(habits_.whole)) return {{0, size}};
    if (chance(10)) return {{0, size - 1}};
    std::vector<Bytes> ends(2 * pick<std::size_t>({1, 1, 1, 2, 5, 16}));
    for (Bytes& end : ends) end = draw<Bytes>(0, size);
    std::sort(ends.begin(), ends.end());
    if (chance(20)) return {{ends.front(), size}};
    std::vector<naive::Range> ranges;
    for (std::size_t i = 0; i < ends.size(); i += 2) ranges.emplace_back(ends[i], ends[i + 1]);
    return ranges;
  }

  std::string advance(int id) {
    const naive::Transfer t = rule_->transfers.at(id);
    const auto flight = static_cast<std::uint32_t>(id);
    const int x = draw(1, 100);
    if (x <= 40) return lease(id, flight, pick({draw(t.leased, t.end), t.end}));
    if (x <= 80 || !(habits_.rude || t.next == t.end)) {
      return settle(id, flight, pick({draw<Bytes>(0, t.leased - t.next), t.leased - t.next}));
    }
    const Bytes left = habits_.rude ? draw<Bytes>(0, t.leased - t.next) : 0;
    return close(id, flight, left, chance(80));
  }

  std::string lease(int id, std::uint32_t flight, Bytes upto) {
    const bool granted = meters_->lease(flight, u64(upto));
    EXPECT_EQ(granted, rule_->lease(id, upto));
    if (granted) recovered_->grant(flight, u64(upto));
    return "lease " + std::to_string(id) + " up to " + std::to_string(upto);
  }

  std::string settle(int id, std::uint32_t flight, Bytes acknowledged) {
    const naive::Transfer t = rule_->transfers.at(id);
    if (!t.late) {
      auto& received = received_[static_cast<std::size_t>(t.version)];
      const auto at = received.begin() + t.next;
      std::for_each(at, at + acknowledged, [](int& times) { ++times; });
    }
    const Bytes before = version_of(t).copies();
    rule_->settle(id, acknowledged);
    EXPECT_EQ(meters_->settle(flight, u64(acknowledged)), version_of(t).copies() - before);
    recovered_->settle(flight, u64(acknowledged));
    return "settle " + std::to_string(acknowledged) + " of " + std::to_string(id);
  }

  std::string close(int id, std::uint32_t flight, Bytes left, bool completed) {
    const naive::Transfer t = rule_->transfers.at(id);
    const Bytes before = version_of(t).copies();
    rule_->close(id, left, completed);
    EXPECT_EQ(meters_->close(flight, u64(left), completed), version_of(t).copies() - before);
    recovered_->close(flight, u64(left), completed);
    return "close " + std::to_string(id);
  }

  std::string crash() {
    rule_->crash();
    meters_->crash();
    recovered_->crash();
    return "crash";
  }

  Limit draw_limit() {
    const auto n = pick<std::uint32_t>({0, 1, 1, 1, 2, 2, 3, 4, 5, 20, 2'147'483'647, kUnlimited});
    return n == kUnlimited ? Limit() : Limit(n);
  }

  void set_limit(Limit limit) {
    rule_->set_limit(limit ? std::optional<Bytes>(*limit) : std::nullopt);
    meters_->set_limit(limit);
    recovered_->set_limit(limit);
  }

  std::string change_limit() {
    const Limit was = meters_->limit();
    const Limit limit = draw_limit();
    set_limit(limit);
    limit_fell_ |= limit && (!was || *limit < *was);
    limit_changed_ = true;
    return "limit " + (limit ? std::to_string(*limit) : "none");
  }

  std::string reset() {
    rule_->reset();
    meters_->reset();
    recovered_->reset();
    limit_fell_ = limit_changed_ = false;
    return "reset";
  }

  // From a snapshot, which holds meters and flights in any order, but none from before a reset.
  std::string restart() {
    for (const auto& m : meters_->meters()) {
      if (m->detached) return "no restart";
    }
    recovered_ = std::make_unique<Meters>(waste_);
    recovered_->set_limit(meters_->limit());
    for (const auto& m : meters_->meters()) recovered_->restore(*m);
    auto flights = meters_->all_flights();
    std::shuffle(flights.begin(), flights.end(), random_);
    for (const Flight& f : flights) recovered_->open(f.meter->version, f.meter->size, f);
    return "restart";
  }

  int any_transfer() {
    const auto n = static_cast<std::ptrdiff_t>(rule_->transfers.size());
    return std::next(rule_->transfers.begin(), draw<std::ptrdiff_t>(0, n - 1))->first;
  }
  int most_behind() {
    return std::min_element(
               rule_->transfers.begin(), rule_->transfers.end(),
               [](const auto& a, const auto& b) { return a.second.next < b.second.next; })
        ->first;
  }

  void compare() {
    EXPECT_EQ(meters_->copies(), rule_->copies());
    EXPECT_EQ(meters_->counted(), rule_->counted());
    EXPECT_EQ(meters_->traffic(), rule_->traffic());
    EXPECT_EQ(meters_->out_of_traffic(), rule_->out_of_traffic());
    compare_meters();
    compare_flights();
    compare_recovered();
  }

  void compare_meters() {
    std::size_t current = 0;
    bool unfinished = false;
    for (const auto& m : meters_->meters()) {
      if (m->detached) continue;
      ++current;
      const naive::Version* v = rule_->find(static_cast<int>(m->version.hash));
      ASSERT_NE(v, nullptr);
      EXPECT_EQ(m->size, v->size);
      EXPECT_EQ(m->copies, v->copies());
      EXPECT_EQ(m->traffic, v->left);
      EXPECT_EQ(m->tail, v->tail);
      EXPECT_EQ(m->doubt, v->doubt);
      std::vector<std::vector<Span>> layers;
      for (const SpanSet& layer : m->layers)
        layers.emplace_back(layer.spans().begin(), layer.spans().end());
      EXPECT_EQ(layers, layers_of(*v));
      unfinished |= !m->layers.empty();
    }
    EXPECT_EQ(current, rule_->versions_served());
    EXPECT_EQ(meters_->unfinished_copy(), unfinished);
  }

  static std::vector<std::vector<Span>> layers_of(const naive::Version& v) {
    std::vector<std::vector<Span>> layers;
    const int copies = v.copies();
    int before = 0;  // layers that the byte before is in
    for (std::size_t byte = 0; byte < v.acknowledged.size(); ++byte) {
      const int now = v.acknowledged[byte] - copies;
      if (layers.size() < static_cast<std::size_t>(now))
        layers.resize(static_cast<std::size_t>(now));
      for (int i = 0; i < now; ++i) {
        auto& layer = layers[static_cast<std::size_t>(i)];
        if (i >= before) layer.push_back({byte, byte});
        layer.back().last = byte + 1;
      }
      before = now;
    }
    return layers;
  }

  void compare_flights() {
    ASSERT_EQ(meters_->flights(), rule_->transfers.size());
    auto flight = meters_->all_flights().begin();
    for (const auto& [id, t] : rule_->transfers) {
      EXPECT_EQ(flight->id, id);
      EXPECT_EQ(flight->first, t.next);
      EXPECT_EQ(flight->upto, t.leased);
      EXPECT_EQ(flight->last, t.end);
      EXPECT_EQ(flight->late, t.late);
      EXPECT_EQ(flight->meter->detached, version_of(t).before_reset);
      ++flight;
    }
  }

  void compare_recovered() {
    ASSERT_EQ(recovered_->meters().size(), meters_->meters().size());
    for (std::size_t i = 0; i < meters_->meters().size(); ++i) {
      EXPECT_EQ(*recovered_->meters()[i], *meters_->meters()[i]);
    }
    ASSERT_EQ(recovered_->flights(), meters_->flights());
    for (std::size_t i = 0; i < meters_->flights(); ++i) {
      const Flight& a = recovered_->all_flights()[i];
      const Flight& b = meters_->all_flights()[i];
      EXPECT_EQ(std::tie(a.id, a.first, a.upto, a.last, a.late, *a.meter),
                std::tie(b.id, b.first, b.upto, b.last, b.late, *b.meter));
    }
  }

  // What the rule promises, told without the rule.
  void check_promises() {
    const Limit limit = meters_->limit();
    if (limit && !limit_fell_) {
      EXPECT_LE(meters_->copies(), *limit);
    }
    for (const auto& m : meters_->meters()) {
      if (m->detached || m->size == 0) continue;
      const naive::Version& v = *rule_->find(static_cast<int>(m->version.hash));
      const auto& received = received_[static_cast<std::size_t>(&v - rule_->versions.data())];
      const int whole = *std::min_element(received.begin(), received.end());
      EXPECT_GE(m->copies, whole) << "a copy that the customer has was forgotten";
      if (m->doubt == 0) {
        EXPECT_EQ(m->copies, whole);
      }
      if (limit && !limit_changed_ && sizes_.size() == 1) check_traffic(*m, *limit);
    }
  }

  // (limit + W) x size, the finishing touch before and after the last copy, and each time what
  // crashes left in doubt.
  void check_traffic(const Meter& m, std::uint32_t limit) const {
    const Uint128 files = Uint128{limit} * kMillion + Uint128{waste_} * 250 * std::max(4U, limit);
    EXPECT_TRUE(m.share(m.traffic) <= files + 2 * m.share(m.allowance()) + 2 * m.share(m.doubt))
        << m.traffic << " bytes left, of " << m.size << " at limit " << limit;
  }

  [[nodiscard]] const naive::Version& version_of(const naive::Transfer& t) const {
    return rule_->versions[static_cast<std::size_t>(t.version)];
  }

  static constexpr std::uint32_t kUnlimited = 0xffff'ffff;

  std::mt19937_64 random_;
  std::uint32_t waste_;  // permille
  Habits habits_{pick({0, 0, 20, 80}), pick({0, 0, 20, 100}), pick({0, 0, 10, 50}), 20,
                 pick({15, 35, 60}),   pick({0, 30, 80}),     chance(40),           chance(20)};
  std::vector<Bytes> sizes_;  // of the versions
  std::unique_ptr<Meters> meters_;
  std::unique_ptr<Meters> recovered_;
  std::unique_ptr<naive::Rule> rule_;
  std::vector<std::vector<int>> received_;  // [version][byte]: by customers, while copies were left
  bool limit_fell_ = false;                 // since the last reset
  bool limit_changed_ = false;
};

TEST(MeterHistory, GivesTheAnswersOfTheRuleToldByteByByte) {
  constexpr std::uint64_t kHistories = 3000;
  std::uint64_t first = std::random_device{}();
  std::uint64_t histories = kHistories;
  if (const char* seed = std::getenv("TALLYGATE_SEED")) {
    first = std::strtoull(seed, nullptr, 10);
    histories = 1;
  }
  std::cout << "seeds " << first << " to " << first + histories - 1 << '\n';
  for (std::uint64_t seed = first; seed < first + histories; ++seed) {
    SCOPED_TRACE("replay with TALLYGATE_SEED=" + std::to_string(seed));
    History(seed).run();
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace tallygate::ledger
