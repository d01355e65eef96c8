#include "core/ledger/meter.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace tallygate::ledger {
namespace {

// std::erase_if knows the standard library's containers only.
template <class Container, class Predicate>
void drop_if(Container& from, Predicate predicate) {
  from.erase(std::remove_if(from.begin(), from.end(), predicate), from.end());
}

constexpr std::uint64_t kMiB = 1 << 20;

}  // namespace

// -- Meter --------------------------------------------------------------------------------------

Meter::Meter(VersionKey version_key, std::uint64_t size_bytes)
    : version(version_key), size(size_bytes) {}

std::uint64_t Meter::allowance() const {
  return std::min(size / 2, std::max(8 * kMiB, size / 16));
}

std::size_t Meter::fragments_max() const {
  return static_cast<std::size_t>(std::max<std::uint64_t>(1024, size / kMiB));
}

Uint128 Meter::share(std::uint64_t n) const {
  return size == 0 ? 0 : (Uint128{n} * kMillion + size - 1) / size;
}

// A layer begins a fragment wherever the number of deliveries rises, so one more delivery makes at
// most one fragment more, and none if it begins where another ends or ends where another begins.
bool Meter::can_follow(Span span) const {
  std::size_t fragments = 0;
  for (const SpanSet& layer : layers) fragments += layer.fragments();
  return fragments < fragments_max() ||
         std::any_of(layers.begin(), layers.end(),
                     [&](const SpanSet& layer) { return layer.adjoins(span); });
}

void Meter::add_traffic(std::uint64_t bytes, bool late) {
  const auto add = [bytes](std::uint64_t& sum) {
    if (__builtin_add_overflow(sum, bytes, &sum)) sum = std::numeric_limits<std::uint64_t>::max();
  };
  add(traffic);
  if (late) add(tail);
}

std::uint32_t Meter::cover(Span span) {
  if (span.empty()) return 0;
  if (layers.empty()) layers.emplace_back();
  // A file from one end to the other, whole or in pieces: nothing to merge or to count.
  if (layers.size() == 1 && layers.front().fragments() < fragments_max() &&
      layers.front().append(span)) {
    return take_copies();
  }
  if (!can_follow(span)) return 0;  // too scattered: traffic only
  // What a span finds covered in one layer is delivered once more: it goes on to the next.
  std::vector<Span> pieces{span};
  std::vector<Span> again;
  for (std::size_t i = 0; !pieces.empty(); ++i) {
    if (i == layers.size()) layers.emplace_back();
    again.clear();
    layers[i].add(pieces, again);
    pieces.swap(again);
  }
  return take_copies();
}

// A first layer that covers the file is a copy.
std::uint32_t Meter::take_copies() {
  std::uint32_t completed = 0;
  while (!layers.empty() && layers.front().covers({0, size})) {
    layers.erase(layers.begin());
    ++completed;
  }
  copies += completed;
  return completed;
}

// -- Meters: what is shown ----------------------------------------------------------------------

template <class F>
void Meters::each_current(F&& f) const {
  for (const auto& m : meters_) {
    if (!m->detached) f(*m);
  }
}

Meter* Meters::current(VersionKey version) const {
  for (const auto& m : meters_) {
    if (!m->detached && m->version == version) return m.get();
  }
  return nullptr;
}

// A version that was only asked for has a meter too; nothing was recorded of it.
bool Meters::knows(VersionKey version) const {
  const Meter* m = current(version);
  return m != nullptr &&
         (!m->is_blank() || std::any_of(flights_.begin(), flights_.end(),
                                        [&](const Flight& f) { return f.meter == m; }));
}

std::uint64_t Meters::copies() const {
  std::uint64_t sum = 0;
  each_current([&](const Meter& m) { sum += m.copies; });
  return sum;
}

std::uint64_t Meters::traffic() const {
  std::uint64_t sum = 0;
  each_current([&](const Meter& m) { sum += m.traffic; });
  return sum;
}

