#include "server/shop/maria/maria_push.h"

#include <boost/json.hpp>

#include <algorithm>
#include <charconv>

namespace tallygate::shop {
namespace {

namespace json = boost::json;

json::value text_or_null(std::string_view text) {
  return text.empty() ? json::value(nullptr) : json::value(text);
}

json::value blocked_text(ledger::Blocked blocked) {
  switch (blocked) {
    case ledger::Blocked::copies:
      return "copies";
    case ledger::Blocked::traffic:
      return "traffic";
    case ledger::Blocked::none:
      break;
  }
  return nullptr;
}

std::string hex(const EventId& id) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const auto byte : id) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

// A shop's rows have no generations: counts of several are one.
Batch without_generations(Batch batch) {
  std::vector<CountedCopies> merged;
  for (auto& count : batch.counted) {
    if (!merged.empty() && merged.back().link_id == count.link_id) {
      merged.back().copies += count.copies;
    } else {
      merged.push_back({std::move(count.link_id), 0, count.copies});
    }
  }
  batch.counted = std::move(merged);
  return batch;
}

}  // namespace

std::optional<std::uint64_t> number_of(std::string_view link_id) noexcept {
  std::uint64_t number = 0;
  const char* end = link_id.data() + link_id.size();
  const auto result = std::from_chars(link_id.data(), end, number);
  if (result.ec != std::errc() || result.ptr != end || link_id.starts_with('0')) {
    return std::nullopt;
  }
  return number;
}

MariaPush::MariaPush(MariaSession& session, const Edge& edge, Batch batch, bool makes_rows,
                     std::int64_t now)
    : session_(session),
      edge_(edge),
      batch_(session.tables.system.empty() ? std::move(batch)
                                           : without_generations(std::move(batch))),
      makes_rows_(makes_rows) {
  if (!session_.sql.log) return;
  std::vector<CopiesOfLink> copies;
  for (const auto& count : batch_.counted) copies.push_back({count.link_id, count.copies});
  log_ = download_log(copies, batch_.history, now);
}

std::vector<MariaPush::Step> MariaPush::steps(const Batch& batch) {
  std::vector<Step> list;
  if (!batch.created.empty()) {
    list.emplace_back([&] { know(batch); });
    if (makes_rows_ && session_.sql.create) list.emplace_back([&] { create(batch); });
  }
  if (!batch.counted.empty()) {
    list.emplace_back([&] { add_totals(batch); });
    list.emplace_back([&] { charge(batch); });
  }
  if (!batch.blocked.empty() && session_.sql.block) list.emplace_back([&] { block(batch); });
  if (!batch.history.empty()) list.emplace_back([&] { write_history(batch); });
  return list;
}

void MariaPush::apply_at_once() {
  for (const auto& step : steps(batch_)) step();
}

std::vector<Parked> MariaPush::apply_each() {
  std::vector<Parked> parked;
  for (const auto& item : split_items(batch_)) {
    for (const auto& step : steps(item)) {
      session_.db.execute("SAVEPOINT tg_item");
      try {
        step();
      } catch (const maria::Error& error) {
        if (!error.is_refusal_of_data()) throw;
        session_.db.execute("ROLLBACK TO SAVEPOINT tg_item");
        parked.push_back({link_of_item(item), error.what()});
        break;
      }
    }
  }
  return parked;
}

void MariaPush::know(const Batch& batch) {
  json::array list;
  for (const auto& row : batch.created) list.emplace_back(row.link_id);
  session_.sql.know->run({edge_.edge_id, edge_.epoch, json::serialize(list)});
}

void MariaPush::create(const Batch& batch) {
  json::array list;
  for (const auto& row : batch.created) list.push_back(json::array{row.link_id, row.file_id});
  session_.sql.create->run({json::serialize(list)});
}

void MariaPush::add_totals(const Batch& batch) {
  json::array list;
  for (const auto& count : batch.counted) {
    list.push_back(json::array{count.link_id, 0, count.copies, count.reset_gen});
  }
  session_.sql.add_total->run({edge_.edge_id, edge_.epoch, json::serialize(list)});
}

void MariaPush::charge(const Batch& batch) {
  json::array list;
  json::array lines;
  for (const auto& count : batch.counted) {
    const auto number = number_of(count.link_id);
    if (session_.tables.is_numeric && !number) continue;  // no row has such an id
    list.push_back(json::array{count.link_id, number.value_or(0), count.copies, count.reset_gen});
    // In the order of the counts, which are sorted.
    for (const auto& line : std::ranges::equal_range(log_, count.link_id, {}, &LogLine::link_id)) {
      lines.push_back(json::array{number.value_or(0), line.at, line.client_ip});
    }
  }
  if (list.empty()) return;
  const auto text = json::serialize(list);
  for (std::size_t i = 0; i < session_.sql.charges.size(); ++i) {
    if (session_.tables.charges[i].is_of_edge) {
      session_.sql.charges[i]->run({text, edge_.edge_id, edge_.epoch});
    } else {
      session_.sql.charges[i]->run({text});
    }
  }
  if (!lines.empty()) session_.sql.log->run({json::serialize(lines)});
}

void MariaPush::block(const Batch& batch) {
  json::array list;
  for (const auto& row : batch.blocked) {
    list.push_back(json::array{row.link_id, blocked_text(row.blocked)});
  }
  session_.sql.block->run({json::serialize(list)});
}

void MariaPush::write_history(const Batch& batch) {
  json::array list;
  for (const auto& row : batch.history) {
    list.push_back(json::array{hex(row.event_id), row.link_id, row.started_at, row.ended_at,
                               text_or_null(row.client_ip), text_or_null(row.user_agent),
                               row.bytes_sent, row.file_size, static_cast<int>(row.outcome),
                               row.counted});
  }
  session_.sql.download->run({edge_.edge_id, json::serialize(list)});
}

}  // namespace tallygate::shop
