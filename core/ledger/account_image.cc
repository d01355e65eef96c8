// An account at rest, and back. README.md in this folder gives the bytes.
#include <algorithm>
#include <utility>

#include "core/ledger/account.h"
#include "core/ledger/codec.h"
#include "core/shop/word.h"

namespace tallygate::ledger {
namespace {

// The first varint of an image: what follows it, and what need not be written out. What most links
// share costs nothing; the flags that most of them have are in the low fourteen bits.
constexpr unsigned kStateShift = 5;    // two bits
constexpr unsigned kBlockedShift = 7;  // two bits
enum Flag : std::uint32_t {
  kUsed = 1 << 0,
  kSigned = 1 << 1,
  kSignedLimit = 1 << 2,
  kSignedExpiry = 1 << 3,
  kRowKnown = 1 << 4,
  kPlainMeter = 1 << 9,    // one version, whole copies and nothing else
  kRowTerms = 1 << 10,     // max_copies, not_before or expires_at
  kOwnLimit = 1 << 11,     // the limit in force is not what the row and the URL make of it
  kOwnReported = 1 << 12,  // the shop was told of more than is counted now
  kRowCounts = 1 << 13,    // reset_gen or used_elsewhere
  kMeters = 1 << 14,       // meters of any shape
  kFlights = 1 << 15,
};
constexpr std::uint32_t kFlagsEnd = 1 << 16;

// Which of the row's terms it has.
enum RowTerm : std::uint8_t { kMaxCopies = 1, kNotBefore = 2, kExpiresAt = 4, kRowTermsEnd = 8 };

// Times are written as seconds from 2026: four bytes up to 2030, five beyond.
constexpr std::int64_t kTimeZero = 1'767'225'600;

void put_time(ByteWriter& w, std::int64_t unix_seconds) {
  // Wraps for times that nobody means, and back again when read.
  w.put_signed_varint(static_cast<std::int64_t>(static_cast<std::uint64_t>(unix_seconds) -
                                                static_cast<std::uint64_t>(kTimeZero)));
}
std::int64_t get_time(ByteReader& r) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(r.get_signed_varint()) +
                                   static_cast<std::uint64_t>(kTimeZero));
}

bool is_plain(const Meter& m) {
  return !m.detached && m.layers.empty() && m.tail == 0 && m.doubt == 0 &&
         Uint128{m.copies} * m.size == m.traffic;
}

std::uint8_t row_terms(const shop::Word& word) {
  return static_cast<std::uint8_t>((word.max_copies ? kMaxCopies : 0) |
                                   (word.not_before ? kNotBefore : 0) |
                                   (word.expires_at ? kExpiresAt : 0));
}

void put_meter(ByteWriter& w, const Meter& m) {
  w.put(static_cast<std::uint8_t>(m.detached));
  if (m.detached) w.put_varint(m.reset_gen);
  w.put(m.version.hash);
  for (const std::uint64_t n : {m.size, m.copies, m.traffic, m.tail, m.doubt}) w.put_varint(n);
  w.put_varint(m.layers.size());
  for (const SpanSet& layer : m.layers) {
    w.put_varint(layer.fragments());
    std::uint64_t at = 0;
    for (const Span& s : layer.spans()) {
      w.put_varint(s.first - at);
      w.put_varint(s.bytes());
      at = s.last;
    }
  }
}

// What the rule takes for granted: its answers would be nonsense otherwise.
// Cost: a binary search for each fragment.
bool is_possible(const Meter& m) {
  if (m.doubt > m.traffic || m.tail > m.traffic) return false;
  if (!m.layers.empty() && m.layers.front().covers({0, m.size})) return false;  // a whole copy
  // What has arrived has left, as long as that can be counted.
  std::uint64_t left = m.traffic;
  for (const SpanSet& layer : m.layers) {
    if (layer.bytes() > left && m.traffic != UINT64_MAX) return false;
    left -= std::min(left, layer.bytes());
  }
  for (std::size_t i = 1; i < m.layers.size(); ++i) {
    const auto spans = m.layers[i].spans();
    const auto contained = [&](const Span& s) { return m.layers[i - 1].covers(s); };
    if (!std::all_of(spans.begin(), spans.end(), contained)) return false;
  }
  return true;
}

