#include "server/command/reloader.h"

#include <utility>

namespace tallygate::command {
namespace {

void tell(const std::vector<Reloader::Answer>& all, const net::Reloaded& reloaded) {
  for (const Reloader::Answer& answer : all) {
    if (answer) answer(reloaded);
  }
}

net::Reloaded too_late() {
  net::Reloaded none;
  none.outcome = net::Reloaded::Outcome::ending;
  return none;
}

}  // namespace

Reloader::Reloader(std::function<net::Reloaded()> reload)
    : reload_(std::move(reload)), thread_([this] { run(); }) {}

Reloader::~Reloader() {
  stop();
}

void Reloader::ask(Answer answer) {
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_) {
      waiting_.push_back(std::move(answer));
      wake_.notify_one();
      return;
    }
  }
  tell({std::move(answer)}, too_late());
}

void Reloader::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void Reloader::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    const std::vector<Answer> asked = std::exchange(waiting_, {});
    const bool ends = stopping_;
    lock.unlock();
    tell(asked, ends ? too_late() : reload_());
    if (ends) return;
    lock.lock();
  }
}

}  // namespace tallygate::command
