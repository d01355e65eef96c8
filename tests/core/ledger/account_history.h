// A link that lives through whatever customers, merchants and operators may do to it, at random,
// with everything that it recorded and what it looked like after each step.
#pragma once
#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "core/ledger/account.h"

namespace tallygate::ledger {

// All that a ledger knows of a link, as it was recorded; transfers in flight are left out.
struct Knowledge {
  Identity identity;
  Signed signed_terms;
  Spoken spoken;
  Limit limit;
  std::uint64_t counted = 0;
  std::uint64_t copies = 0;
  std::uint64_t traffic = 0;
  Blocked blocked = Blocked::none;
  bool unfinished_copy = false;
  std::optional<std::size_t> in_flight;  // unlimited links: in no record
  friend bool operator==(const Knowledge&, const Knowledge&) = default;
};

inline Knowledge knowledge(const Account& account) {
  const AccountView v = account.view();
  Knowledge k{v.identity, v.signed_terms,  v.spoken,  v.limit,           v.counted,
              v.copies,   v.traffic_bytes, v.blocked, v.unfinished_copy, {}};
  if (v.limit) k.in_flight = v.in_flight;
  return k;
}

inline constexpr std::string_view kHistoryLink = "i1001-7";

// Replays records one by one, as recovery does.
class Replayed {
 public:
  explicit Replayed(std::uint32_t waste_permille) : account(waste_permille, kHistoryLink) {}

  // False: refused.
  bool take(std::string_view& bytes) {
    const auto record = take_record(bytes);
    if (!record) return false;
    Entries entries;
    if (!account.replay(record->what, entries)) return false;
    for (Event& event : entries.events) {
      event.seq = records;
      events.push_back(std::move(event));
    }
    ++records;
    return true;
  }

  Account account;
  std::uint64_t records = 0;
  std::vector<Event> events;
};

class AccountHistory {
 public:
  struct Options {
    bool limit_falls = true;  // also: becomes none, and some again
    std::uint32_t waste_permille = 2000;
    bool rests = false;  // becomes an image whenever nothing is in flight, and an account again
  };
  struct Step {
    const char* what;
    std::uint64_t records = 0;  // up to and with this step
    Knowledge knowledge;
    std::string image;  // empty where a transfer is in flight that is not in the journal
  };

  AccountHistory(std::uint64_t seed_of_it, const Options& options)
      : seed(seed_of_it), options_(options), random_(seed), parent_id_(pick(2) ? "" : "i1001") {
    live_.emplace(options.waste_permille, kHistoryLink);
    word_.max_copies = first_limit();
  }

  [[nodiscard]] const Account& live() const { return *live_; }

  void run(int count) {
    for (int i = 0; i < count; ++i) step();
  }
  // Ends all transfers.
  void finish() {
    while (!flights_.empty()) close(flights_.begin()->first);
  }

  const std::uint64_t seed;
  std::string bytes;  // of all records
  std::uint64_t records = 0;
  std::vector<Event> events;  // Event::seq counts from the first record
  std::vector<Step> steps;
  std::size_t rested = 0;  // so often
  bool wakes = true;       // each time

 private:
  struct Running {
    std::uint64_t first = 0;  // next byte to be settled
    std::uint64_t upto = 0;
    std::uint64_t last = 0;
    bool journaled = false;
  };

  std::uint64_t pick(std::uint64_t choices) { return random_() % choices; }
  std::uint64_t up_to(std::uint64_t most) { return pick(4) == 0 ? most : pick(most + 1); }
  std::optional<std::int32_t> first_limit() {
    if (!options_.limit_falls) return static_cast<std::int32_t>(1 + pick(4));
    return pick(2) ? std::nullopt : std::optional<std::int32_t>(static_cast<std::int32_t>(pick(4)));
  }

  void keep(const char* what, Entries entries) {
    bytes += entries.bytes;
    for (Event& event : entries.events) {
      event.seq += records;
      events.push_back(std::move(event));
    }
    records += entries.records;
    Step step{what, records, knowledge(live()), {}};
    if (live().view().limit) journal_flights();
    if (std::all_of(flights_.begin(), flights_.end(),
                    [](const auto& f) { return f.second.journaled; })) {
      live().write_image(step.image);
    }
    if (options_.rests && flights_.empty()) rest(step.image);
    steps.push_back(std::move(step));
  }
  void journal_flights() {
    for (auto& [id, flight] : flights_) flight.journaled = true;
  }
  void rest(const std::string& image) {
    live_.emplace(options_.waste_permille, kHistoryLink);
    wakes &= live_->read_image(image);
    ++rested;
  }

  void step() {
    switch (pick(12)) {
      case 0:
      case 1:
      case 2:
        return admit();
      case 3:
      case 4:
        return lease();
      case 5:
      case 6:
        return settle();
      case 7:
      case 8:
        if (!flights_.empty()) close(any_flight());
        return;
      case 9:
        return hear();
      case 10:
        return peek();
      default:
        return rare();
    }
  }

