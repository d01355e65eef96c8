#include "bench/load/load.h"

#include <sys/timerfd.h>

#include <cerrno>
#include <cmath>
#include <stdexcept>

namespace tallygate::load {
namespace {

using namespace std::chrono_literals;

// A server that says nothing for so long has lost a request. Longer than a throttled disk takes.
constexpr auto kPatience = 20s;
// Connecting slow customers: more would overrun the backlogs of some servers, and be timed out in
// the TLS handshakes of others.
constexpr std::size_t kSlowAtOnce = 64;
constexpr std::uint64_t kTimer = ~0ULL;

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what);
}

::timespec timespec_of(std::chrono::nanoseconds time) {
  return {time / 1s, (time % 1s).count()};
}

}  // namespace

Load::Load(const Plan& plan, const Endpoint& endpoint, Requests& requests)
    : plan_(plan),
      endpoint_(endpoint),
      requests_(requests),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      connections_(plan.connections) {
  endpoint_.slow = plan.mode == Mode::slow;
  last_event_ = Clock::now();
  if (connects_in_the_window()) return;
  for (std::size_t i = 0; i < connections_.size(); ++i) open(i);
  establish();
}

void Load::open(std::size_t index) {
  Connection& connection = connections_[index];
  connection.open(endpoint_);
  ::epoll_event event{EPOLLIN, {.u64 = index}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connection.socket(), &event) != 0) {
    fail("epoll_ctl: " + last_error().message());
  }
}

void Load::establish() {
  std::uint64_t no_bytes = 0;
  const auto is_open = [](const Connection& c) { return c.is_established(); };
  while (!std::all_of(connections_.begin(), connections_.end(), is_open)) {
    const int ready = ::epoll_wait(epoll_.get(), events_.data(), kEventsMax, 10'000);
    if (ready == 0) fail("no TLS handshake within 10 s");
    for (int i = 0; i < ready; ++i) {
      Connection& connection = connections_[events_[static_cast<std::size_t>(i)].data.u64];
      if (connection.advance(no_bytes) == Event::closed) fail("closed behind the handshake");
    }
  }
}

Report Load::run() {
  begin_ = last_event_ = Clock::now();
  end_ = begin_ + plan_.window;
  begin();
  while (!is_over(Clock::now())) wait_for_events();
  finish();
  return std::move(report_);
}

void Load::begin() {
  if (plan_.mode == Mode::probe) {
    const auto interval = std::chrono::nanoseconds(std::llround(1e9 / plan_.rate));
    timer_ = Descriptor(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    const ::itimerspec times{timespec_of(interval), timespec_of(interval)};
    ::timerfd_settime(timer_.get(), 0, &times, nullptr);
    ::epoll_event event{EPOLLIN, {.u64 = kTimer}};
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, timer_.get(), &event);
    for (std::size_t i = 0; i < connections_.size(); ++i) idle_.push_back(i);
    return;
  }
  const std::size_t at_once =
      plan_.mode == Mode::slow ? std::min(kSlowAtOnce, connections_.size()) : connections_.size();
  for (; opened_ < at_once; ++opened_) {
    if (connects_in_the_window()) {
      open_and_ask(opened_);
    } else {
      ask_next(opened_, Clock::now());
    }
  }
}

void Load::open_and_ask(std::size_t index) {
  const auto since = Clock::now();
  open(index);
  if (connections_[index].is_established()) {
    ask_next(index, since);
  } else {
    connections_[index].set_since(since);  // the request follows the handshake
  }
}

bool Load::is_over(Clock::time_point now) const {
  if (plan_.requests_max != 0 && report_.requests >= plan_.requests_max) return true;
  if (done_ == connections_.size()) return true;
  // All slow customers shall be served, however long that takes.
  return plan_.mode != Mode::slow && now >= end_;
}

void Load::wait_for_events() {
  const auto now = Clock::now();
  if (now > last_event_ + kPatience) fail("nothing from the server for 20 s");
  const auto left =
      plan_.mode == Mode::slow ? 1000ms : std::chrono::ceil<std::chrono::milliseconds>(end_ - now);
  const int ready = ::epoll_wait(epoll_.get(), events_.data(), kEventsMax,
                                 static_cast<int>(std::max(left, 0ms).count()));
  if (ready < 0 && errno != EINTR) fail("epoll_wait: " + last_error().message());
  for (int i = 0; i < ready; ++i) {
    const std::uint64_t which = events_[static_cast<std::size_t>(i)].data.u64;
    if (which == kTimer) {
      tick();
    } else {
      last_event_ = now;
      handle(which);
    }
  }
}

void Load::handle(std::size_t index) {
  Connection& connection = connections_[index];
  switch (connection.advance(report_.bytes)) {
    case Event::nothing:
      return;
    case Event::established:
      ask_next(index, connection.since());
      return;
    case Event::head:
      if (plan_.mode != Mode::slow) return;
      ++report_.requests;
      report_.latencies.add(Clock::now() - connection.since());
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection.socket(), nullptr);
      ++done_;
      if (opened_ < connections_.size()) open_and_ask(opened_++);
      return;
    case Event::answered:
      answered(index);
      return;
    case Event::closed:
      if (plan_.mode != Mode::new_each) fail("the server has closed a connection");
      if (is_exhausted_) {
        connection.close();
        ++done_;
        return;
      }
      open_and_ask(index);
      return;
  }
}

void Load::answered(std::size_t index) {
  Connection& connection = connections_[index];
  const auto now = Clock::now();
  ++report_.requests;
  report_.latencies.add(now - connection.since());
  switch (plan_.mode) {
    case Mode::keep_alive:
      ask_next(index, now);
      return;
    case Mode::new_each:
      if (connection.was_resumed()) ++report_.resumed;
      return;  // the server closes
    case Mode::once:
      ++done_;
      return;
    case Mode::probe:
      if (overdue_.empty()) {
        idle_.push_back(index);
      } else {
        ask_next(index, overdue_.front());
        overdue_.pop_front();
      }
      return;
    case Mode::slow:
      fail("a slow customer has got everything: the file is too small");
  }
}

void Load::ask_next(std::size_t index, Clock::time_point since) {
  const Request* const request = requests_.next(plan_.each_once);
  if (request == nullptr) {
    is_exhausted_ = true;
    ++done_;
    return;
  }
  connections_[index].ask(*request, since);
}

// A request that is late because the one before it was late counts from when it was due; otherwise
// a server that stands still for a second would be asked, and blamed, only once.
void Load::tick() {
  std::uint64_t due = 0;
  if (::read(timer_.get(), &due, sizeof due) != sizeof due) return;
  const auto now = Clock::now();
  const auto interval = std::chrono::nanoseconds(std::llround(1e9 / plan_.rate));
  for (; due > 0; --due) {
    const auto since = now - static_cast<std::int64_t>(due - 1) * interval;
    if (idle_.empty()) {
      overdue_.push_back(since);
      continue;
    }
    const std::size_t index = idle_.front();
    idle_.pop_front();
    ask_next(index, since);
  }
}

void Load::finish() {
  const auto now = Clock::now();
  report_.seconds = std::chrono::duration<double>(now - begin_).count();
  if (plan_.mode == Mode::slow) return;
  for (Connection& connection : connections_) {
    report_.bytes += connection.unread_bytes();
    if (plan_.mode == Mode::probe && connection.is_waiting()) {
      report_.latencies.add(now - connection.since());
    }
    connection.close();
  }
  for (const auto& since : overdue_) report_.latencies.add(now - since);
}

}  // namespace tallygate::load
