// A database whose answers get lost, or that is away, when a test says so.
#pragma once
#include <algorithm>
#include <utility>

#include "server/shop/database.h"

namespace tallygate::shop {

class FaultyDatabase final : public Database {
 public:
  explicit FaultyDatabase(Database& real) : real_(real) {}

  bool away = false;  // nothing works
  std::vector<std::string> lost_triggers{};
  int lose_answers = 0;      // this many pushes are applied, but their answer is lost
  int refuse_pushes = 0;     // this many pushes fail and are not applied
  int duplicate_pushes = 0;  // this many pushes arrive twice
  bool refuses_prunes = false;
  int prune_calls = 0;

  std::string name() const override { return real_.name(); }
  std::string engine() const override { return real_.engine(); }
  bool makes_rows() const noexcept override { return real_.makes_rows(); }
  Answer<void> open(bool create) override {
    if (away) return failure();
    return real_.open(create);
  }
  void close() noexcept override { real_.close(); }
  Answer<void> create_schema() override { return real_.create_schema(); }
  std::string schema_sql() const override { return real_.schema_sql(); }
  std::string grants_sql(std::string_view user, bool prunes) const override {
    return real_.grants_sql(user, prunes);
  }
  Answer<std::uint64_t> register_edge(const Edge& edge) override {
    if (away) return failure();
    return real_.register_edge(edge);
  }
  Answer<std::uint64_t> last_seq() override {
    if (away) return failure();
    return real_.last_seq();
  }
  Answer<PushReport> push(const Batch& batch) override {
    if (away || std::exchange(refuse_pushes, std::max(refuse_pushes - 1, 0)) > 0) return failure();
    if (std::exchange(duplicate_pushes, std::max(duplicate_pushes - 1, 0)) > 0) {
      auto first = real_.push(batch);
      if (first) static_cast<void>(real_.push(batch));
      return first;
    }
    auto report = real_.push(batch);
    if (std::exchange(lose_answers, std::max(lose_answers - 1, 0)) > 0) return failure();
    return report;
  }
  Answer<std::uint64_t> change_stamp() override {
    if (away) return failure();
    return real_.change_stamp();
  }
  Answer<std::vector<std::string>> missing_triggers() override {
    if (away) return failure();
    return lost_triggers;
  }
  int wake_descriptor() const noexcept override { return real_.wake_descriptor(); }
  bool has_news() const noexcept override { return real_.has_news(); }
  Answer<std::vector<Change>> take_changes(std::size_t marks_max) override {
    if (away) return failure();
    return real_.take_changes(marks_max);
  }
  Answer<void> acknowledge(std::span<const Mark> marks) override {
    if (away) return failure();
    return real_.acknowledge(marks);
  }
  Answer<std::vector<Row>> load(std::span<const std::string> link_ids) override {
    if (away) return failure();
    return real_.load(link_ids);
  }
  Answer<std::vector<Row>> scan(std::string_view after, std::size_t rows_max) override {
    if (away) return failure();
    return real_.scan(after, rows_max);
  }
  Answer<LostLinks> scan_lost(std::string_view after, std::size_t links_max) override {
    if (away) return failure();
    return real_.scan_lost(after, links_max);
  }
  Answer<bool> edit(std::string_view link_id, const Edit& edit) override {
    if (away) return failure();
    return real_.edit(link_id, edit);
  }
  Answer<std::vector<HistoryRow>> downloads_of(std::string_view link_id,
                                               std::size_t rows_max) override {
    if (away) return failure();
    return real_.downloads_of(link_id, rows_max);
  }
  Answer<HistoryPage> prune_history(const EventId& after, std::int64_t ended_before,
                                    std::size_t rows_max) override {
    ++prune_calls;
    if (away) return failure();
    if (refuses_prunes) return Failure{false, "DELETE command denied"};
    return real_.prune_history(after, ended_before, rows_max);
  }
  Answer<std::vector<EdgeCount>> counters_of(std::uint64_t epoch,
                                             std::span<const std::string> link_ids) override {
    if (away) return failure();
    return real_.counters_of(epoch, link_ids);
  }
  Answer<std::vector<EdgeCount>> counters_after(std::uint64_t epoch, std::string_view after,
                                                std::size_t links_max) override {
    if (away) return failure();
    return real_.counters_after(epoch, after, links_max);
  }
  Answer<void> make_counters(std::span<const EdgeCount> counters) override {
    if (away) return failure();
    return real_.make_counters(counters);
  }
  Answer<void> begin_after(std::uint64_t last_seq) override {
    if (away) return failure();
    return real_.begin_after(last_seq);
  }
  Answer<std::vector<EdgeSeen>> edges() override { return real_.edges(); }

 private:
  static Failure failure() { return {false, "the line is cut"}; }

  Database& real_;
};

}  // namespace tallygate::shop
