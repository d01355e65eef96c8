#include "core/ledger/record.h"

#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "core/ledger/codec.h"

namespace tallygate::ledger {
namespace {

// The order is the file format: new kinds go to the end.
constexpr std::uint8_t kFirstType = 1;
constexpr std::size_t kRecordHead = 4 + 1 + 16;

void put(ByteWriter& w, const VersionKey& v) {
  w.put(v.high);
  w.put(v.low);
}
void put(ByteWriter& w, const Identity& r) {
  w.put_text(r.id);
  w.put_text(r.parent_id);
  w.put_text(r.path);
  w.put(static_cast<std::uint8_t>(r.used));
}
void put(ByteWriter& w, const Signed& r) {
  w.put(static_cast<std::uint8_t>(r.seen));
  w.put_optional(r.limit);
  w.put_optional(r.expires_at);
}
void put(ByteWriter& w, const Spoken& r) {
  w.put(static_cast<std::uint8_t>(r.row_known));
  w.put_optional(r.word.max_copies);
  w.put_optional(r.word.not_before);
  w.put_optional(r.word.expires_at);
  w.put(static_cast<std::uint8_t>(r.word.state));
  w.put(r.word.reset_gen);
  w.put(r.word.used_elsewhere);
}
void put(ByteWriter& w, const LimitSet& r) {
  w.put_optional(r.limit);
}
void put(ByteWriter& w, const Opened& r) {
  put(w, r.version);
  w.put(r.size);
  w.put(r.flight);
  w.put(r.first);
  w.put(r.upto);
  w.put(r.last);
  w.put(static_cast<std::uint8_t>(r.late));
}
void put(ByteWriter& w, const Leased& r) {
  w.put(r.flight);
  w.put(r.upto);
}
void put(ByteWriter& w, const Settled& r) {
  w.put(r.flight);
  w.put(r.acked);
}
void put(ByteWriter& w, const Closed& r) {
  w.put(r.flight);
  w.put(r.acked);
  w.put(r.left);
  w.put(static_cast<std::uint8_t>(r.completed));
}
void put(ByteWriter& w, const Delivered& r) {
  put(w, r.version);
  w.put(r.size);
  w.put(r.first);
  w.put(r.acked);
  w.put(r.left);
  w.put(static_cast<std::uint8_t>(r.completed));
}
void put(ByteWriter& w, const TransferEnded& r) {
  w.put(r.started_at);
  w.put(r.ended_at);
  w.put(r.first);
  w.put(r.last);
  w.put(r.bytes_sent);
  w.put(r.bytes_acked);
  w.put(r.file_size);
  w.put(r.version);
  w.put(r.copies);
  w.put(static_cast<std::uint8_t>(r.outcome));
  w.put(static_cast<std::uint8_t>(r.whole));
  w.put_text(r.client_ip);
  w.put_text(r.user_agent);
}
void put(ByteWriter&, const Crashed&) {}
void put(ByteWriter& w, const Standing& r) {
  put(w, r.identity);
  put(w, r.signed_terms);
  put(w, r.spoken);
  w.put_optional(r.limit);
  w.put(r.reported);
  w.put(static_cast<std::uint8_t>(r.blocked));
  w.put(static_cast<std::uint32_t>(r.meters.size()));
  for (const Meter& m : r.meters) {
    put(w, m.version);
    for (const std::uint64_t n : {m.size, m.copies, m.traffic, m.tail, m.doubt}) w.put(n);
    w.put(static_cast<std::uint32_t>(m.layers.size()));
    for (const SpanSet& layer : m.layers) {
      w.put(static_cast<std::uint32_t>(layer.fragments()));
      for (const Span& s : layer.spans()) {
        w.put(s.first);
        w.put(s.last);
      }
    }
  }
}

VersionKey get_version(ByteReader& r) {
  VersionKey v;
  v.high = r.get<std::uint64_t>();
  v.low = r.get<std::uint64_t>();
  return v;
}
void get(ByteReader& r, Identity& out) {
  out.id = r.get_text();
  out.parent_id = r.get_text();
  out.path = r.get_text();
  out.used = r.get_bool();
}
void get(ByteReader& r, Signed& out) {
  out.seen = r.get_bool();
  out.limit = r.get_optional<std::uint32_t>();
  out.expires_at = r.get_optional<std::int64_t>();
}
bool get(ByteReader& r, Spoken& out) {
  out.row_known = r.get_bool();
  out.word.max_copies = r.get_optional<std::int32_t>();
  out.word.not_before = r.get_optional<std::int64_t>();
  out.word.expires_at = r.get_optional<std::int64_t>();
  const auto state = r.get<std::uint8_t>();
  out.word.state = static_cast<shop::State>(state);
  out.word.reset_gen = r.get<std::uint32_t>();
  out.word.used_elsewhere = r.get<std::uint64_t>();
  return state <= static_cast<std::uint8_t>(shop::State::revoked);
}
void get(ByteReader& r, LimitSet& out) {
  out.limit = r.get_optional<std::uint32_t>();
}
void get(ByteReader& r, Opened& out) {
  out.version = get_version(r);
  out.size = r.get<std::uint64_t>();
  out.flight = r.get<std::uint32_t>();
  out.first = r.get<std::uint64_t>();
  out.upto = r.get<std::uint64_t>();
  out.last = r.get<std::uint64_t>();
  out.late = r.get_bool();
}
void get(ByteReader& r, Leased& out) {
  out.flight = r.get<std::uint32_t>();
  out.upto = r.get<std::uint64_t>();
}
void get(ByteReader& r, Settled& out) {
  out.flight = r.get<std::uint32_t>();
  out.acked = r.get<std::uint64_t>();
}
void get(ByteReader& r, Closed& out) {
  out.flight = r.get<std::uint32_t>();
  out.acked = r.get<std::uint64_t>();
  out.left = r.get<std::uint64_t>();
  out.completed = r.get_bool();
}
void get(ByteReader& r, Delivered& out) {
  out.version = get_version(r);
  out.size = r.get<std::uint64_t>();
  out.first = r.get<std::uint64_t>();
  out.acked = r.get<std::uint64_t>();
  out.left = r.get<std::uint64_t>();
  out.completed = r.get_bool();
}
bool get(ByteReader& r, TransferEnded& out) {
  out.started_at = r.get<std::int64_t>();
  out.ended_at = r.get<std::int64_t>();
  out.first = r.get<std::uint64_t>();
  out.last = r.get<std::uint64_t>();
  out.bytes_sent = r.get<std::uint64_t>();
  out.bytes_acked = r.get<std::uint64_t>();
  out.file_size = r.get<std::uint64_t>();
  out.version = r.get<std::uint64_t>();
  out.copies = r.get<std::uint32_t>();
  const auto outcome = r.get<std::uint8_t>();
  out.outcome = static_cast<Outcome>(outcome);
  out.whole = r.get_bool();
  out.client_ip = r.get_text();
  out.user_agent = r.get_text();
  return outcome <= static_cast<std::uint8_t>(Outcome::refused);
}
void get(ByteReader&, Crashed&) {}
// What the rule takes for granted: its answers would be nonsense otherwise.
bool is_possible(const Meter& m) {
  if (m.doubt > m.traffic || m.tail > m.traffic) return false;
  const auto empty = [](const SpanSet& layer) { return layer.fragments() == 0; };
  if (std::any_of(m.layers.begin(), m.layers.end(), empty)) return false;
  if (!m.layers.empty() && m.layers.front().covers({0, m.size})) return false;  // a whole copy
  for (std::size_t i = 1; i < m.layers.size(); ++i) {
    const auto& spans = m.layers[i].spans();
    const auto contained = [&](const Span& s) { return m.layers[i - 1].covers(s); };
    if (!std::all_of(spans.begin(), spans.end(), contained)) return false;
  }
  return true;
}
bool get(ByteReader& r, Meter& m) {
  for (std::uint64_t* n : {&m.size, &m.copies, &m.traffic, &m.tail, &m.doubt}) {
    *n = r.get<std::uint64_t>();
  }
  const auto layers = r.get<std::uint32_t>();
  if (layers > r.left() / 4) return false;
  std::vector<Span> again;
  for (std::uint32_t i = 0; i < layers; ++i) {
    const auto fragments = r.get<std::uint32_t>();
    if (fragments > r.left() / 16) return false;
    SpanSet layer;
    for (std::uint32_t k = 0; k < fragments; ++k) {
      Span s;
      s.first = r.get<std::uint64_t>();
      s.last = r.get<std::uint64_t>();
      if (s.empty() || s.last > m.size) return false;
      layer.add(s, again);
    }
    if (!again.empty() || layer.fragments() != fragments) return false;
    m.layers.push_back(std::move(layer));
  }
  return is_possible(m);
}
bool get(ByteReader& r, Standing& out) {
  get(r, out.identity);
  get(r, out.signed_terms);
  if (!get(r, out.spoken)) return false;
  out.limit = r.get_optional<std::uint32_t>();
  out.reported = r.get<std::uint64_t>();
  const auto blocked = r.get<std::uint8_t>();
  if (blocked > static_cast<std::uint8_t>(Blocked::traffic)) return false;
  out.blocked = static_cast<Blocked>(blocked);
  const auto meters = r.get<std::uint32_t>();
  if (meters > r.left() / 60) return false;
  for (std::uint32_t i = 0; i < meters; ++i) {
    Meter m(get_version(r), 0);
    if (!get(r, m)) return false;
    out.meters.push_back(std::move(m));
  }
  return true;
}

// Builds the alternative number `type` and reads it; false: no such type, or bad fields.
template <std::size_t I = 0>
bool get_change(ByteReader& r, std::size_t type, Change& out) {
  if constexpr (I < std::variant_size_v<Change>) {
    if (type != I) return get_change<I + 1>(r, type, out);
    auto& value = out.emplace<I>();
    if constexpr (std::is_same_v<decltype(get(r, value)), bool>) {
      return get(r, value) && r.ok() && r.left() == 0;
    } else {
      get(r, value);
      return r.ok() && r.left() == 0;
    }
  } else {
    return false;
  }
}

}  // namespace

LinkKey link_key(std::string_view link_id) noexcept {
  const XXH128_hash_t h = XXH3_128bits(link_id.data(), link_id.size());
  return {h.high64, h.low64};
}

void append(Entries& entries, const Record& record) {
  const std::size_t start = entries.bytes.size();
  ByteWriter w(entries.bytes);
  w.put(std::uint32_t{0});
  w.put(static_cast<std::uint8_t>(record.what.index() + kFirstType));
  w.put(record.link.high);
  w.put(record.link.low);
  std::visit([&](const auto& what) { put(w, what); }, record.what);
  const auto length = static_cast<std::uint32_t>(entries.bytes.size() - start);
  std::memcpy(entries.bytes.data() + start, &length, sizeof length);
  ++entries.records;
}

std::optional<Record> take_record(std::string_view& bytes) {
  ByteReader head(bytes);
  const auto length = head.get<std::uint32_t>();
  if (!head.ok() || length < kRecordHead || length > bytes.size()) return std::nullopt;
  ByteReader r(bytes.substr(4, length - 4));
  const auto type = r.get<std::uint8_t>();
  if (type < kFirstType) return std::nullopt;
  Record record;
  record.link.high = r.get<std::uint64_t>();
  record.link.low = r.get<std::uint64_t>();
  if (!get_change(r, std::size_t{type} - kFirstType, record.what)) return std::nullopt;
  bytes.remove_prefix(length);
  return record;
}

}  // namespace tallygate::ledger
