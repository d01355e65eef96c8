// The history of downloads as the shop shows it: one row per transfer, and one row for the ranges
// that a client fetched one after the other or side by side.
//
// A transfer joins a row when it is of the same link, file version, client address and user agent,
// began at most 60 s after the row's last end, and goes on with what the row has: of the bytes that
// arrived, at most half, and at most kRepeatedBytesMax, had arrived before (what a broken
// connection's client had not read yet, it asks for again). A repeated request begins a new row.
// Nothing depends on a clock but the times in the events, so that a late replay makes the same
// rows. Callable from one thread at a time.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/ledger/event.h"

namespace tallygate::shop {

using EventId = std::array<std::uint8_t, 16>;

// Names the row that begins with event `ordinal` (below 2^24) of journal record `seq` (below 2^48):
// the same for the same event whenever it is computed, and different in every other stream of
// events. Ascends within a stream, so that a database appends rows rather than strewing them over
// its index: MariaDB took half as many again when it was a hash of all.
[[nodiscard]] EventId event_id(std::uint64_t epoch, std::uint64_t seq,
                               std::uint32_t ordinal) noexcept;

// One row of tg_download, in absolute values: writing it twice does no harm.
struct HistoryRow {
  EventId event_id{};
  std::string link_id;
  std::int64_t started_at = 0;  // unix seconds
  std::int64_t ended_at = 0;
  std::string client_ip{};   // empty: not recorded
  std::string user_agent{};  // printable ASCII; empty: none sent
  std::uint64_t bytes_sent = 0;
  std::uint64_t file_size = 0;
  ledger::Outcome outcome = ledger::Outcome::partial;
  std::uint64_t counted = 0;  // copies that its transfers completed
  friend bool operator==(const HistoryRow&, const HistoryRow&) = default;
};

inline constexpr std::int64_t kJoinWithinSeconds = 60;
// The largest receive buffer that systems give to one connection by themselves.
inline constexpr std::uint64_t kRepeatedBytesMax = 8 << 20;
inline constexpr std::uint64_t kProbeBytesMax = 64 * 1024;
// Rows that could still be joined, so that memory stays bounded (some 8 MB); beyond, the one that
// grew longest ago is closed.
inline constexpr std::size_t kOpenRowsMax = 16 * 1024;
// Separate spans of one row: more than any segmented client fetches side by side.
inline constexpr std::size_t kSpansMax = 256;

// Joins transfers into rows. Holds only rows that are not complete yet.
class HistoryJoiner {
 public:
  // The row that `ended` belongs to, as it now is; `id` becomes its event_id if it is a new one.
  [[nodiscard]] HistoryRow add(const EventId& id, std::string_view link_id,
                               const ledger::TransferEnded& ended);

  // Forgets the open rows: what follows begins new ones.
  void clear();

  [[nodiscard]] std::size_t open_rows() const { return open_.size(); }

 private:
  struct Span {
    std::uint64_t first;  // half-open
    std::uint64_t last;
  };
  struct OpenRow {
    std::string key;
    HistoryRow row;
    std::vector<Span> spans;  // sorted, disjoint, not adjacent
  };
  using Rows = std::list<OpenRow>;

  [[nodiscard]] static Span delivered(const ledger::TransferEnded& ended);
  [[nodiscard]] static bool joins(const OpenRow& open, const ledger::TransferEnded& ended,
                                  Span span);
  static void insert(std::vector<Span>& spans, Span span);
  [[nodiscard]] static bool covers(const std::vector<Span>& spans, std::uint64_t file_size);
  void keep(OpenRow open);
  void drop(Rows::iterator row);

  Rows open_;                                                    // grew most recently first
  std::unordered_map<std::string_view, Rows::iterator> by_key_;  // views of OpenRow::key
};

}  // namespace tallygate::shop