bool get_layer(ByteReader& r, std::uint64_t size, SpanSet& layer) {
  const std::uint64_t fragments = r.get_varint();
  if (fragments == 0 || fragments > r.left()) return false;
  std::uint64_t at = 0;
  layer.reserve(static_cast<std::size_t>(fragments));
  for (std::uint64_t k = 0; k < fragments; ++k) {
    const std::uint64_t gap = r.get_varint();
    const std::uint64_t bytes = r.get_varint();
    if (!r.ok() || gap > size - at || bytes == 0 || bytes > size - at - gap) return false;
    if (k != 0 && gap == 0) return false;  // then they are one
    layer.append({at + gap, at + gap + bytes});
    at += gap + bytes;
  }
  return true;
}

// Up to its layers; returns how many there are, nullopt: that cannot be.
std::optional<std::uint64_t> get_counters(ByteReader& r, Meter& m) {
  m.detached = r.get_bool();
  if (m.detached) m.reset_gen = r.get_small<std::uint32_t>();
  m.version.hash = r.get<std::uint64_t>();
  for (std::uint64_t* n : {&m.size, &m.copies, &m.traffic, &m.tail, &m.doubt}) *n = r.get_varint();
  const std::uint64_t layers = r.get_varint();
  return r.ok() && layers <= r.left() ? std::optional(layers) : std::nullopt;
}

bool get_meter(ByteReader& r, Meter& m) {
  const auto layers = get_counters(r, m);
  if (!layers) return false;
  m.layers.reserve(static_cast<std::size_t>(*layers));
  for (std::uint64_t i = 0; i < *layers; ++i) {
    if (!get_layer(r, m.size, m.layers.emplace_back())) return false;
  }
  return true;
}

void skip_layers(ByteReader& r, std::uint64_t layers) {
  for (std::uint64_t i = 0; r.ok() && i < layers; ++i) {
    for (std::uint64_t left = r.get_varint(); r.ok() && left != 0; --left) {
      static_cast<void>(r.get_varint());
      static_cast<void>(r.get_varint());
    }
  }
}

void put_flight(ByteWriter& w, const Flight& f, std::size_t meter) {
  w.put_varint(f.id);
  w.put_varint(meter);
  w.put(static_cast<std::uint8_t>(f.late));
  w.put_varint(f.first);
  w.put_varint(f.upto - f.first);
  w.put_varint(f.last - f.upto);
}

bool get_flight(ByteReader& r, Flight& f, std::size_t& meter) {
  f.id = r.get_small<std::uint32_t>();
  meter = static_cast<std::size_t>(r.get_varint());
  f.late = r.get_bool();
  f.journaled = true;
  f.first = r.get_varint();
  const std::uint64_t leased = r.get_varint();
  const std::uint64_t rest = r.get_varint();
  return r.ok() && !__builtin_add_overflow(f.first, leased, &f.upto) &&
         !__builtin_add_overflow(f.upto, rest, &f.last) && f.id != 0 && f.id != UINT32_MAX;
}

// The beginning, before the meters; image_terms() reads the first part of it, image_glance() all.
struct Opening {
  std::uint32_t flags = 0;
  Signed signed_terms;
  Spoken spoken;
};
bool get_opening(ByteReader& r, Opening& out) {
  out.flags = r.get_small<std::uint32_t>();
  if (!r.ok() || out.flags >= kFlagsEnd) return false;
  const auto has = [&](std::uint32_t flag) { return (out.flags & flag) != 0; };
  out.signed_terms.seen = has(kSigned);
  if (has(kSignedLimit)) out.signed_terms.limit = r.get_small<std::uint32_t>();
  if (has(kSignedExpiry)) out.signed_terms.expires_at = get_time(r);
  out.spoken.row_known = has(kRowKnown);
  shop::Word& word = out.spoken.word;
  word.state = static_cast<shop::State>(out.flags >> kStateShift & 3);
  if (has(kRowTerms)) {
    const auto terms = r.get<std::uint8_t>();
    if (terms == 0 || terms >= kRowTermsEnd) return false;
    if (terms & kMaxCopies) {
      const std::int64_t n = r.get_signed_varint();
      if (n < INT32_MIN || n > INT32_MAX) return false;
      word.max_copies = static_cast<std::int32_t>(n);
    }
    if (terms & kNotBefore) word.not_before = get_time(r);
    if (terms & kExpiresAt) word.expires_at = get_time(r);
  }
  return r.ok();
}

