#include "server/net/memory_reserve.h"

#include <gtest/gtest.h>

#include <new>

namespace tallygate::net {
namespace {

// P10
TEST(MemoryReserve, IsGivenAwayOnceAndHadAgain) {
  EXPECT_FALSE(is_memory_short()) << "nothing is kept yet, and nothing lacks";
  keep_memory_reserve();
  EXPECT_FALSE(is_memory_short());
  for (int i = 0; i < 2; ++i) {
    const std::new_handler run_out = std::get_new_handler();
    ASSERT_NE(run_out, nullptr);
    EXPECT_NO_THROW(run_out()) << "the allocation is tried again";
    EXPECT_TRUE(is_memory_short());
    EXPECT_THROW(run_out(), std::bad_alloc);
    regain_memory_reserve();
    EXPECT_FALSE(is_memory_short());
    regain_memory_reserve();
  }
  std::set_new_handler(nullptr);
}

}  // namespace
}  // namespace tallygate::net
