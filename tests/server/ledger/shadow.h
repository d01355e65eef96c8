// A link of the ledger, kept a second time: what it must be after each thing that was asked, and
// what a crash makes of it.
//
// Driven by what happened alone; of the ledger it shares the counting rule (core/ledger's Meters)
// and nothing that writes, reads, replays or rests. Values only.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/ledger/account.h"
#include "core/shop/word.h"

namespace tallygate::ledger {

// What was asked of a link and done. Flights have numbers of their own here, never used again.
struct Asked {  // a download, admitted or not
  Limit signed_limit;
  std::optional<std::int64_t> expires_at;
  VersionKey version;
  std::uint64_t size = 0;
  std::vector<Flight> flights;  // empty: refused
};
struct AskedMore {
  std::uint32_t flight = 0;
  std::uint64_t upto = 0;
};
struct Arrived {
  std::uint32_t flight = 0;
  std::uint64_t bytes = 0;
};
struct Ended {
  std::uint32_t flight = 0;
  std::uint64_t bytes = 0;
  std::uint64_t left = 0;
  bool completed = false;
};
struct Heard {
  shop::Word word;
};
struct RowAcknowledged {};
struct RowGone {};
struct Evicted {};
struct Noted {  // a line for the history
  std::int64_t number = 0;
};
struct Happened {
  std::size_t link = 0;
  std::variant<Asked, AskedMore, Arrived, Ended, Heard, RowAcknowledged, RowGone, Evicted, Noted>
      what;
};

// For people who look for what went wrong.
inline std::string to_text(const Asked& what) {
  std::string text = fmt::format("asked for {} bytes, limit {}", what.size,
                                 what.signed_limit ? int(*what.signed_limit) : -1);
  if (what.flights.empty()) text += ": refused";
  for (const Flight& f : what.flights) {
    text +=
        fmt::format(", flight {} {}-{}-{}{}", f.id, f.first, f.upto, f.last, f.late ? " late" : "");
  }
  return text;
}
inline std::string to_text(const AskedMore& what) {
  return fmt::format("flight {} leases up to {}", what.flight, what.upto);
}
inline std::string to_text(const Arrived& what) {
  return fmt::format("flight {} settles {}", what.flight, what.bytes);
}
inline std::string to_text(const Ended& what) {
  return fmt::format("flight {} ends with {}, {} left", what.flight, what.bytes, what.left);
}
inline std::string to_text(const Heard& what) {
  return fmt::format("heard: max {}, elsewhere {}, generation {}",
                     what.word.max_copies.value_or(-9), what.word.used_elsewhere,
                     what.word.reset_gen);
}
inline std::string to_text(const RowAcknowledged&) {
  return "row acknowledged";
}
inline std::string to_text(const RowGone&) {
  return "row gone";
}
inline std::string to_text(const Evicted&) {
  return "evicted";
}
inline std::string to_text(const Noted& what) {
  return fmt::format("note {}", what.number);
}

class ShadowLink {
 public:
  explicit ShadowLink(std::uint32_t waste_permille = 2000)
      : waste_permille_(waste_permille), meters_(waste_permille) {}
  ShadowLink(ShadowLink&&) = default;
  ShadowLink& operator=(ShadowLink&&) = default;
  [[nodiscard]] ShadowLink clone() const;

  // What the ledger must answer. Nothing is changed by the question.
  [[nodiscard]] Result<bool, Refusal> would_admit(const Asked& ask, const std::vector<Span>& ranges,
                                                  std::uint64_t window,
                                                  std::vector<Flight>& flights) const;
  [[nodiscard]] bool would_lease(std::uint32_t flight, std::uint64_t upto) const {
    return clone().meters_.lease(flight, upto);
  }

  void apply(const Asked& what);
  void apply(const AskedMore& what) { meters_.grant(what.flight, what.upto); }
  void apply(const Arrived& what) {
    deliver(what.flight, what.bytes);
    report();
  }
  void apply(const Ended& what);
  void apply(const Heard& what);
  void apply(const RowAcknowledged&) { spoken_.row_known = true; }
  void apply(const RowGone&) {
    if (spoken_.row_known) spoken_.word.state = shop::State::revoked;
  }
  void apply(const Evicted&);
  void apply(const Noted&) {}
  // The process died: flights that were never recorded are gone, the others are in doubt.
  void crash();

