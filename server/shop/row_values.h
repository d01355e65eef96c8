// A row of tg_link as a database returned it, and what it means.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "server/shop/database.h"

namespace tallygate::shop {

struct RowValues {
  std::string link_id;
  std::optional<std::int64_t> max_copies{};
  std::int64_t used = 0;
  std::optional<std::int64_t> not_before{};
  std::optional<std::int64_t> expires_at{};
  std::int64_t state = 0;
  std::int64_t reset_gen = 0;
  std::int64_t own = 0;  // this edge's part of `used`
};

// A table without our CHECKs may hold anything: what is out of bounds is taken for the nearest that
// is not, an unknown state for the most severe.
[[nodiscard]] Row to_row(RowValues values);

// The same of a row of tg_edge_count.
[[nodiscard]] EdgeCount to_count(std::string link_id, std::int64_t reset_gen, std::int64_t charged);

}  // namespace tallygate::shop
