// The shop's database on a PostgreSQL server, 13 or newer: tallygate's own tables.
//
// READ COMMITTED. A batch is a few statements over arrays, whatever the number of its items. A lock
// that somebody else holds for longer than half a second is a retryable failure; a server that does
// not answer within 5 s, or that does not take writes (any more), one that asks for open() again,
// which then may find another server behind the same URL.
#pragma once
#include <memory>
#include <string>

#include "server/shop/database.h"
#include "server/shop/postgres/postgres.h"

namespace tallygate::shop {

class PostgresDatabase final : public Database {
 public:
  // `url`: postgresql://…, without a password. `makes_rows`: a link's first use makes a row.
  PostgresDatabase(std::string url, std::string password, bool makes_rows = true);

  [[nodiscard]] std::string name() const override { return url_; }
  [[nodiscard]] std::string engine() const override { return engine_; }
  [[nodiscard]] bool makes_rows() const noexcept override { return makes_rows_; }
  [[nodiscard]] Answer<void> open(bool create) override;
  void close() noexcept override;
  [[nodiscard]] Answer<void> create_schema() override;
  [[nodiscard]] std::string schema_sql() const override;
  [[nodiscard]] std::string grants_sql(std::string_view user, bool prunes) const override;
  [[nodiscard]] Answer<std::uint64_t> register_edge(const Edge& edge) override;
  [[nodiscard]] Answer<std::uint64_t> last_seq() override;
  [[nodiscard]] Answer<PushReport> push(const Batch& batch) override;
  [[nodiscard]] Answer<std::uint64_t> change_stamp() override;
  [[nodiscard]] Answer<std::vector<std::string>> missing_triggers() override;
  [[nodiscard]] int wake_descriptor() const noexcept override;
  [[nodiscard]] bool has_news() const noexcept override;
  [[nodiscard]] Answer<std::vector<Change>> take_changes(std::size_t marks_max) override;
  [[nodiscard]] Answer<void> acknowledge(std::span<const Mark> marks) override;
  [[nodiscard]] Answer<std::vector<Row>> load(std::span<const std::string> link_ids) override;
  [[nodiscard]] Answer<std::vector<Row>> scan(std::string_view after,
                                              std::size_t rows_max) override;
  [[nodiscard]] Answer<LostLinks> scan_lost(std::string_view after, std::size_t links_max) override;
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
  // Runs `work(connection)` and turns what it throws into a Failure.
  template <class T, class Work>
  Answer<T> guarded(Work work);
  [[nodiscard]] Failure failure(bool retryable, std::string_view what) const;
  PushReport push_whole(const Batch& batch);
  PushReport push_by_item(const Batch& batch);
  bool pass_gate(std::uint64_t seq);
  Pushed what_stopped(std::uint64_t seq);
  void apply(const Batch& batch);
  void record(const Batch& batch);

  const std::string url_;
  const std::string password_;
  const bool makes_rows_;
  std::string engine_ = "PostgreSQL";
  Edge edge_;
  std::uint64_t stamp_ = 0;
  std::unique_ptr<postgres::Connection> connection_;  // null: closed
};

}  // namespace tallygate::shop