  // Empty: so it is in the ledger. Else the difference.
  [[nodiscard]] std::string compare(const std::optional<AccountView>& view) const;

  [[nodiscard]] bool known() const {
    return used_ || signed_.seen || spoken_ != Spoken{} || meters_.flights() != 0;
  }
  [[nodiscard]] bool used() const { return used_; }
  [[nodiscard]] const shop::Word& word() const { return spoken_.word; }
  [[nodiscard]] bool row_known() const { return spoken_.row_known; }
  [[nodiscard]] Limit limit() const { return meters_.limit(); }
  [[nodiscard]] std::optional<std::int64_t> expires_at() const {
    return spoken_.word.expires_at ? spoken_.word.expires_at : signed_.expires_at;
  }
  [[nodiscard]] std::size_t flights() const { return meters_.flights(); }
  [[nodiscard]] std::uint64_t counted() const { return meters_.counted(); }
  [[nodiscard]] bool is_late(std::uint32_t flight) const { return at(flight).late; }
  // Where the transfer stands: what has left, and up to where it may.
  [[nodiscard]] const Flight& at(std::uint32_t flight) const {
    return *const_cast<Meters&>(meters_).find(flight);
  }

  // -- what the follower has been told, over the whole life of the ledger
  std::map<std::uint32_t, std::uint64_t> told_copies;  // by generation of reset
  std::uint64_t told_used = 0;                         // times
  Blocked told_blocked = Blocked::none;

 private:
  void note_signed(const Asked& ask);
  void use_limit();
  void record_flights() {
    for (Flight& f : meters_.all_flights()) f.journaled = true;
  }
  void deliver(std::uint32_t flight, std::uint64_t bytes);
  [[nodiscard]] Blocked blocked_now() const {
    if (!used_ || !limit()) return Blocked::none;
    if (meters_.copies() >= *limit()) return Blocked::copies;
    return meters_.out_of_traffic() ? Blocked::traffic : Blocked::none;
  }
  void report();

