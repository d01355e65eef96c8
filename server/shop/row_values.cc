#include "server/shop/row_values.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace tallygate::shop {
namespace {

template <class T>
T clamped(std::int64_t value) {
  const auto low = static_cast<std::int64_t>(std::numeric_limits<T>::min());
  const auto high = static_cast<std::int64_t>(std::numeric_limits<T>::max());
  return static_cast<T>(std::clamp(value, low, high));
}

std::uint64_t not_negative(std::int64_t value) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(value, 0));
}

}  // namespace

Row to_row(RowValues values) {
  Row row;
  row.link_id = std::move(values.link_id);
  row.used = not_negative(values.used);
  auto& word = row.word;
  if (values.max_copies) {
    word.max_copies = std::max(clamped<std::int32_t>(*values.max_copies), kUnlimited);
  }
  word.not_before = values.not_before;
  word.expires_at = values.expires_at;
  const bool is_known = values.state >= 0 && values.state <= 3;
  word.state = is_known ? static_cast<State>(values.state) : State::revoked;
  word.reset_gen = clamped<std::uint32_t>(values.reset_gen);
  const auto own = not_negative(values.own);
  word.used_elsewhere = row.used > own ? row.used - own : 0;
  return row;
}

EdgeCount to_count(std::string link_id, std::int64_t reset_gen, std::int64_t charged) {
  return {std::move(link_id), clamped<std::uint32_t>(reset_gen), not_negative(charged)};
}

}  // namespace tallygate::shop
