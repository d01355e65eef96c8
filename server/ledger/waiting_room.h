// Where the coroutines of one worker wait until what they recorded is on disk.
//
// The journal wakes a room once for each batch, not once for each waiter, and only if somebody
// waits in it. All members but wake() belong to the worker's thread.
#pragma once
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "server/net/executor.h"

namespace tallygate::ledger {

class Journal;

// A point of the journal; whatever was appended before it is durable when it is. 0: never.
using Ticket = std::uint64_t;

class WaitingRoom {
 public:
  WaitingRoom(const Executor& executor, std::chrono::milliseconds timeout);
  // Whoever waits is dropped. The executor's io_context goes next, and runs no more.
  ~WaitingRoom();
  WaitingRoom(const WaitingRoom&) = delete;
  WaitingRoom& operator=(const WaitingRoom&) = delete;

  // True: durable. False: the journal has failed, or it took longer than the room's timeout.
  [[nodiscard]] Task<bool> wait(Journal& journal, Ticket ticket);

  // Kicks the journal once the worker has done what is ready now: somebody will wait.
  void kick_soon(Journal& journal);
  // Nobody waits: what was recorded rides along with the next batch that somebody waits for, or
  // goes with the worker's next tick.
  void kick_in_tick(Journal& journal);
  // A worker's, ten times a second; deadlines are looked at then. A room without it has a timer.
  void tick();
  // Whoever waits is told that it took too long.
  void give_up();

  // Any thread: the journal has made progress, or failed.
  void wake();
  // The journal ends, and the workers have ended before.
  void forget_journal() { journal_ = nullptr; }

 private:
  using Handler = asio::async_result<asio::use_awaitable_t<Executor>, void(bool)>::handler_type;
  struct Waiter {
    Ticket ticket = 0;
    std::chrono::steady_clock::time_point deadline;
    Handler handler;
    bool ready = false;
    bool granted = false;
  };
  void attach(Journal& journal);
  void look(bool expire = false);
  void watch_deadlines();

  const Executor executor_;
  const std::chrono::milliseconds timeout_;
  Timer deadline_;
  bool watching_ = false;
  bool ticks_ = false;
  bool kicking_ = false;
  bool due_in_tick_ = false;
  Journal* journal_ = nullptr;
  std::vector<Waiter> waiters_;  // in the order of their coming, and so of their deadlines
  std::vector<Waiter> spare_;    // empty; its memory is used again
  std::atomic<bool> anybody_{false};
  std::atomic<bool> posted_{false};
  struct Slot {
    alignas(std::max_align_t) std::byte bytes[256];
  };
  template <class T>
  class SlotAllocator;
  Slot wake_slot_;  // of what is posted; one at a time
};

}  // namespace tallygate::ledger