Uint128 Meters::waste() const {
  return Uint128{waste_permille_} * 1000 * std::max<std::uint32_t>(4, *limit_) / 4;
}

std::uint64_t Meters::counted() const {
  const std::uint64_t whole = copies();
  if (!limit_) return whole;
  Uint128 sum = 0;
  each_current([&](const Meter& m) { sum += m.share(m.traffic) - m.share(m.doubt); });
  const Uint128 allowed = waste();
  if (sum <= allowed) return whole;
  return std::max(whole, static_cast<std::uint64_t>((sum - allowed) / kMillion));
}

bool Meters::unfinished_copy() const {
  bool unfinished = false;
  each_current([&](const Meter& m) { unfinished |= !m.layers.empty(); });
  return unfinished;
}

bool Meters::out_of_traffic() const {
  if (!limit_ || copies() >= *limit_) return false;
  if (counted() >= *limit_) return true;
  bool out = false;
  each_current([&](const Meter& m) {
    // A version that was only asked for: the journal does not know of it, and it says nothing.
    if (m.traffic == 0) return;
    const std::uint64_t missing = m.size - (m.layers.empty() ? 0 : m.layers.front().bytes());
    out |= !traffic_allows(m, missing, false);
  });
  return out;
}

// -- Meters: decisions --------------------------------------------------------------------------

std::uint64_t Meters::early_flights(const Meter& m) const {
  return static_cast<std::uint64_t>(std::count_if(
      flights_.begin(), flights_.end(), [&](const Flight& f) { return f.meter == &m && !f.late; }));
}

// The common case: room even if every transfer in flight becomes a copy of its own. Layers need no
// look: some byte is in none of them, and in no more copies than that.
bool Meters::surely_room(std::uint64_t more) const {
  std::uint64_t most = more;
  each_current([&](const Meter& m) { most += m.copies + early_flights(m); });
  return most <= *limit_;
}

// Copies if every transfer in flight, and `more`, were delivered whole.
std::uint64_t Meters::potential(const Meter& m, std::span<const Span> more) const {
  if (m.size == 0) return m.copies + early_flights(m) + more.size();
  std::vector<Span> spans(more.begin(), more.end());
  for (const Flight& f : flights_) {
    if (f.meter == &m && !f.late) spans.push_back({f.first, f.last});
  }
  return m.copies + min_depth(m.size, m.layers, spans);
}

// May `n` more bytes of `m` leave under (limit + W) + A, over all versions?
bool Meters::traffic_allows(const Meter& m, std::uint64_t n, bool with_leases) const {
  Uint128 total = 0;
  bool seen = false;
  const auto add = [&](const Meter& o) {
    std::uint64_t more = &o == &m ? n : 0;
    seen |= &o == &m;
    if (with_leases) {
      for (const Flight& f : flights_) more += f.meter == &o ? f.upto - f.first : 0;
    }
    total += o.share(o.traffic + more) - o.share(o.doubt);
  };
  each_current(add);
  if (!seen && !m.detached) add(m);  // a version that was never served
  return total <= Uint128{*limit_} * kMillion + waste() + m.share(m.allowance());
}

bool Meters::tail_allows(const Meter& m, std::uint64_t n) const {
  Uint128 others = 0;
  each_current([&](const Meter& o) { others += &o == &m ? 0 : o.share(o.tail); });
  std::uint64_t mine = m.tail + n;
  for (const Flight& f : flights_) mine += f.meter == &m && f.late ? f.upto - f.first : 0;
  return others + m.share(mine) <= m.share(m.allowance() + m.doubt);
}

