#include "core/ledger/record.h"

#include <xxhash.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/ledger/codec.h"

namespace tallygate::ledger {
namespace {

// The order is the file format: new kinds go to the end.
constexpr std::uint8_t kFirstType = 1;
// Length, length of the id, type; an id of one byte.
constexpr std::size_t kRecordBytesMin = 4 + 1 + 1 + 1;

void put(ByteWriter& w, const VersionKey& v) {
  w.put(v.hash);
}
void put(ByteWriter& w, const Used& r) {
  w.put_text(r.parent_id);
  w.put_text(r.path);
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
void put(ByteWriter&, const Forgotten&) {}
void put(ByteWriter&, const Resolved&) {}
void put(ByteWriter& w, const Lost& r) {
  w.put(r.flight);
}

VersionKey get_version(ByteReader& r) {
  return {r.get<std::uint64_t>()};
}
void get(ByteReader& r, Used& out) {
  out.parent_id = r.get_text();
  out.path = r.get_text();
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
void get(ByteReader&, Forgotten&) {}
void get(ByteReader&, Resolved&) {}
void get(ByteReader& r, Lost& out) {
  out.flight = r.get<std::uint32_t>();
}

// The number of an alternative.
template <class T, class Variant>
struct Index;
template <class T, class... Ts>
struct Index<T, std::variant<T, Ts...>> : std::integral_constant<std::size_t, 0> {};
template <class T, class U, class... Ts>
struct Index<T, std::variant<U, Ts...>>
    : std::integral_constant<std::size_t, 1 + Index<T, std::variant<Ts...>>::value> {};

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

template <class What>
void append(Entries& entries, std::string_view link_id, const What& what) {
  TALLYGATE_ASSERT(!link_id.empty() && link_id.size() <= UINT8_MAX);
  const std::size_t start = entries.bytes.size();
  ByteWriter w(entries.bytes);
  w.put(std::uint32_t{0});
  w.put(static_cast<std::uint8_t>(link_id.size()));
  entries.bytes.append(link_id);
  w.put(static_cast<std::uint8_t>(Index<What, Change>::value + kFirstType));
  put(w, what);
  const auto length = static_cast<std::uint32_t>(entries.bytes.size() - start);
  std::memcpy(entries.bytes.data() + start, &length, sizeof length);
  ++entries.records;
}
template void append(Entries&, std::string_view, const Used&);
template void append(Entries&, std::string_view, const Signed&);
template void append(Entries&, std::string_view, const Spoken&);
template void append(Entries&, std::string_view, const LimitSet&);
template void append(Entries&, std::string_view, const Opened&);
template void append(Entries&, std::string_view, const Leased&);
template void append(Entries&, std::string_view, const Settled&);
template void append(Entries&, std::string_view, const Closed&);
template void append(Entries&, std::string_view, const Delivered&);
template void append(Entries&, std::string_view, const TransferEnded&);
template void append(Entries&, std::string_view, const Crashed&);
template void append(Entries&, std::string_view, const Forgotten&);
template void append(Entries&, std::string_view, const Resolved&);
template void append(Entries&, std::string_view, const Lost&);

std::optional<RecordHead> peek_record(std::string_view bytes) {
  ByteReader r(bytes);
  const auto length = r.get<std::uint32_t>();
  const std::size_t id = r.get<std::uint8_t>();
  if (!r.ok() || id == 0 || length < kRecordBytesMin - 1 + id || length > bytes.size()) {
    return std::nullopt;
  }
  return RecordHead{bytes.substr(5, id), length};
}

std::optional<Record> take_record(std::string_view& bytes) {
  const auto head = peek_record(bytes);
  if (!head) return std::nullopt;
  ByteReader r(bytes.substr(0, head->bytes).substr(5 + head->link_id.size()));
  const auto type = r.get<std::uint8_t>();
  if (type < kFirstType) return std::nullopt;
  Record record;
  record.link_id = head->link_id;
  if (!get_change(r, std::size_t{type} - kFirstType, record.what)) return std::nullopt;
  bytes.remove_prefix(head->bytes);
  return record;
}

}  // namespace tallygate::ledger
