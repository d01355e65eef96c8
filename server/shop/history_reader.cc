#include "server/shop/history_reader.h"

namespace tallygate::shop {
namespace {

std::uint8_t digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<std::uint8_t>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<std::uint8_t>(c - 'A' + 10);
  return 0;
}

}  // namespace

// An id that somebody else wrote and that is shorter is followed by zeros.
void HistoryReader::add(std::string_view event_id, std::int64_t ended_at) {
  ++page_.rows;
  if (ended_at < ended_before_) ++old_rows_;
  page_.last = {};
  for (std::size_t i = 0; i < page_.last.size() && 2 * i + 1 < event_id.size(); ++i) {
    page_.last[i] =
        static_cast<std::uint8_t>(digit(event_id[2 * i]) << 4 | digit(event_id[2 * i + 1]));
  }
}

}  // namespace tallygate::shop