Result<std::uint32_t, Refusal> Meters::admit(VersionKey version, std::uint64_t size,
                                             std::span<const Span> ranges) {
  Meter fresh(version, size);
  const Meter* known = current(version);
  const Meter& m = known != nullptr ? *known : fresh;
  TALLYGATE_ASSERT(m.size == size);
  std::uint64_t bytes = 0;
  for (const Span& r : ranges) {
    TALLYGATE_ASSERT(r.first <= r.last && r.last <= size);
    bytes += r.bytes();
  }
  bool late = false;
  if (limit_) {
    if (counted() >= *limit_) {
      // Finishing touch: a client that lost part of the last copy after it was acknowledged, or
      // verifies it, may still read a little.
      late = true;
      if (bytes == 0 || !tail_allows(m, bytes)) {
        return copies() >= *limit_ ? Refusal::exhausted : Refusal::traffic;
      }
    } else if (!traffic_allows(m, bytes, false)) {
      return Refusal::traffic;
    } else {
      if (!surely_room(ranges.size())) {
        std::uint64_t all = potential(m, ranges);
        each_current([&](const Meter& o) { all += &o == &m ? 0 : potential(o, {}); });
        if (all > *limit_) return Refusal::busy;
      }
      if (!traffic_allows(m, bytes, true)) return Refusal::busy;
    }
    const auto in_flight = static_cast<std::size_t>(std::count_if(
        flights_.begin(), flights_.end(), [](const Flight& f) { return !f.meter->detached; }));
    if (in_flight + ranges.size() > kFlightsMax) return Refusal::busy;
  }
  // Ids ascend, so that a flight is found by search; they begin again when they have run out.
  if (next_flight_ > std::numeric_limits<std::uint32_t>::max() - ranges.size()) {
    if (!flights_.empty()) return Refusal::busy;
    next_flight_ = 1;
  }
  Meter& meter_in_use = meter(version, size);
  const std::uint32_t first_id = next_flight_;
  for (const Span& r : ranges) {
    flights_.push_back({next_flight_++, &meter_in_use, r.first, r.first, r.last, late, false});
  }
  return first_id;
}

bool Meters::lease(std::uint32_t flight, std::uint64_t upto) {
  Flight* f = find(flight);
  TALLYGATE_ASSERT(f != nullptr && f->upto <= upto && upto <= f->last);
  if (limit_) {
    const std::uint64_t n = upto - f->upto;
    if (!(f->late ? tail_allows(*f->meter, n) : traffic_allows(*f->meter, n, true))) return false;
  }
  f->upto = upto;
  return true;
}

// -- Meters: what happened ----------------------------------------------------------------------

Flight* Meters::find(std::uint32_t flight) {
  const auto it = std::lower_bound(flights_.begin(), flights_.end(), flight,
                                   [](const Flight& f, std::uint32_t id) { return f.id < id; });
  return it != flights_.end() && it->id == flight ? &*it : nullptr;
}

std::uint32_t Meters::deliver(Flight& flight, std::uint64_t upto) {
  Meter& m = *flight.meter;
  m.add_traffic(upto - flight.first, flight.late);
  // What is late is part of the last copy once more: no new copy.
  const std::uint32_t completed = flight.late ? 0 : m.cover({flight.first, upto});
  flight.first = upto;
  return completed;
}

std::uint32_t Meters::settle(std::uint32_t flight, std::uint64_t acked) {
  Flight* f = find(flight);
  TALLYGATE_ASSERT(f != nullptr && acked <= f->upto - f->first);
  return deliver(*f, f->first + acked);
}

std::uint32_t Meters::close(std::uint32_t flight, std::uint64_t left, bool completed) {
  Flight* f = find(flight);
  TALLYGATE_ASSERT(f != nullptr && left <= f->upto - f->first);
  Meter* m = f->meter;
  m->add_traffic(left, f->late);
  std::uint32_t copies = 0;
  if (!f->late && m->size == 0 && completed) {
    m->copies += 1;
    copies = 1;
  }
  flights_.erase(flights_.begin() + (f - flights_.data()));
  const auto uses_it = [&](const Flight& other) { return other.meter == m; };
  if (m->detached && std::none_of(flights_.begin(), flights_.end(), uses_it)) {
    drop_if(meters_, [&](const auto& p) { return p.get() == m; });
  }
  return copies;
}