// What follows the opening, before the meters.
bool get_row_counts_and_limit(ByteReader& r, Opening& opening, Limit& own_limit) {
  if (opening.flags & kRowCounts) {
    opening.spoken.word.reset_gen = r.get_small<std::uint32_t>();
    opening.spoken.word.used_elsewhere = r.get_varint();
  }
  if (opening.flags & kOwnLimit) {
    const std::uint64_t n = r.get_varint();
    if (n > std::uint64_t{UINT32_MAX} + 1) return false;
    own_limit = n == 0 ? std::nullopt : Limit(static_cast<std::uint32_t>(n - 1));
  }
  return r.ok();
}

}  // namespace

void Account::write_image(std::string& out) const {
  const shop::Word& word = spoken_.word;
  const auto& meters = meters_.meters();
  const auto& flights = meters_.all_flights();
  const auto is_kept = [&](const auto& m) {
    return !m->is_blank() || std::any_of(flights.begin(), flights.end(),
                                         [&](const Flight& f) { return f.meter == m.get(); });
  };
  const auto kept = static_cast<std::size_t>(std::count_if(meters.begin(), meters.end(), is_kept));
  const auto first = std::find_if(meters.begin(), meters.end(), is_kept);
  const bool plain = kept == 1 && flights.empty() && is_plain(**first);
  const std::uint64_t counted = meters_.counted();
  const auto terms = row_terms(word);

  std::uint32_t flags = 0;
  const auto flag = [&](bool holds, Flag bit) { flags |= holds ? bit : 0u; };
  flag(identity_.used, kUsed);
  flag(signed_.seen, kSigned);
  flag(signed_.limit.has_value(), kSignedLimit);
  flag(signed_.expires_at.has_value(), kSignedExpiry);
  flag(spoken_.row_known, kRowKnown);
  flags |= static_cast<std::uint32_t>(word.state) << kStateShift;
  flags |= static_cast<std::uint32_t>(blocked_) << kBlockedShift;
  flag(plain, kPlainMeter);
  flag(terms != 0, kRowTerms);
  flag(meters_.limit() != shop::effective_limit(word, signed_.limit), kOwnLimit);
  flag(reported_ != counted, kOwnReported);
  flag(word.reset_gen != 0 || word.used_elsewhere != 0, kRowCounts);
  flag(kept != 0 && !plain, kMeters);
  flag(!flights.empty(), kFlights);

  ByteWriter w(out);
  w.put_varint(flags);
  if (signed_.limit) w.put_varint(*signed_.limit);
  if (signed_.expires_at) put_time(w, *signed_.expires_at);
  if (flags & kRowTerms) {
    w.put(terms);
    if (word.max_copies) w.put_signed_varint(*word.max_copies);
    if (word.not_before) put_time(w, *word.not_before);
    if (word.expires_at) put_time(w, *word.expires_at);
  }
  if (flags & kRowCounts) {
    w.put_varint(word.reset_gen);
    w.put_varint(word.used_elsewhere);
  }
  if (flags & kOwnLimit) w.put_varint(meters_.limit() ? std::uint64_t{*meters_.limit()} + 1 : 0);
  if (plain) {
    w.put((*first)->version.hash);
    w.put_varint((*first)->size);
    w.put_varint((*first)->copies);
  }
  if (flags & kMeters) {
    w.put_varint(kept);
    for (const auto& m : meters) {
      if (is_kept(m)) put_meter(w, *m);
    }
  }
  if (flags & kOwnReported) w.put_varint(reported_);
  if (flights.empty()) return;
  w.put_varint(flights.size());
  for (const Flight& f : flights) {
    TALLYGATE_ASSERT(f.journaled);
    const auto before = std::find_if(meters.begin(), meters.end(),
                                     [&](const auto& m) { return m.get() == f.meter; });
    put_flight(w, f, static_cast<std::size_t>(std::count_if(meters.begin(), before, is_kept)));
  }
}

