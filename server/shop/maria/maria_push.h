// Applies a batch to an open MariaDB shop, within a transaction that the caller has begun.
#pragma once
#include <functional>
#include <string_view>
#include <vector>

#include "core/shop/download_log.h"
#include "server/shop/maria/maria_session.h"

namespace tallygate::shop {

class MariaPush {
 public:
  // All are borrowed for life, `batch` by value. `now`: unix seconds, for copies without a history.
  MariaPush(MariaSession& session, const Edge& edge, Batch batch, bool makes_rows,
            std::int64_t now);

  // One statement per kind of item. Throws what the server says, also if it refuses an item.
  void apply_at_once();
  // Item by item; what is refused for its own sake is left out and parked.
  [[nodiscard]] std::vector<Parked> apply_each();

 private:
  // What is undone together when a part of it is refused.
  using Step = std::function<void()>;
  [[nodiscard]] std::vector<Step> steps(const Batch& batch);
  void know(const Batch& batch);
  void create(const Batch& batch);
  void add_totals(const Batch& batch);
  void charge(const Batch& batch);
  void block(const Batch& batch);
  void write_history(const Batch& batch);

  MariaSession& session_;
  const Edge& edge_;
  const Batch batch_;
  const bool makes_rows_;
  std::vector<LogLine> log_;
};

// The number that a link's id is in shops that have numbers; nullopt: no such id.
[[nodiscard]] std::optional<std::uint64_t> number_of(std::string_view link_id) noexcept;

}  // namespace tallygate::shop
