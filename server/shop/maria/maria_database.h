// The shop's database on MariaDB (10.6 or newer) or MySQL (8.0.13 or newer): tallygate's own
// tables, or those of WooCommerce, PrestaShop or Magento with our tables of counts and marks beside
// them.
//
// READ COMMITTED; waits 1 s for a lock and 5 s for the server. Deadlocks and locks are retryable.
// The link ids of a shop system are the numbers of its rows; all others have no row.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/shop/maria_url.h"
#include "server/shop/database.h"

namespace tallygate::shop {

namespace maria {
class Connection;
class Error;
struct Tables;
}  // namespace maria
class MariaSession;

class MariaDatabase final : public Database {
 public:
  // `table_prefix` of the shop system's tables. `makes_rows` is for our own tables alone.
  MariaDatabase(MariaTarget target, std::string password, config::Schema schema,
                std::string table_prefix, bool makes_rows);
  ~MariaDatabase() override;

  [[nodiscard]] std::string name() const override;
  [[nodiscard]] std::string engine() const override;
  [[nodiscard]] bool makes_rows() const noexcept override;
  [[nodiscard]] Answer<void> open(bool create) override;
  void close() noexcept override;
  [[nodiscard]] Answer<std::vector<std::string>> missing_triggers() override;
  [[nodiscard]] Answer<void> create_schema() override;
  // Looks where WooCommerce keeps its orders if the database can be reached.
  [[nodiscard]] std::string schema_sql() const override;
  [[nodiscard]] std::string grants_sql(std::string_view user, bool prunes) const override;
  [[nodiscard]] Answer<std::uint64_t> register_edge(const Edge& edge) override;
  [[nodiscard]] Answer<std::uint64_t> last_seq() override;
  [[nodiscard]] Answer<PushReport> push(const Batch& batch) override;
  [[nodiscard]] Answer<std::uint64_t> change_stamp() override;
  [[nodiscard]] Answer<std::vector<Change>> take_changes(std::size_t marks_max) override;
  [[nodiscard]] Answer<void> acknowledge(std::span<const Mark> marks) override;
  [[nodiscard]] Answer<std::vector<Row>> load(std::span<const std::string> link_ids) override;
  [[nodiscard]] Answer<std::vector<Row>> scan(std::string_view after,
                                              std::size_t rows_max) override;
  [[nodiscard]] Answer<LostLinks> scan_lost(std::string_view after, std::size_t links_max) override;
  [[nodiscard]] std::string edited_elsewhere() const override;
  [[nodiscard]] Answer<bool> edit(std::string_view link_id, const Edit& edit) override;
  [[nodiscard]] Answer<std::vector<HistoryRow>> downloads_of(std::string_view link_id,
                                                             std::size_t rows_max) override;
  [[nodiscard]] Answer<HistoryPage> prune_history(const EventId& after, std::int64_t ended_before,
                                                  std::size_t rows_max) override;
  [[nodiscard]] Answer<std::vector<EdgeCount>> counters_of(
      std::uint64_t epoch, std::span<const std::string> link_ids) override;
  [[nodiscard]] Answer<std::vector<EdgeCount>> counters_after(std::uint64_t epoch,
                                                              std::string_view after,
                                                              std::size_t links_max) override;
  [[nodiscard]] Answer<void> make_counters(std::span<const EdgeCount> counters) override;
  [[nodiscard]] Answer<void> begin_after(std::uint64_t last_seq) override;
  [[nodiscard]] Answer<std::vector<EdgeSeen>> edges() override;

 private:
  // Runs `work(session)` and turns what it throws into a Failure.
  template <class T, class Work>
  Answer<T> guarded(Work work);
  [[nodiscard]] Failure failure(bool retryable, std::string_view what) const;
  [[nodiscard]] Failure failure(const maria::Error& error) const;
  [[nodiscard]] maria::Tables tables_at(maria::Connection& db) const;
  [[nodiscard]] maria::Tables tables_if_reachable() const;
  void set_origin(MariaSession& session, bool is_edge) const;
  void expand(MariaSession& session, std::vector<Change>& changes);

  const MariaTarget target_;
  const std::string password_;
  const config::Schema schema_;
  const std::string prefix_;
  const bool makes_rows_;
  Edge edge_;
  std::string engine_;
  std::uint64_t looks_ = 0;
  std::unique_ptr<MariaSession> session_;  // null: closed
};

[[nodiscard]] std::unique_ptr<Database> make_maria_database(const MariaTarget& target,
                                                            std::string password,
                                                            config::Schema schema,
                                                            std::string table_prefix,
                                                            bool makes_rows);

}  // namespace tallygate::shop