bool Account::read_image(std::string_view image, bool is_own) {
  ByteReader r(image);
  Opening opening;
  if (!get_opening(r, opening)) return false;
  const auto has = [&](std::uint32_t flag) { return (opening.flags & flag) != 0; };
  identity_.used = has(kUsed);
  signed_ = opening.signed_terms;
  const auto blocked = opening.flags >> kBlockedShift & 3;
  if (blocked > static_cast<std::uint32_t>(Blocked::traffic)) return false;
  blocked_ = static_cast<Blocked>(blocked);
  Limit own_limit;
  if (!get_row_counts_and_limit(r, opening, own_limit)) return false;
  spoken_ = opening.spoken;
  meters_.set_limit(has(kOwnLimit) ? own_limit
                                   : shop::effective_limit(spoken_.word, signed_.limit));
  if (has(kPlainMeter)) {
    Meter m(VersionKey{r.get<std::uint64_t>()}, 0);
    m.size = r.get_varint();
    m.copies = r.get_varint();
    if (__builtin_mul_overflow(m.size, m.copies, &m.traffic)) return false;
    meters_.restore(std::move(m));
  }
  if (has(kMeters)) {
    const std::uint64_t count = r.get_varint();
    if (has(kPlainMeter) || count == 0 || count > r.left()) return false;
    for (std::uint64_t i = 0; i < count; ++i) {
      Meter m(VersionKey{}, 0);
      if (!get_meter(r, m) || (!is_own && !is_possible(m))) return false;
      if (!m.detached && meters_.has(m.version)) return false;
      meters_.restore(std::move(m));
    }
  }
  reported_ = has(kOwnReported) ? r.get_varint() : meters_.counted();
  if (has(kFlights)) {
    const std::uint64_t count = r.get_varint();
    if (count == 0 || count > r.left()) return false;
    for (std::uint64_t i = 0; i < count; ++i) {
      Flight f;
      std::size_t meter = 0;
      if (!get_flight(r, f, meter) || meter >= meters_.meters().size()) return false;
      if (f.last > meters_.meters()[meter]->size) return false;
      if (!meters_.all_flights().empty() && f.id <= meters_.all_flights().back().id) return false;
      meters_.restore(f, meter);
    }
  }
  return r.ok() && r.left() == 0;
}

std::optional<Glance> image_glance(std::string_view image) {
  ByteReader r(image);
  Opening opening;
  Limit own_limit;
  if (!get_opening(r, opening) || !get_row_counts_and_limit(r, opening, own_limit)) {
    return std::nullopt;
  }
  Glance glance{opening.spoken, false};
  if ((opening.flags & kMeters) == 0) return glance;
  for (std::uint64_t meters = r.get_varint(); r.ok() && meters != 0; --meters) {
    Meter m(VersionKey{}, 0);
    const auto layers = get_counters(r, m);
    if (!layers) return std::nullopt;
    glance.unfinished_copy = !m.detached && *layers != 0;
    if (glance.unfinished_copy) return glance;
    skip_layers(r, *layers);
  }
  return r.ok() ? std::optional(glance) : std::nullopt;
}

std::optional<ImageTerms> image_terms(std::string_view image) {
  ByteReader r(image);
  Opening opening;
  if (!get_opening(r, opening)) return std::nullopt;
  const auto& row = opening.spoken.word.expires_at;
  return ImageTerms{row ? row : opening.signed_terms.expires_at, (opening.flags & kFlights) != 0};
}

}  // namespace tallygate::ledger
