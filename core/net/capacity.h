// For how many connections a process has descriptors and memory. Pure: numbers in, numbers out.
#pragma once
#include <cstddef>
#include <cstdint>

namespace tallygate::net {

// What takes descriptors beside connections and files.
struct Equipment {
  unsigned threads = 1;       // workers
  std::size_t listeners = 1;  // addresses; each worker has a socket for each of them
  std::size_t pipes_max = 0;  // of each worker, for files that are not in memory
};

// Standard input and the like, the ledger with its lock, segments and snapshots, the outbox and the
// database, the access log, the admin interface with all its connections, a reload, and what a
// library may open: the part that connections never take.
inline constexpr std::uint64_t kDescriptorsOfProcess = 256;
// Of a worker: its loop, and io_uring.
inline constexpr std::uint64_t kDescriptorsOfWorker = 6;
// One in so many is for files: the caches of all workers hold no more. A shop sells few files to
// many, and all transfers of a worker share one descriptor for each; where more are sent at a time,
// new downloads are refused (descriptors_below()).
inline constexpr std::uint64_t kOpenFilesShare = 4;

[[nodiscard]] std::uint64_t descriptors_reserved(const Equipment& equipment) noexcept;

// So many connections find their descriptors among `descriptors`, beside files and reserve. 0: not
// even the reserve does.
[[nodiscard]] std::uint64_t connections_within(std::uint64_t descriptors,
                                               const Equipment& equipment) noexcept;
// The least with which connections_within() is at least `connections`.
[[nodiscard]] std::uint64_t descriptors_for(std::uint64_t connections,
                                            const Equipment& equipment) noexcept;

// Files and connections are taken in only on descriptors below this one. The kernel gives out the
// lowest that is free: so with any above it that part is what the process needs for itself.
[[nodiscard]] int descriptors_below(std::uint64_t descriptors) noexcept;

}  // namespace tallygate::net
