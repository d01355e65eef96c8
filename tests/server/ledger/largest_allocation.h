// The largest block of memory that was asked for: a reader must not believe a length before it has
// seen the bytes. To be included by one file of a program, since it replaces operator new.
#pragma once
#include <atomic>
#include <cstdlib>
#include <new>

namespace tallygate {

inline std::atomic<std::size_t> largest_allocation{0};

inline void* allocate_noting(std::size_t bytes) {
  if (bytes > largest_allocation) largest_allocation = bytes;
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}

}  // namespace tallygate

void* operator new(std::size_t bytes) {
  return tallygate::allocate_noting(bytes);
}
void* operator new[](std::size_t bytes) {
  return tallygate::allocate_noting(bytes);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}
