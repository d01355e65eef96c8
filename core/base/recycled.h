// Memory that objects of one type leave to the next: for what comes and goes with each request.
#pragma once
#include <array>
#include <cstddef>
#include <new>

namespace tallygate {

// Derive T from Recycled<T>. `delete` keeps up to kKept blocks for the thread that deletes, `new`
// takes them first: in the steady state neither reaches the allocator. For final classes. Under a
// sanitizer nothing is kept, so that a use after the end is seen.
template <class T>
class Recycled {
 public:
  static void* operator new(std::size_t size) {
    Blocks& mine = blocks();
    return mine.count != 0 && size == sizeof(T) ? mine.block[--mine.count] : ::operator new(size);
  }
  static void operator delete(void* block, std::size_t size) noexcept {
    Blocks& mine = blocks();
    if (kKept != 0 && mine.count < kKept && size == sizeof(T)) {
      mine.block[mine.count++] = block;
    } else {
      ::operator delete(block);
    }
  }
  friend constexpr bool operator==(const Recycled&, const Recycled&) { return true; }

 protected:
  Recycled() = default;
  ~Recycled() = default;

 private:
#if defined(TALLYGATE_SANITIZED)
  static constexpr std::size_t kKept = 0;
#else
  static constexpr std::size_t kKept = 64;
#endif
  struct Blocks {
    std::array<void*, kKept == 0 ? 1 : kKept> block{};
    std::size_t count = 0;
    Blocks() = default;
    Blocks(const Blocks&) = delete;
    Blocks& operator=(const Blocks&) = delete;
    ~Blocks() {
      while (count != 0) ::operator delete(block[--count]);
    }
  };
  static Blocks& blocks() noexcept {
    static thread_local Blocks mine;
    return mine;
  }
};

}  // namespace tallygate
