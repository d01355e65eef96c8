// Some memory that is kept for the moment in which there is none: an allocation that fails is given
// it, and whoever takes on new work waits until it is there again.
//
// What cannot be had all the same throws std::bad_alloc, which ends one connection; or the process,
// where half of a change to the ledger would be left (ledger.h). Any thread.
#pragma once

namespace tallygate::net {

// For a process that serves. Once, before there are threads.
void keep_memory_reserve();
// It was given away, and has not been had again.
[[nodiscard]] bool is_memory_short() noexcept;
// Tries to have it again.
void regain_memory_reserve() noexcept;

}  // namespace tallygate::net
