#include "core/ledger/account.h"

#include <algorithm>
#include <utility>

#include "core/shop/word.h"

namespace tallygate::ledger {
namespace {

template <class What>
void add_event(Entries& out, const std::string& link_id, What what) {
  if (!out.wants_events) return;
  TALLYGATE_ASSERT(out.records > 0);
  out.events.push_back({out.records - 1, link_id, std::move(what)});
}

// Without a row's own limit, the largest `n` that a genuine URL has carried holds; none is largest.
Signed with_url(Signed terms, const AdmitRequest& request) {
  if (!terms.seen) {
    terms.limit = request.signed_limit;
  } else if (terms.limit) {
    terms.limit = request.signed_limit ? std::max(terms.limit, request.signed_limit) : std::nullopt;
  }
  terms.seen = true;
  if (request.expires_at) terms.expires_at = std::max(terms.expires_at, request.expires_at);
  return terms;
}

}  // namespace

// -- a download ---------------------------------------------------------------------------------

void Account::note_signed(const AdmitRequest& request, Entries& out) {
  const Signed now = with_url(signed_, request);
  if (now == signed_) return;
  signed_ = now;
  record(signed_, out);
}

// Flights of an unlimited link are not in the journal until something depends on them.
void Account::adopt_flights(Entries& out) {
  for (Flight& f : meters_.all_flights()) {
    if (f.journaled) continue;
    f.journaled = true;
    record(Opened{f.meter->version, f.meter->size, f.id, f.first, f.upto, f.last, f.late}, out);
  }
}

void Account::use_limit(const shop::Word& in_force, Entries& out) {
  const Limit limit = shop::effective_limit(in_force, signed_.limit);
  if (limit == meters_.limit()) return;
  if (limit) adopt_flights(out);
  meters_.set_limit(limit);
  record(LimitSet{limit}, out);
  report(out);
}

Result<Admitted, Refusal> Account::admit(const AdmitRequest& request, Entries& out) {
  note_signed(request, out);
  use_limit(request.word, out);
  const Limit limit = meters_.limit();
  if (limit && *limit == 0) return Refusal::exhausted;  // "none": not even a finishing touch
  const bool another_file = !identity_.used || !meters_.knows(request.version);
  const auto first_flight = meters_.admit(request.version, request.size, request.ranges);
  if (!first_flight) return first_flight.error();
  const Span& range = request.ranges.front();
  const std::uint64_t upto = range.first + std::min(request.window_bytes, range.bytes());
  if (!meters_.lease(*first_flight, upto)) {
    for (std::uint32_t i = 0; i < request.ranges.size(); ++i) {
      meters_.close(*first_flight + i, 0, false);
    }
    return Refusal::traffic;
  }
  if (another_file) {
    const bool first_use = !identity_.used;
    identity_.used = true;
    identity_.parent_id = request.parent_id;
    identity_.path = request.path;
    record(Used{identity_.parent_id, identity_.path}, out);
    if (first_use) add_event(out, identity_.id, LinkUsed{identity_.path, identity_.parent_id});
  }
  if (limit) adopt_flights(out);
  return Admitted{*first_flight, upto, limit.has_value()};
}

std::optional<Refusal> Account::peek(const AdmitRequest& request) {
  const Limit limit = shop::effective_limit(request.word, with_url(signed_, request).limit);
  if (limit && *limit == 0) return Refusal::exhausted;
  if (limit != meters_.limit()) return std::nullopt;  // the next GET changes it, and will ask
  // An admission without a lease, taken back at once, leaves nothing behind.
  const auto flight = meters_.admit(request.version, request.size, request.ranges);
  if (!flight) return flight.error();
  for (std::uint32_t i = 0; i < request.ranges.size(); ++i) meters_.close(*flight + i, 0, false);
  return std::nullopt;
}

LeaseAnswer Account::lease(std::uint32_t flight, std::uint64_t upto, Entries& out) {
  if (!meters_.lease(flight, upto)) return LeaseAnswer::refused;
  if (meters_.find(flight)->journaled) record(Leased{flight, upto}, out);
  return meters_.limit() ? LeaseAnswer::granted : LeaseAnswer::free;
}

std::uint32_t Account::settle(std::uint32_t flight, std::uint64_t acked, Entries& out) {
  const Flight f = *meters_.find(flight);
  if (f.journaled) {
    record(Settled{flight, acked}, out);
  } else {
    record(Delivered{f.meter->version, f.meter->size, f.first, acked, 0, false}, out);
  }
  const std::uint32_t copies = deliver(flight, acked, out);
  report(out);
  return copies;
}

std::uint32_t Account::close(std::uint32_t flight, std::uint64_t acked, std::uint64_t left,
                             bool completed, Entries& out) {
  const Flight f = *meters_.find(flight);
  if (f.journaled) {
    record(Closed{flight, acked, left, completed}, out);
  } else if (acked != 0 || left != 0 || f.meter->size == 0) {
    record(Delivered{f.meter->version, f.meter->size, f.first, acked, left, completed}, out);
  }
  const std::uint32_t copies = end(flight, acked, left, completed, out);
  report(out);
  return copies;
}

std::uint32_t Account::deliver(std::uint32_t flight, std::uint64_t acked, Entries& out) {
  const Meter& meter = *meters_.find(flight)->meter;
  const std::uint32_t copies = meters_.settle(flight, acked);
  if (meter.detached) count_detached(meter.reset_gen, copies, out);
  return copies;
}

std::uint32_t Account::end(std::uint32_t flight, std::uint64_t acked, std::uint64_t left,
                           bool completed, Entries& out) {
  const std::uint32_t delivered = deliver(flight, acked, out);
  const Meter& meter = *meters_.find(flight)->meter;
  const bool detached = meter.detached;  // then this may be its last transfer, and its end
  const std::uint32_t reset_gen = meter.reset_gen;
  const std::uint32_t closed = meters_.close(flight, left, completed);
  if (detached) count_detached(reset_gen, closed, out);
  return delivered + closed;
}

// -- from one process to the next ----------------------------------------------------------------

void Account::lease_all(Entries& out) {
  for (Flight& f : meters_.all_flights()) {
    if (f.upto == f.last || !meters_.lease(f.id, f.last) || !f.journaled) continue;
    record(Leased{f.id, f.upto}, out);
  }
  adopt_flights(out);
}

std::uint64_t Account::leased_upto(std::uint32_t flight) const {
  const auto& flights = meters_.all_flights();
  const auto it = std::ranges::find(flights, flight, &Flight::id);
  return it == flights.end() ? 0 : it->upto;
}

void Account::lose(std::uint32_t flight, Entries& out) {
  if (meters_.find(flight) == nullptr) return;
  record(Lost{flight}, out);
  static_cast<void>(apply(Lost{flight}, out));
}

void record_ended(std::string_view link_id, TransferEnded transfer, Entries& out) {
  append(out, link_id, transfer);
  add_event(out, std::string(link_id), std::move(transfer));
}

// -- the shop -----------------------------------------------------------------------------------

void Account::take_word(const Spoken& spoken) {
  if (spoken.word.reset_gen > spoken_.word.reset_gen) {
    for (const auto& m : meters_.meters()) {
      if (!m->detached) m->reset_gen = spoken_.word.reset_gen;
    }
    meters_.reset();
    reported_ = 0;
  }
  spoken_ = spoken;
}

void Account::hear(const shop::Word& own, const shop::Word& in_force, Entries& out) {
  Spoken now{true, own};
  // Generations only grow: a database restored from yesterday does not undo a reset.
  now.word.reset_gen = std::max(own.reset_gen, spoken_.word.reset_gen);
  if (now != spoken_) {
    if (now.word.reset_gen > spoken_.word.reset_gen) adopt_flights(out);
    record(now, out);
    take_word(now);
    report(out);
  }
  use_limit(in_force, out);
}

void Account::row_acknowledged(Entries& out) {
  if (spoken_.row_known) return;
  spoken_.row_known = true;
  record(spoken_, out);
  report(out);  // as replaying it does
}

bool Account::row_gone(Entries& out) {
  if (!spoken_.row_known || spoken_.word.state == shop::State::revoked) return false;
  spoken_.word.state = shop::State::revoked;
  record(spoken_, out);
  report(out);
  return true;
}

void Account::resolve_doubt(Entries& out) {
  if (!meters_.has_doubt()) return;
  record(Resolved{}, out);
  meters_.resolve_doubt();
  report(out);
}

// -- what the shop is told ----------------------------------------------------------------------

// A transfer from before a reset: recorded, but in the generation in which it was measured.
void Account::count_detached(std::uint32_t reset_gen, std::uint32_t copies, Entries& out) {
  if (copies != 0) add_event(out, identity_.id, CopiesCounted{reset_gen, copies});
}

Blocked Account::blocked_now() const {
  if (!identity_.used || !meters_.limit()) return Blocked::none;
  if (meters_.copies() >= *meters_.limit()) return Blocked::copies;
  return meters_.out_of_traffic() ? Blocked::traffic : Blocked::none;
}

void Account::report(Entries& out) {
  if (const std::uint64_t counted = meters_.counted(); counted > reported_) {
    add_event(out, identity_.id, CopiesCounted{spoken_.word.reset_gen, counted - reported_});
    reported_ = counted;
  }
  if (const Blocked now = blocked_now(); now != blocked_) {
    blocked_ = now;
    add_event(out, identity_.id, BlockedChanged{now});
  }
}

AccountView Account::view() const {
  // A limit that is raised pays for more waste too, and so the copies that waste has used up would
  // be fewer than the shop was told. What is shown never falls.
  const std::uint64_t counted = std::max(meters_.counted(), reported_);
  return {identity_,         signed_,
          spoken_,           meters_.limit(),
          counted,           meters_.copies(),
          meters_.traffic(), meters_.flights(),
          blocked_now(),     meters_.unfinished_copy()};
}

// -- recovery -----------------------------------------------------------------------------------

bool Account::replay(const Change& what, Entries& out) {
  out.records = 1;  // the one being replayed: its events are numbered by it
  return std::visit([&](const auto& change) { return apply(change, out); }, what);
}

bool Account::apply(const Used& change, Entries& out) {
  const bool first_use = !identity_.used;
  identity_.used = true;
  identity_.parent_id = change.parent_id;
  identity_.path = change.path;
  if (first_use) add_event(out, identity_.id, LinkUsed{identity_.path, identity_.parent_id});
  return true;
}

bool Account::apply(const Signed& change, Entries&) {
  signed_ = change;
  return true;
}

bool Account::apply(const Spoken& change, Entries& out) {
  take_word(change);
  report(out);
  return true;
}

bool Account::apply(const LimitSet& change, Entries& out) {
  meters_.set_limit(change.limit);
  report(out);
  return true;
}

bool Account::apply(const Opened& change, Entries&) {
  if (change.first > change.upto || change.upto > change.last || change.last > change.size) {
    return false;
  }
  if (change.flight == 0 || change.flight == UINT32_MAX) return false;  // ids that are never given
  if (meters_.find(change.flight) != nullptr) return false;
  if (meters_.meter(change.version, change.size).size != change.size) return false;
  meters_.open(change.version, change.size,
               {change.flight, nullptr, change.first, change.upto, change.last, change.late, true});
  return true;
}

bool Account::apply(const Leased& change, Entries&) {
  const Flight* f = meters_.find(change.flight);
  if (f == nullptr || change.upto < f->upto || change.upto > f->last) return false;
  meters_.grant(change.flight, change.upto);
  return true;
}

bool Account::apply(const Settled& change, Entries& out) {
  const Flight* f = meters_.find(change.flight);
  if (f == nullptr || change.acked > f->upto - f->first) return false;
  deliver(change.flight, change.acked, out);
  report(out);
  return true;
}

bool Account::apply(const Closed& change, Entries& out) {
  const Flight* f = meters_.find(change.flight);
  if (f == nullptr || change.acked > f->upto - f->first) return false;
  if (change.left > f->upto - f->first - change.acked) return false;
  end(change.flight, change.acked, change.left, change.completed, out);
  report(out);
  return true;
}

bool Account::apply(const Delivered& change, Entries& out) {
  if (change.first > change.size || change.acked > change.size - change.first) return false;
  if (change.left > change.size - change.first - change.acked) return false;
  if (meters_.meter(change.version, change.size).size != change.size) return false;
  meters_.deliver_unleased(change.version, change.size, {change.first, change.first + change.acked},
                           change.left, change.completed);
  report(out);
  return true;
}

bool Account::apply(const TransferEnded& change, Entries& out) {
  add_event(out, identity_.id, change);
  return true;
}

bool Account::apply(const Crashed&, Entries& out) {
  meters_.crash();
  report(out);
  return true;
}

bool Account::apply(const Lost& change, Entries& out) {
  const Flight* f = meters_.find(change.flight);
  if (f == nullptr) return false;
  const bool detached = f->meter->detached;
  const std::uint32_t reset_gen = f->meter->reset_gen;
  const std::uint32_t copies = meters_.lose(change.flight);
  if (detached) count_detached(reset_gen, copies, out);
  report(out);
  return true;
}

// Whoever keeps the accounts drops it.
bool Account::apply(const Forgotten&, Entries&) {
  return in_flight() == 0;
}

bool Account::apply(const Resolved&, Entries& out) {
  meters_.resolve_doubt();
  report(out);
  return true;
}

}  // namespace tallygate::ledger