  std::uint32_t waste_permille_;
  Meters meters_;
  bool used_ = false;
  Signed signed_;
  Spoken spoken_;
  std::uint64_t reported_ = 0;
  Blocked blocked_ = Blocked::none;
};

inline ShadowLink ShadowLink::clone() const {
  ShadowLink copy(waste_permille_);
  copy.meters_.set_limit(limit());
  for (const auto& m : meters_.meters()) copy.meters_.restore(*m);
  for (const Flight& f : meters_.all_flights()) {
    std::size_t index = 0;
    while (meters_.meters()[index].get() != f.meter) ++index;
    copy.meters_.restore(f, index);
  }
  copy.used_ = used_;
  copy.signed_ = signed_;
  copy.spoken_ = spoken_;
  copy.reported_ = reported_;
  copy.blocked_ = blocked_;
  copy.told_copies = told_copies;
  copy.told_used = told_used;
  copy.told_blocked = told_blocked;
  return copy;
}

inline Result<bool, Refusal> ShadowLink::would_admit(const Asked& ask,
                                                     const std::vector<Span>& ranges,
                                                     std::uint64_t window,
                                                     std::vector<Flight>& flights) const {
  ShadowLink copy = clone();
  copy.note_signed(ask);
  copy.use_limit();
  if (copy.limit() && *copy.limit() == 0) return Refusal::exhausted;
  const auto first = copy.meters_.admit(ask.version, ask.size, ranges);
  if (!first) return first.error();
  const std::uint64_t upto = ranges.front().first + std::min(window, ranges.front().bytes());
  if (!copy.meters_.lease(*first, upto)) return Refusal::traffic;
  for (std::uint32_t i = 0; i < ranges.size(); ++i) {
    flights.push_back(*copy.meters_.find(*first + i));
    flights.back().meter = nullptr;
    flights.back().journaled = copy.limit().has_value();
  }
  return true;
}

inline void ShadowLink::note_signed(const Asked& ask) {
  if (!signed_.seen) {
    signed_.limit = ask.signed_limit;
  } else if (signed_.limit) {
    signed_.limit = ask.signed_limit ? std::max(signed_.limit, ask.signed_limit) : std::nullopt;
  }
  signed_.seen = true;
  if (ask.expires_at) signed_.expires_at = std::max(signed_.expires_at, ask.expires_at);
}

inline void ShadowLink::use_limit() {
  const Limit now = shop::effective_limit(spoken_.word, signed_.limit);
  if (now == limit()) return;
  if (now) record_flights();
  meters_.set_limit(now);
  report();
}

inline void ShadowLink::apply(const Asked& what) {
  note_signed(what);
  use_limit();
  if (what.flights.empty()) return;
  if (!used_) ++told_used;
  used_ = true;
  for (const Flight& f : what.flights) meters_.open(what.version, what.size, f);
  if (limit()) record_flights();
}

inline void ShadowLink::deliver(std::uint32_t flight, std::uint64_t bytes) {
  const Meter& meter = *at(flight).meter;
  const std::uint32_t copies = meters_.settle(flight, bytes);
  if (meter.detached && copies != 0) told_copies[meter.reset_gen] += copies;
}

inline void ShadowLink::apply(const Ended& what) {
  deliver(what.flight, what.bytes);
  const Meter& meter = *at(what.flight).meter;
  const bool detached = meter.detached;
  const std::uint32_t generation = meter.reset_gen;
  const std::uint32_t copies = meters_.close(what.flight, what.left, what.completed);
  if (detached && copies != 0) told_copies[generation] += copies;
  report();
}

inline void ShadowLink::apply(const Heard& what) {
  Spoken now{true, what.word};
  now.word.reset_gen = std::max(now.word.reset_gen, spoken_.word.reset_gen);
  if (now != spoken_) {
    if (now.word.reset_gen > spoken_.word.reset_gen) {
      record_flights();
      for (const auto& m : meters_.meters()) {
        if (!m->detached) m->reset_gen = spoken_.word.reset_gen;
      }
      meters_.reset();
      reported_ = 0;
    }
    spoken_ = now;
    report();
  }
  use_limit();
}

inline void ShadowLink::apply(const Evicted&) {
  ShadowLink fresh(waste_permille_);
  fresh.told_copies = std::move(told_copies);
  fresh.told_used = told_used;
  fresh.told_blocked = told_blocked;
  *this = std::move(fresh);
}

inline void ShadowLink::crash() {
  std::vector<std::uint32_t> unrecorded;
  for (const Flight& f : meters_.all_flights()) {
    if (!f.journaled) unrecorded.push_back(f.id);
  }
  for (const std::uint32_t id : unrecorded) meters_.close(id, 0, false);
  if (meters_.flights() == 0) return;
  meters_.crash();
  report();
}

inline void ShadowLink::report() {
  if (const std::uint64_t counted = meters_.counted(); counted > reported_) {
    told_copies[spoken_.word.reset_gen] += counted - reported_;
    reported_ = counted;
  }
  if (const Blocked now = blocked_now(); now != blocked_) told_blocked = blocked_ = now;
}

inline std::string ShadowLink::compare(const std::optional<AccountView>& view) const {
  if (view.has_value() != known()) return known() ? "is forgotten" : "is known";
  if (!view) return {};
  std::string difference;
  const auto equal = [&](const char* what, auto actual, auto expected) {
    if (actual == expected) return;
    difference += std::string(difference.empty() ? "" : ", ") + what + " is " +
                  std::to_string(static_cast<std::uint64_t>(actual)) + " instead of " +
                  std::to_string(static_cast<std::uint64_t>(expected));
  };
  const auto number = [](Limit limit) { return limit ? std::int64_t{*limit} : -1; };
  equal("copies", view->copies, meters_.copies());
  equal("counted", view->counted, std::max(meters_.counted(), reported_));
  equal("traffic", view->traffic_bytes, meters_.traffic());
  equal("limit", number(view->limit), number(limit()));
  equal("in_flight", view->in_flight, meters_.flights());
  equal("blocked", view->blocked, blocked_now());
  equal("unfinished_copy", view->unfinished_copy, meters_.unfinished_copy());
  equal("used", view->identity.used, used_);
  equal("signed limit", number(view->signed_terms.limit), number(signed_.limit));
  equal("expiry", view->signed_terms.expires_at.value_or(-1), signed_.expires_at.value_or(-1));
  equal("reset_gen", view->spoken.word.reset_gen, spoken_.word.reset_gen);
  equal("state", view->spoken.word.state, spoken_.word.state);
  equal("row", view->spoken.row_known, spoken_.row_known);
  equal("max_copies", view->spoken.word.max_copies.value_or(-7),
        spoken_.word.max_copies.value_or(-7));
  return difference;
}

}  // namespace tallygate::ledger
