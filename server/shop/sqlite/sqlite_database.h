// The shop's database as one SQLite file, which a merchant's own program reads and writes as well.
//
// WAL, synchronous=FULL. A lock that another process holds for longer than 200 ms is a retryable
// failure. A file that was replaced or removed is noticed at the next call and is a failure that
// asks for open() again: `open(false)` never makes a file, so that a backup that is being put back
// finds the place empty.
#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "server/shop/database.h"

namespace tallygate::shop {

struct SqliteSession;

class SqliteDatabase final : public Database {
 public:
  // `makes_rows`: a link's first use makes a row (links.authority = "signature").
  explicit SqliteDatabase(std::filesystem::path file, bool makes_rows = true);
  ~SqliteDatabase() override;

  [[nodiscard]] std::string name() const override;
  [[nodiscard]] std::string engine() const override;
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
  // Runs `work(session)` and turns what it throws into a Failure.
  template <class T, class Work>
  Answer<T> guarded(Work work);
  [[nodiscard]] Failure failure(bool retryable, std::string_view what) const;

  const std::filesystem::path file_;
  const bool makes_rows_;
  Edge edge_;
  std::unique_ptr<SqliteSession> session_;  // null: closed
};

}  // namespace tallygate::shop