  AdmitRequest request(std::vector<Span>& ranges) {
    // A large and a small version: they differ in the allowance; sometimes an empty file.
    static constexpr std::uint64_t kSizes[] = {1000, 64 << 20, 1000, 64 << 20, 1000, 0};
    const std::size_t number = pick(std::size(kSizes));
    const std::uint64_t size = kSizes[number];
    if (size == 0 || pick(2) == 0) {
      ranges.push_back({0, size});
    } else {
      std::uint64_t at = 0;
      for (auto n = pick(3) + 1; n != 0 && at < size; --n) {
        const std::uint64_t first = at + up_to(size - at - 1);
        const std::uint64_t last = first + 1 + up_to(size - first - 1);
        ranges.push_back({first, last});
        at = last;
      }
    }
    AdmitRequest r;
    r.link_id = kHistoryLink;
    r.parent_id = parent_id_;
    r.path = pick(5) == 0 ? "/other" : "/file";
    if (options_.limit_falls && pick(8) != 0) {
      r.signed_limit = static_cast<std::uint32_t>(pick(4) + 1);
    }
    if (!options_.limit_falls) r.signed_limit = 1;
    if (pick(2) == 0) r.expires_at = 1'767'225'600 + static_cast<std::int64_t>(pick(3));
    r.word = word_;
    r.version = {number};
    r.size = size;
    r.ranges = ranges;
    r.window_bytes = std::max<std::uint64_t>(1, size / (1 + pick(4)));
    return r;
  }

  void admit() {
    std::vector<Span> ranges;
    const AdmitRequest r = request(ranges);
    Entries entries;
    const auto admitted = live_->admit(r, entries);
    if (admitted) {
      for (std::size_t i = 0; i < ranges.size(); ++i) {
        const std::uint64_t upto = i == 0 ? admitted->upto : ranges[i].first;
        flights_[admitted->first_flight + static_cast<std::uint32_t>(i)] = {ranges[i].first, upto,
                                                                            ranges[i].last, false};
      }
    }
    keep("admit", std::move(entries));
  }
  void peek() {
    std::vector<Span> ranges;
    const AdmitRequest r = request(ranges);
    static_cast<void>(live_->peek(r));
    keep("peek", {});
  }
  std::uint32_t any_flight() {
    return std::next(flights_.begin(), static_cast<std::ptrdiff_t>(pick(flights_.size())))->first;
  }
  void lease() {
    if (flights_.empty()) return;
    const std::uint32_t id = any_flight();
    Running& f = flights_.at(id);
    const std::uint64_t upto = f.upto + up_to(f.last - f.upto);
    Entries entries;
    const LeaseAnswer answer = live_->lease(id, upto, entries);
    if (answer != LeaseAnswer::refused) f.upto = upto;
    keep("lease", std::move(entries));
  }
  void settle() {
    if (flights_.empty()) return;
    const std::uint32_t id = any_flight();
    Running& f = flights_.at(id);
    const std::uint64_t acked = up_to(f.upto - f.first);
    Entries entries;
    live_->settle(id, acked, entries);
    f.first += acked;
    keep("settle", std::move(entries));
  }
  void close(std::uint32_t id) {
    const Running f = flights_.at(id);
    flights_.erase(id);
    const std::uint64_t acked = up_to(f.upto - f.first);
    const std::uint64_t left = up_to(f.upto - f.first - acked);
    Entries entries;
    live_->close(id, acked, left, f.first + acked == f.last, entries);
    if (pick(2) == 0) {
      TransferEnded ended;
      ended.bytes_acked = acked;
      record_ended(kHistoryLink, ended, entries);
    }
    keep("close", std::move(entries));
  }
  void hear() {
    shop::Word own = word_;
    if (options_.limit_falls) {
      const auto n = static_cast<std::int32_t>(pick(6));
      own.max_copies = n == 0 ? std::nullopt : std::optional<std::int32_t>(n - 2);  // -1: unlimited
      own.used_elsewhere = pick(4) == 0 ? pick(3) : 0;
    } else {
      own.max_copies = *own.max_copies + static_cast<std::int32_t>(pick(2));
    }
    if (pick(6) == 0) ++own.reset_gen;
    word_ = own;
    Entries entries;
    if (own.reset_gen > live().spoken().word.reset_gen) journal_flights();
    live_->hear(own, own, entries);
    keep("hear", std::move(entries));
  }
  void rare() {
    Entries entries;
    if (pick(2) == 0) {
      live_->row_acknowledged(entries);
      keep("row_acknowledged", std::move(entries));
    } else {
      live_->row_gone(entries);
      keep("row_gone", std::move(entries));
    }
  }

  const Options options_;
  std::mt19937_64 random_;
  const std::string parent_id_;
  std::optional<Account> live_;
  shop::Word word_;
  std::map<std::uint32_t, Running> flights_;
};

}  // namespace tallygate::ledger
