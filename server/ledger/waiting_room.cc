#include "server/ledger/waiting_room.h"

#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "server/ledger/journal.h"

namespace tallygate::ledger {

// Memory for one thing at a time: it is made on the journal's thread and freed on the worker's,
// which no recycling allocator knows how to use again.
template <class T>
class WaitingRoom::SlotAllocator {
 public:
  using value_type = T;
  explicit SlotAllocator(Slot& slot) : slot_(&slot) {}
  template <class U>
  SlotAllocator(const SlotAllocator<U>& other) : slot_(other.slot_) {}  // NOLINT: a rebind
  T* allocate(std::size_t number) {
    return number * sizeof(T) <= sizeof(Slot) ? reinterpret_cast<T*>(slot_->bytes)
                                              : std::allocator<T>().allocate(number);
  }
  void deallocate(T* memory, std::size_t number) {
    if (number * sizeof(T) > sizeof(Slot)) std::allocator<T>().deallocate(memory, number);
  }
  friend bool operator==(const SlotAllocator&, const SlotAllocator&) = default;

 private:
  template <class U>
  friend class SlotAllocator;
  Slot* slot_;
};

WaitingRoom::WaitingRoom(const Executor& executor, std::chrono::milliseconds timeout)
    : executor_(executor), timeout_(timeout), deadline_(executor) {}

WaitingRoom::~WaitingRoom() {
  if (journal_ != nullptr) journal_->leave(*this);
  // Frames end while the list is whole: what they hold may look at the room.
  std::vector<Waiter> dropped;
  dropped.swap(waiters_);
}

Task<bool> WaitingRoom::wait(Journal& journal, Ticket ticket) {
  asio::use_awaitable_t<Executor> token;
  return asio::async_initiate<asio::use_awaitable_t<Executor>, void(bool)>(
      [this, &journal, ticket](Handler handler) {
        attach(journal);
        waiters_.push_back({ticket, std::chrono::steady_clock::now() + timeout_, std::move(handler),
                            false, false});
        anybody_ = true;
        // What became durable in between has woken nobody.
        if (journal.durable() >= ticket || journal.has_failed()) {
          wake();
        } else if (!watching_ && !ticks_) {
          watch_deadlines();
        }
      },
      token);
}

void WaitingRoom::wake() {
  if (!anybody_ || posted_.exchange(true)) return;
  asio::post(executor_, asio::bind_allocator(SlotAllocator<void>(wake_slot_), [this] {
               posted_ = false;
               look();
             }));
}

void WaitingRoom::attach(Journal& journal) {
  if (journal_ != nullptr) return;
  journal_ = &journal;
  journal.enter(*this);
}

void WaitingRoom::kick_soon(Journal& journal) {
  attach(journal);
  if (std::exchange(kicking_, true)) return;
  asio::post(executor_, [this] {
    kicking_ = false;
    due_in_tick_ = false;
    if (journal_ != nullptr) journal_->kick();
  });
}

void WaitingRoom::kick_in_tick(Journal& journal) {
  attach(journal);
  due_in_tick_ = true;
}

void WaitingRoom::tick() {
  ticks_ = true;
  const bool late =
      !waiters_.empty() && waiters_.front().deadline <= std::chrono::steady_clock::now();
  if (late) look();
  if (std::exchange(due_in_tick_, false) && journal_ != nullptr) journal_->kick();
}

void WaitingRoom::give_up() {
  look(true);
}

void WaitingRoom::look(bool expire) {
  if (journal_ == nullptr) return;
  const Ticket durable = journal_->durable();
  const bool failed = journal_->has_failed();
  const auto now = std::chrono::steady_clock::now();
  // Nearly always all of them are ready.
  std::vector<Waiter> ready;
  ready.swap(spare_);
  ready.swap(waiters_);
  for (Waiter& waiter : ready) {
    waiter.granted = waiter.ticket != 0 && waiter.ticket <= durable;
    waiter.ready = waiter.granted || failed || expire || waiter.deadline <= now;
    if (!waiter.ready) waiters_.push_back(std::move(waiter));
  }
  anybody_ = !waiters_.empty();
  if (waiters_.empty() && watching_) deadline_.cancel();
  // They may come back to wait, while we are here.
  for (Waiter& waiter : ready) {
    if (waiter.ready) std::move(waiter.handler)(waiter.granted);
  }
  ready.clear();
  if (spare_.capacity() == 0) spare_.swap(ready);
}

void WaitingRoom::watch_deadlines() {
  watching_ = true;
  deadline_.expires_at(waiters_.front().deadline);
  deadline_.async_wait([this](const error_code& ec) {
    watching_ = false;
    if (ec != asio::error::operation_aborted) look();
    if (!waiters_.empty() && !watching_) watch_deadlines();
  });
}

}  // namespace tallygate::ledger
