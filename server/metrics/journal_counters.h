// What the journal counts. Written by its thread, read by any.
#pragma once
#include <array>
#include <cstdint>

#include "server/metrics/counter.h"

namespace tallygate::metrics {

// Nanoseconds: from 0.1 ms, which a fast disk takes, to 10 s.
inline constexpr std::array<std::uint64_t, 16> kSyncBounds{
    100'000,       250'000,       500'000,       1'000'000,     2'500'000,   5'000'000,
    10'000'000,    25'000'000,    50'000'000,    100'000'000,   250'000'000, 500'000'000,
    1'000'000'000, 2'500'000'000, 5'000'000'000, 10'000'000'000};
inline constexpr std::array<std::uint64_t, 13> kBatchRecordBounds{
    1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384};
// Batches are written in whole blocks of 4 KiB.
inline constexpr std::array<std::uint64_t, 9> kBatchByteBounds{
    4096, 8192, 16384, 32768, 65536, 131072, 262144, 524288, 1048576};

struct JournalCounters {
  Histogram<kSyncBounds.size()> sync_ns;
  Histogram<kBatchRecordBounds.size()> batch_records;
  Histogram<kBatchByteBounds.size()> batch_bytes;
  Counter sync_failures;
};

}  // namespace tallygate::metrics
