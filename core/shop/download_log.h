// The lines of a shop's own download log, where every counted copy is a line.
//
// Counts and history rows reach a database in the same batch, but not tied to each other: a row of
// history says how many copies its transfers completed, the count says how many there were. Here
// each counted copy gets the time and address of a transfer that completed one.
//
// Pure; callable from any thread.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/shop/history.h"

namespace tallygate::shop {

struct LogLine {
  std::string link_id;
  std::int64_t at = 0;      // unix seconds
  std::string client_ip{};  // empty: not known
  friend bool operator==(const LogLine&, const LogLine&) = default;
};

// More copies of one link in one batch are not believed to be worth a line each.
inline constexpr std::uint64_t kLogLinesPerLinkMax = 10'000;

struct CopiesOfLink {
  std::string_view link_id;
  std::uint64_t copies = 0;
};

// One line per copy, in the order of `counted`; of one link, newest first: from the history rows of
// that link that completed copies, as many as each did. A copy that no row explains (a row that
// grew since an earlier batch, say) has the time of the newest row of the batch, `now` if there is
// none, and no address.
[[nodiscard]] std::vector<LogLine> download_log(std::span<const CopiesOfLink> counted,
                                                std::span<const HistoryRow> history,
                                                std::int64_t now);

}  // namespace tallygate::shop