void Meters::crash() {
  for (const auto& m : meters_) {
    if (m->detached) continue;
    Uint128 leased = 0;
    std::uint64_t lost = 0;
    for (const Flight& f : flights_) {
      if (f.meter != m.get() || f.first >= f.upto) continue;
      leased += f.upto - f.first;
      ++lost;
    }
    const Uint128 most =
        Uint128{m->size} * std::min<std::uint64_t>(lost, limit_.value_or(0) != 0 ? *limit_ : lost);
    m->doubt = static_cast<std::uint64_t>(
        std::max<Uint128>(m->doubt, std::min<Uint128>(m->doubt + leased, most)));
    for (Flight& f : flights_) {
      if (f.meter != m.get()) continue;
      if (m->size == 0 && !f.late) m->copies += 1;
      deliver(f, f.upto);
    }
  }
  flights_.clear();
  drop_if(meters_, [](const auto& m) { return m->detached; });
}

std::uint32_t Meters::lose(std::uint32_t flight) {
  Flight* f = find(flight);
  TALLYGATE_ASSERT(f != nullptr);
  Meter& m = *f->meter;
  if (!m.detached && f->first < f->upto) {
    // Transfers are lost one by one here, and each of them may have had a copy of the limit's own.
    const Uint128 leased = std::min<Uint128>(f->upto - f->first, m.size);
    const Uint128 most = Uint128{m.size} * std::max<std::uint64_t>(1, limit_.value_or(1));
    m.doubt = static_cast<std::uint64_t>(
        std::max<Uint128>(m.doubt, std::min<Uint128>(m.doubt + leased, most)));
  }
  const std::uint32_t copies = deliver(*f, f->upto);
  return copies + close(flight, 0, true);
}

bool Meters::has_doubt() const {
  return std::ranges::any_of(meters_, [](const auto& m) { return m->doubt != 0; });
}

void Meters::resolve_doubt() {
  for (const auto& m : meters_) m->doubt = 0;
}

// -- Meters: what the merchant changed ----------------------------------------------------------

void Meters::set_limit(Limit limit) {
  limit_ = limit;
  if (!limit_ || counted() < *limit_) {
    for (const auto& m : meters_) {
      if (!m->detached) m->tail = 0;
    }
  }
}

void Meters::reset() {
  for (const auto& m : meters_) m->detached = true;
  drop_if(meters_, [&](const auto& m) {
    return std::none_of(flights_.begin(), flights_.end(),
                        [&](const Flight& f) { return f.meter == m.get(); });
  });
}

// -- Meters: recovery ---------------------------------------------------------------------------

Meter& Meters::meter(VersionKey version, std::uint64_t size) {
  if (Meter* m = current(version)) return *m;
  return *meters_.emplace_back(std::make_unique<Meter>(version, size));
}

void Meters::open(VersionKey version, std::uint64_t size, const Flight& flight) {
  Flight f = flight;
  f.meter = &meter(version, size);
  flights_.push_back(f);
  std::sort(flights_.begin(), flights_.end(),
            [](const Flight& a, const Flight& b) { return a.id < b.id; });
  next_flight_ = std::max(next_flight_, f.id + 1);
}

void Meters::deliver_unleased(VersionKey version, std::uint64_t size, Span acked,
                              std::uint64_t left, bool completed) {
  Meter& m = meter(version, size);
  m.add_traffic(acked.bytes() + left, false);
  m.cover(acked);
  if (size == 0 && completed) m.copies += 1;
}

void Meters::restore(Flight flight, std::size_t index) {
  flight.meter = meters_[index].get();
  flights_.push_back(flight);
  next_flight_ = std::max(next_flight_, flight.id + 1);
}

void Meters::grant(std::uint32_t flight, std::uint64_t upto) {
  if (Flight* f = find(flight)) f->upto = std::max(f->upto, upto);
}

}  // namespace tallygate::ledger
