#include "server/net/policy.h"

#include <utility>

namespace tallygate::net {

SharedPolicy with_own_count(SharedPolicy policy) {
  const Policy* const itself = policy.get();
  return {std::make_shared<const SharedPolicy>(std::move(policy)), itself};
}

SharedPolicy Policies::current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

Policies::Reloads Policies::reloads() const {
  const std::lock_guard lock(mutex_);
  return reloads_;
}

void Policies::replace(SharedPolicy policy) {
  const std::lock_guard lock(mutex_);
  current_.swap(policy);
  ++reloads_.succeeded;
  reloads_.failed_at = 0;
  reloads_.mistakes.clear();
}

void Policies::note_failure(std::int64_t unix_now, std::vector<std::string> mistakes) {
  const std::lock_guard lock(mutex_);
  ++reloads_.failed;
  reloads_.failed_at = unix_now;
  reloads_.mistakes = std::move(mistakes);
}

}  // namespace tallygate::net
