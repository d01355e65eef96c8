#include "server/shop/sync.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <iterator>
#include <system_error>

namespace tallygate::shop {
namespace {

using namespace std::chrono_literals;

// Events are gathered this long, so that a busy edge writes a few larger transactions.
constexpr std::chrono::milliseconds kGather = 200ms;
constexpr std::chrono::milliseconds kFlush = 2s;
constexpr std::chrono::milliseconds kOutboxRetry = 500ms;
// One transaction of the outbox at most.
constexpr std::size_t kEventsPerConsume = 10'000;

template <class... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};

}  // namespace

Sync::Sync(std::unique_ptr<Outbox> outbox, std::unique_ptr<Database> database, const Clock& clock,
           ExchangeOptions options)
    : clock_(clock),
      options_(std::move(options)),
      outbox_(std::move(outbox)),
      database_(std::move(database)),
      consumed_seq_(outbox_->consumed_seq()),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_) throw std::system_error(errno, std::system_category(), "eventfd");
}

Sync::~Sync() {
  stop();
}

void Sync::on_events(std::vector<ledger::Event> events) {
  if (events.empty()) return;
  {
    const std::scoped_lock lock(mutex_);
    if (events_.empty()) events_since_ = clock_.steady_now();
    std::ranges::move(events, std::back_inserter(events_));
    status_.events_waiting += events.size();
    if (running_) {
      if (events_.size() == events.size()) wake();
      return;
    }
  }
  consume(true);
}

void Sync::start(LedgerPort& ledger) {
  {
    const std::scoped_lock lock(mutex_);
    running_ = true;
  }
  thread_ = std::thread([this, &ledger] { run(ledger); });
}

void Sync::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  wake();
  if (thread_.joinable()) thread_.join();
}

void Sync::hand_over() {
  sends_at_end_ = false;
  stop();
}

void Sync::look_up(std::vector<std::string> link_ids,
                   std::function<void(std::vector<LookUp>)> callback) {
  submit(LookUpRequest{std::move(link_ids), std::move(callback)});
}

void Sync::edit(std::string link_id, Edit edit, std::function<void(Answer<bool>)> callback) {
  submit(EditRequest{std::move(link_id), std::move(edit), std::move(callback)});
}

void Sync::downloads_of(std::string link_id, std::size_t rows_max,
                        std::function<void(Answer<std::vector<HistoryRow>>)> callback) {
  submit(HistoryRequest{std::move(link_id), rows_max, std::move(callback)});
}

void Sync::flush(std::function<void(bool)> callback) {
  submit(FlushRequest{std::move(callback)});
}

void Sync::submit(Request request) {
  {
    const std::scoped_lock lock(mutex_);
    if (!stopping_) {
      requests_.push_back(std::move(request));
      wake();
      return;
    }
  }
  refuse(request);
}

Status Sync::status() const {
  const std::scoped_lock lock(mutex_);
  return status_;
}

void Sync::run(LedgerPort& ledger) {
  Exchange exchange(*outbox_, *database_, ledger, clock_, options_);
  for (bool stopping = false; !stopping;) {
    consume(false);
    const bool more = exchange.turn();
    publish(exchange.status());
    if (!more && wait_until(exchange.next_turn(), exchange.wake_descriptor())) exchange.on_wake();
    std::vector<Request> requests;
    {
      const std::scoped_lock lock(mutex_);
      requests.swap(requests_);
      stopping = stopping_;
    }
    serve(exchange, std::move(requests));
  }
  consume(true);
  if (sends_at_end_) exchange.push_all(kFlush);
  publish(exchange.status());
  // Requests that came while the last ones were served.
  std::vector<Request> late;
  {
    const std::scoped_lock lock(mutex_);
    late.swap(requests_);
    running_ = false;
  }
  for (auto& request : late) refuse(request);
}

