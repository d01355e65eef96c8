// A ledger on a disk that fails on request, and one worker that asks it.
//
// Nothing runs by itself: the journal and the keeper do their work when the worker has nothing left
// to do but wait for them. With `options.background` they have their threads.
#pragma once
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/ledger/ledger.h"
#include "tests/server/ledger/follower.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_storage.h"

namespace tallygate::ledger {

struct Ask {
  std::string link_id = "a";
  Limit limit = 1;
  std::uint64_t size = 1000;
  std::optional<Span> range = {};  // absent: the whole file
  std::uint64_t window = 1000;
  std::uint64_t version = 1;
  shop::Word word = {};
  std::optional<std::int64_t> expires_at = {};
};

class LedgerRig {
 public:
  LedgerRig() {
    options.background = false;
    options.segment_bytes_min = options.segment_bytes_max = 64 << 10;
    options.recovery_threads = 1;
    options.follower_cursor = [this] { return follower.cursor(); };
  }

  // Empty: it is open; else why not.
  std::string open() {
    follower.revive();
    auto opened = Ledger::open(
        disk.directory(), options, clock,
        [this](const std::vector<Event>& events) { follower.take(events); },
        [this](const std::string& line) { notes.push_back(line); });
    if (!opened) return opened.error();
    ledger = std::move(*opened);
    return {};
  }
  void close() { ledger.reset(); }
  void crash(Crash how, std::mt19937_64& random) {
    follower.die();
    disk.crash(how, random);
    ledger.reset();
  }

  // Runs a worker's coroutine to its end. What waits for a disk that does not answer gives up.
  template <class T>
  T run(Task<T> task) {
    std::optional<T> result;
    asio::co_spawn(context.get_executor(), std::move(task),
                   [&result](const std::exception_ptr& error, T value) {
                     if (error) std::rethrow_exception(error);
                     result.emplace(std::move(value));
                   });
    context.restart();
    if (options.background) {
      context.run();
      return std::move(*result);
    }
    for (context.poll(); !result; context.poll()) {
      if (!ledger->turn()) room.give_up();
      context.restart();
    }
    return std::move(*result);
  }

  // A room waits for the journal that it first asked: another ledger needs another one.
  Result<Admission, Refusal> admit(const Ask& ask, WaitingRoom* its = nullptr) {
    const Span range = ask.range.value_or(Span{0, ask.size});
    AdmitRequest r;
    r.link_id = ask.link_id;
    r.path = "/f";
    r.signed_limit = ask.limit;
    r.expires_at = ask.expires_at;
    r.word = ask.word;
    r.version = {ask.version};
    r.size = ask.size;
    r.ranges = {&range, 1};
    r.window_bytes = ask.window;
    return run(ledger->admit(r, its != nullptr ? *its : room));
  }
  PendingLease::Outcome lease(FlightRef flight, std::uint64_t upto, WaitingRoom* its = nullptr) {
    PendingLease lease = ledger->lease(flight, upto, its != nullptr ? *its : room);
    return run(lease.outcome());
  }
  // A whole copy, acknowledged.
  Result<Admission, Refusal> download(const Ask& ask, WaitingRoom* its = nullptr) {
    const auto admitted = admit(ask, its);
    if (!admitted) return admitted;
    const FlightRef flight{admitted->link, admitted->first_flight};
    const Span range = ask.range.value_or(Span{0, ask.size});
    if (admitted->upto < range.last) {
      if (lease(flight, range.last, its) != PendingLease::Outcome::granted) {
        ledger->close(flight, 0, 0, false);
        return Refusal::unavailable;
      }
    }
    ledger->close(flight, range.bytes(), 0, true);
    return admitted;
  }
  [[nodiscard]] std::uint64_t copies(const std::string& link_id) const {
    const auto view = ledger->view(link_id);
    return view ? view->copies : 0;
  }

  FakeDisk disk;
  FakeClock clock;
  DurableFollower follower;
  Ledger::Options options;
  asio::io_context context;
  WaitingRoom room{context.get_executor(), kDurableTimeout};
  std::vector<std::string> notes;
  std::unique_ptr<Ledger> ledger;  // ends first
};

}  // namespace tallygate::ledger
