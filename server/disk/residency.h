// Is a range of a file in the page cache, so that reading it does not wait for a disk?
//
// How to find out depends on the file system, and is decided once for each. Any thread.
#pragma once
#include <sys/uio.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tallygate::disk {

enum class Residency : std::uint8_t { hot, cold };

// What is known of the file system that a file lies on. A value.
struct FileSystem {
  enum class Kind : std::uint8_t {
    memory,   // tmpfs, ramfs, hugetlbfs: always hot
    probed,   // it answers preadv2(RWF_NOWAIT): ext4, xfs, btrfs and others
    unknown,  // it does not (overlayfs, network file systems): always taken for cold
  };
  std::uint64_t device = 0;  // st_dev
  Kind kind = Kind::unknown;
  // Behind a network or a process (NFS, SMB, FUSE, …): even open, fstat and close may wait for
  // ever, so none of them may be called by a worker.
  bool may_hang = true;
};

// Of an open regular file. May block: on a network file system it asks the server.
[[nodiscard]] FileSystem inspect(int file, std::uint64_t device);
// By the `f_type` of statfs(2).
[[nodiscard]] bool may_hang(std::uint64_t type);
[[nodiscard]] bool is_memory(std::uint64_t type);

// The file systems that a worker has met; used on its thread. There are few: found by looking
// through all of them, without a lock or an allocation.
class FileSystems {
 public:
  // Null: not met yet; somebody has to inspect it off the loop.
  [[nodiscard]] const FileSystem* find(std::uint64_t device) const {
    for (const FileSystem& known : known_) {
      if (known.device == device) return &known;
    }
    return nullptr;
  }
  void note(const FileSystem& met) {
    if (find(met.device) == nullptr) known_.push_back(met);
  }

 private:
  std::vector<FileSystem> known_;
};

namespace detail {
[[nodiscard]] inline ssize_t read_nowait(int file, void* into, std::size_t bytes,
                                         std::uint64_t offset) {
  const iovec part{into, bytes};
  ssize_t n = 0;
  do {
    n = ::preadv2(file, &part, 1, static_cast<off_t>(offset), RWF_NOWAIT);
  } while (n < 0 && errno == EINTR);
  return n;
}
}  // namespace detail

// Looks at the page of one byte. Costs 0.5 µs hot; cold ~20 µs, and the kernel has then begun to
// read ahead from there. Beyond the end: hot. A page that cannot be read: cold, so that whoever
// reads it hears why.
[[nodiscard]] inline Residency look(const FileSystem& on, int file, std::uint64_t offset) {
  if (on.kind == FileSystem::Kind::memory) return Residency::hot;
  if (on.kind == FileSystem::Kind::unknown) return Residency::cold;
  char byte = 0;
  return detail::read_nowait(file, &byte, 1, offset) >= 0 ? Residency::hot : Residency::cold;
}

// Reads what is in memory; for a body too small for sendfile. ≥ 0: bytes; fewer than asked: the
// file ends, or the rest is cold. -EAGAIN: cold. Else -errno.
[[nodiscard]] inline ssize_t read_now(const FileSystem& on, int file, std::span<char> into,
                                      std::uint64_t offset) {
  if (on.kind == FileSystem::Kind::unknown) return -EAGAIN;
  // tmpfs refuses RWF_NOWAIT, and never waits.
  const iovec part{into.data(), into.size()};
  const ssize_t n = on.kind == FileSystem::Kind::memory
                        ? ::preadv(file, &part, 1, static_cast<off_t>(offset))
                        : detail::read_nowait(file, into.data(), into.size(), offset);
  return n < 0 ? -errno : n;
}

}  // namespace tallygate::disk