// Until the next turn is due, requests have come, events have been gathered for long enough, or the
// database has something to say: then true.
bool Sync::wait_until(TimePoint turn_at, int wake_descriptor) {
  for (;;) {
    auto until = turn_at;
    {
      const std::scoped_lock lock(mutex_);
      if (stopping_ || !requests_.empty()) return false;
      if (!taken_.empty()) until = std::min(until, consume_at_);
      if (!events_.empty()) until = std::min(until, std::max(events_since_ + kGather, consume_at_));
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock_.steady_now());
    if (left <= 0ms) return false;
    pollfd descriptors[] = {{wake_.get(), POLLIN, 0}, {wake_descriptor, POLLIN, 0}};
    // No longer than a minute at a time, so that the number fits.
    const auto at_most = static_cast<int>(std::min<std::chrono::milliseconds>(left, 1min).count());
    if (::poll(descriptors, 2, at_most) <= 0) continue;
    std::uint64_t times = 0;
    [[maybe_unused]] const auto n = ::read(wake_.get(), &times, sizeof times);
    if (descriptors[1].revents != 0) return true;
  }
}

void Sync::wake() noexcept {
  const std::uint64_t once = 1;
  [[maybe_unused]] const auto n = ::write(wake_.get(), &once, sizeof once);
}

// Moves events into the outbox. False: its disk does not take them now; they stay here, and the
// ledger would hand them over again after a restart.
bool Sync::consume(bool at_once) {
  const auto now = clock_.steady_now();
  {
    const std::scoped_lock lock(mutex_);
    if (!at_once && now < events_since_ + kGather) return true;
    std::ranges::move(events_, std::back_inserter(taken_));
    events_.clear();
  }
  if (taken_.empty()) return true;
  if (now < consume_at_) return false;
  auto first = taken_.begin();
  outbox_error_.clear();
  while (first != taken_.end()) {
    auto last = first + std::min<std::ptrdiff_t>(kEventsPerConsume, taken_.end() - first);
    while (last != taken_.end() && last->seq == std::prev(last)->seq) ++last;
    if (const auto done = outbox_->consume({first, last}); !done) {
      outbox_error_ = done.error().text;
      consume_at_ = now + kOutboxRetry;
      break;
    }
    first = last;
  }
  taken_.erase(taken_.begin(), first);
  consumed_seq_ = outbox_->consumed_seq();
  const std::scoped_lock lock(mutex_);
  status_.events_waiting = taken_.size() + events_.size();
  return taken_.empty();
}

void Sync::serve(Exchange& exchange, std::vector<Request> requests) {
  for (auto& request : requests) {
    std::visit(
        Overloaded{
            [&](LookUpRequest& look_up) { look_up.callback(exchange.look_up(look_up.link_ids)); },
            [&](EditRequest& edit) { edit.callback(exchange.edit(edit.link_id, edit.edit)); },
            [&](HistoryRequest& history) {
              history.callback(exchange.downloads_of(history.link_id, history.rows_max));
            },
            [&](FlushRequest& flush) {
              const bool pushed = consume(true) && exchange.push_all(kFlush);
              publish(exchange.status());
              flush.callback(pushed);
            }},
        request);
  }
}

void Sync::publish(Status status) {
  if (!outbox_error_.empty()) status.last_error = outbox_error_;
  overtaken_ = status.overtaken;
  const std::scoped_lock lock(mutex_);
  status.events_waiting = taken_.size() + events_.size();
  status_ = std::move(status);
}

void Sync::refuse(Request& request) {
  std::visit(Overloaded{[](LookUpRequest& look_up) {
                          look_up.callback(std::vector<LookUp>(look_up.link_ids.size()));
                        },
                        [](EditRequest& edit) {
                          edit.callback(Failure{true, "the server is stopping"});
                        },
                        [](HistoryRequest& history) {
                          history.callback(Failure{true, "the server is stopping"});
                        },
                        [](FlushRequest& flush) { flush.callback(false); }},
             request);
}

}  // namespace tallygate::shop
