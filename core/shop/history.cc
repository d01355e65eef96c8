#include "core/shop/history.h"

#include <xxhash.h>

#include <algorithm>

namespace tallygate::shop {
namespace {

using ledger::Outcome;
using ledger::TransferEnded;

// What makes two transfers those of one client fetching one thing. A NUL separates, since no part
// but the user agent, which stands last, may contain one.
std::string client_key(std::string_view link_id, const TransferEnded& ended) {
  std::string key(link_id);
  key += '\0';
  key += std::to_string(ended.version);
  key += '\0';
  key += ended.client_ip;
  key += '\0';
  key += ended.user_agent;
  return key;
}

// A user agent is whatever the peer sent; databases refuse some of that, and terminals obey it.
std::string printable(std::string_view text) {
  std::string out(text);
  std::ranges::replace_if(
      out, [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return out;
}

}  // namespace

EventId event_id(std::uint64_t epoch, std::uint64_t seq, std::uint32_t ordinal) noexcept {
  EventId id{};
  auto byte = id.begin();
  const auto put = [&](std::uint64_t value, int bytes) {
    while (bytes-- > 0) *byte++ = static_cast<std::uint8_t>(value >> (8 * bytes));
  };
  // Epochs are random in all of their 63 bits; hashed, they are so in these 56 as well.
  put(XXH3_64bits(&epoch, sizeof epoch), 7);
  put(seq, 6);
  put(ordinal, 3);
  return id;
}

HistoryRow HistoryJoiner::add(const EventId& id, std::string_view link_id,
                              const TransferEnded& ended) {
  const auto span = delivered(ended);
  auto key = client_key(link_id, ended);

  if (const auto known = by_key_.find(key);
      known != by_key_.end() && joins(*known->second, ended, span)) {
    open_.splice(open_.begin(), open_, known->second);
    auto& open = open_.front();
    insert(open.spans, span);
    auto& row = open.row;
    row.started_at = std::min(row.started_at, ended.started_at);
    row.ended_at = std::max(row.ended_at, ended.ended_at);
    row.bytes_sent += ended.bytes_sent;
    row.counted += ended.copies;
    row.outcome = covers(open.spans, ended.file_size) ? Outcome::complete : Outcome::partial;
    auto result = row;
    if (result.outcome == Outcome::complete) drop(open_.begin());
    return result;
  }

  HistoryRow row{.event_id = id,
                 .link_id = std::string(link_id),
                 .started_at = ended.started_at,
                 .ended_at = ended.ended_at,
                 .client_ip = ended.client_ip,
                 .user_agent = printable(ended.user_agent),
                 .bytes_sent = ended.bytes_sent,
                 .file_size = ended.file_size,
                 .outcome = Outcome::partial,
                 .counted = ended.copies};
  if (ended.outcome == Outcome::refused) {
    row.outcome = Outcome::refused;
    return row;
  }
  if (ended.outcome == Outcome::complete && span.first == 0 && span.last >= ended.file_size) {
    row.outcome = Outcome::complete;
    return row;
  }
  if (ended.bytes_sent <= kProbeBytesMax) row.outcome = Outcome::probe;
  OpenRow open{.key = std::move(key), .row = row, .spans = {}};
  insert(open.spans, span);
  keep(std::move(open));
  return row;
}

void HistoryJoiner::clear() {
  by_key_.clear();
  open_.clear();
}

HistoryJoiner::Span HistoryJoiner::delivered(const TransferEnded& ended) {
  const auto asked = ended.last > ended.first ? ended.last - ended.first : 0;
  return {ended.first, ended.first + std::min(ended.bytes_acked, asked)};
}

bool HistoryJoiner::joins(const OpenRow& open, const TransferEnded& ended, Span span) {
  if (ended.outcome == Outcome::refused || ended.file_size != open.row.file_size) return false;
  if (ended.started_at - kJoinWithinSeconds > open.row.ended_at) return false;
  if (open.spans.size() >= kSpansMax) return false;
  std::uint64_t repeated = 0;
  for (const Span& had : open.spans) {
    const auto first = std::max(span.first, had.first);
    const auto last = std::min(span.last, had.last);
    repeated += last > first ? last - first : 0;
  }
  return repeated <= std::min(kRepeatedBytesMax, (span.last - span.first) / 2);
}

void HistoryJoiner::insert(std::vector<Span>& spans, Span span) {
  if (span.first == span.last) return;
  const auto begin = std::ranges::lower_bound(spans, span.first, {}, &Span::last);
  auto end = begin;
  for (; end != spans.end() && end->first <= span.last; ++end) {
    span.first = std::min(span.first, end->first);
    span.last = std::max(span.last, end->last);
  }
  spans.insert(spans.erase(begin, end), span);
}

bool HistoryJoiner::covers(const std::vector<Span>& spans, std::uint64_t file_size) {
  return spans.size() == 1 && spans.front().first == 0 && spans.front().last >= file_size;
}

void HistoryJoiner::keep(OpenRow open) {
  if (const auto same = by_key_.find(open.key); same != by_key_.end()) drop(same->second);
  if (open_.size() >= kOpenRowsMax) drop(std::prev(open_.end()));
  open_.push_front(std::move(open));
  by_key_.emplace(open_.front().key, open_.begin());
}

void HistoryJoiner::drop(Rows::iterator row) {
  by_key_.erase(row->key);
  open_.erase(row);
}

}  // namespace tallygate::shop
