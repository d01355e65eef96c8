#include "server/disk/residency.h"

#include <sys/vfs.h>

#include <algorithm>
#include <array>

namespace tallygate::disk {
namespace {

// From linux/magic.h, and from the file systems' own headers where it has none.
constexpr std::uint64_t kTmpfs = 0x01021994;
constexpr std::uint64_t kRamfs = 0x858458f6;
constexpr std::uint64_t kHugetlbfs = 0x958458f6;

constexpr std::array<std::uint64_t, 18> kMayHang = {
    0x6969,      // NFS
    0xff534d42,  // CIFS
    0xfe534d42,  // SMB2
    0x517b,      // SMB
    0x65735546,  // FUSE, virtiofs
    0x01021997,  // 9p
    0x00c36400,  // Ceph
    0x5346414f,  // AFS
    0x6b414653,  // AFS of the kernel
    0x73757245,  // Coda
    0x0bd00bd0,  // Lustre
    0x01161970,  // GFS2
    0x7461636f,  // OCFS2
    0x47504653,  // GPFS
    0x20030528,  // OrangeFS
    0x19830326,  // BeeGFS
    0x786f4256,  // VirtualBox shared folders
    0x0187,      // autofs: opening mounts
};

}  // namespace

bool is_memory(std::uint64_t type) {
  return type == kTmpfs || type == kRamfs || type == kHugetlbfs;
}

bool may_hang(std::uint64_t type) {
  return std::find(kMayHang.begin(), kMayHang.end(), type) != kMayHang.end();
}

FileSystem inspect(int file, std::uint64_t device) {
  FileSystem found{device, FileSystem::Kind::unknown, true};
  struct statfs status {};
  if (::fstatfs(file, &status) != 0) return found;
  // f_type is signed on some machines, and 32 bits wide in meaning.
  const auto type = static_cast<std::uint64_t>(status.f_type) & 0xffff'ffff;
  found.may_hang = may_hang(type);
  if (found.may_hang) return found;
  if (is_memory(type)) {
    found.kind = FileSystem::Kind::memory;
    return found;
  }
  char byte = 0;
  if (detail::read_nowait(file, &byte, 1, 0) >= 0 || errno == EAGAIN) {
    found.kind = FileSystem::Kind::probed;
  }
  return found;
}

}  // namespace tallygate::disk
