// Writes Prometheus' text format 0.0.4.
//
// Pure. A name comes once, HELP and TYPE before its samples; whatever stands in a label is escaped.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "server/metrics/list.h"
#include "server/metrics/snapshot.h"

namespace tallygate::metrics {

inline constexpr std::string_view kTextType = "text/plain; version=0.0.4; charset=utf-8";

class Exposition {
 public:
  using LabelValues = std::initializer_list<std::string_view>;

  // One sample. Metrics come in the order of the list; a label has as many values as the list has
  // names.
  void add(Id id, LabelValues values, std::uint64_t value);
  void add(Id id, LabelValues values, double value);
  void add(Id id, const HistogramFigures& figures);
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  void begin(Id id);
  void write_labels(const Metric& metric, LabelValues values);

  std::string text_;
  std::optional<Id> at_;
};

// What /metrics answers.
[[nodiscard]] std::string write_text(const Snapshot& snapshot);

}  // namespace tallygate::metrics
