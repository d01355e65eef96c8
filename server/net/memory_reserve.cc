#include "server/net/memory_reserve.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>

namespace tallygate::net {
namespace {

// Enough for what a worker has in hand; large enough that the C library gives it back to the
// system.
constexpr std::size_t kReserveBytes = std::size_t{1} << 20;

std::atomic<void*> reserve{nullptr};
std::atomic<bool> given_away{false};

void give_away() {
  void* const block = reserve.exchange(nullptr);
  if (block == nullptr) throw std::bad_alloc();
  given_away = true;
  std::free(block);
}

}  // namespace

void keep_memory_reserve() {
  given_away = true;
  regain_memory_reserve();
  std::set_new_handler(give_away);
}

bool is_memory_short() noexcept {
  return given_away.load(std::memory_order_relaxed);
}

void regain_memory_reserve() noexcept {
  if (!is_memory_short()) return;
  void* block = std::malloc(kReserveBytes);
  if (block == nullptr) return;
  std::memset(block, 1, kReserveBytes);  // else it would be a promise
  void* none = nullptr;
  if (!reserve.compare_exchange_strong(none, block)) std::free(block);  // another was faster
  given_away = false;
}

}  // namespace tallygate::net
