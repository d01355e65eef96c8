#include "server/transfer/delivery.h"

#include <algorithm>
#include <utility>

namespace tallygate::transfer {

std::uint64_t lease_window(std::uint64_t file_size) noexcept {
  constexpr std::uint64_t kMiB = 1 << 20;
  return std::clamp(file_size / 64, kMiB, 16 * kMiB);
}

Delivery::Delivery(ledger::Ledger& ledger, ledger::WaitingRoom& room,
                   const ledger::Admission& admission, std::string_view link_id,
                   ledger::LinkKey parent, std::shared_ptr<const content::OpenFile> file,
                   std::span<const ledger::Span> spans, ledger::TransferEnded about,
                   const Clock& clock, metrics::WorkerCounters& counters)
    : ledger_(ledger),
      room_(room),
      link_(admission.link),
      link_id_(link_id),
      parent_(parent),
      file_(std::move(file)),
      clock_(clock),
      counters_(counters),
      number_(counters.transfers_begun.value() + 1),
      began_at_(clock.steady_now()),
      about_(std::move(about)),
      window_(lease_window(file_->version.size)) {
  counters_.transfers_begun.add();
  parts_.reserve(spans.size());
  for (std::size_t i = 0; i < spans.size(); ++i) {
    Part& part = parts_.emplace_back();
    part.flight = {link_, admission.first_flight + static_cast<std::uint32_t>(i)};
    part.span = spans[i];
    part.upto = i == 0 ? admission.upto : spans[i].first;
  }
}

Delivery::~Delivery() {
  end(0);
}

std::uint64_t Delivery::bytes_total() const {
  std::uint64_t bytes = 0;
  for (const Part& part : parts_) bytes += part.span.bytes();
  return bytes;
}

// -- sending ------------------------------------------------------------------------------------

void Delivery::begin_part(std::size_t index, std::uint64_t stream_offset) {
  current_ = index;
  parts_[index].begun = true;
  parts_[index].stream_begin = stream_offset;
  ahead_.reset();
}

bool Delivery::part_sent() const {
  return parts_[current_].sent == parts_[current_].span.bytes();
}

void Delivery::ask_ahead() {
  const Part& part = parts_[current_];
  if (ahead_ || part.upto == part.span.last) return;
  ahead_upto_ = std::min(part.upto + window_, part.span.last);
  ahead_ = ledger_.lease(part.flight, ahead_upto_, room_);
}

std::uint64_t Delivery::leased_now() {
  ask_ahead();
  const Part& part = parts_[current_];
  return part.upto - part.position();
}

Task<std::uint64_t> Delivery::leased() {
  Part& part = parts_[current_];
  ask_ahead();
  if (part.position() == part.upto && ahead_) {
    const auto outcome = co_await ahead_->outcome();
    if (over_ || outcome != ledger::PendingLease::Outcome::granted) co_return 0;
    part.upto = ahead_upto_;
    ahead_.reset();
    ask_ahead();
  }
  co_return part.upto - part.position();
}

void Delivery::sent(std::uint64_t bytes) {
  parts_[current_].sent += bytes;
  about_.bytes_sent += bytes;
  counters_.file_bytes.add(bytes);
}

void Delivery::sent_upto(std::uint64_t stream_offset) {
  const Part& part = parts_[current_];
  const std::uint64_t before = part.stream_begin + part.sent;
  if (stream_offset > before) sent(stream_offset - before);
}

// -- settling -----------------------------------------------------------------------------------

std::uint64_t Delivery::Part::arrived(std::uint64_t acknowledged_offset) const {
  if (!begun || acknowledged_offset <= stream_begin) return settled;
  return std::max(settled, std::min(sent, acknowledged_offset - stream_begin));
}

void Delivery::completed(std::uint32_t copies) {
  about_.copies += copies;
  counters_.copies.add(copies);
}

void Delivery::close(Part& part, std::uint64_t arrived) {
  const bool whole = arrived == part.span.bytes() && part.begun;
  completed(ledger_.close(part.flight, arrived - part.settled, part.sent - arrived, whole, &room_));
  part.settled = arrived;
  part.closed = true;
}

bool Delivery::settle(std::uint64_t acknowledged_offset) noexcept {
  if (over_) return true;
  bool open = false;
  for (Part& part : parts_) {
    if (part.closed) continue;
    const std::uint64_t arrived = part.arrived(acknowledged_offset);
    // An empty body has arrived with its head.
    const bool whole =
        part.begun && arrived == part.span.bytes() && acknowledged_offset >= part.stream_begin;
    if (whole) {
      close(part, arrived);
      continue;
    }
    open = true;
    if (arrived == part.settled) continue;
    completed(ledger_.settle(part.flight, arrived - part.settled, &room_));
    part.settled = arrived;
  }
  if (open || !all_sent_) return false;
  tell_history();
  return true;
}

void Delivery::end(std::uint64_t acknowledged_offset) noexcept {
  if (over_) return;
  for (Part& part : parts_) {
    if (!part.closed) close(part, part.arrived(acknowledged_offset));
  }
  tell_history();
}

void Delivery::tell_history() {
  over_ = true;
  const bool complete = std::all_of(parts_.begin(), parts_.end(), [](const Part& part) {
    return part.settled == part.span.bytes();
  });
  (complete ? counters_.transfers_complete : counters_.transfers_partial).add();
  for (const Part& part : parts_) about_.bytes_acked += part.settled;
  about_.outcome = complete ? ledger::Outcome::complete : ledger::Outcome::partial;
  about_.ended_at = clock_.unix_now();
  ledger_.ended(link_id_.view(), std::move(about_), &room_);
}

}  // namespace tallygate::transfer
