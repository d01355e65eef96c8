#include "server/disk/residency.h"

#include <gtest/gtest.h>
#include <linux/magic.h>

#include "tests/server/disk/big_file.h"

namespace tallygate::disk {
namespace {

using Kind = FileSystem::Kind;

constexpr std::size_t kBytes = 8 << 20;

TEST(Residency, KnowsTheFileSystemsThatMayHang) {
  for (const auto type :
       std::initializer_list<std::uint64_t>{NFS_SUPER_MAGIC, SMB2_SUPER_MAGIC, FUSE_SUPER_MAGIC,
                                            V9FS_MAGIC, CEPH_SUPER_MAGIC, AFS_SUPER_MAGIC}) {
    EXPECT_TRUE(may_hang(type)) << std::hex << type;
  }
  EXPECT_TRUE(may_hang(0x0bd00bd0)) << "Lustre";
  for (const auto type :
       std::initializer_list<std::uint64_t>{EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC,
                                            OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC}) {
    EXPECT_FALSE(may_hang(type)) << std::hex << type;
  }
}

TEST(Residency, OfAFileInMemoryIsHot) {
  const BigFile file(1 << 20, "/dev/shm");
  if (file.on().kind != Kind::memory) GTEST_SKIP() << "/dev/shm is no tmpfs here";
  EXPECT_FALSE(file.on().may_hang);
  ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
  EXPECT_EQ(look(file.on(), file.get(), 0), Residency::hot);
  std::string text(100, '\0');
  EXPECT_EQ(read_now(file.on(), file.get(), text, 10), 100);
  EXPECT_EQ(text, file.range(10, 100));
}

TEST(Residency, OfWhatCannotBeAskedIsCold) {
  const BigFile file(4096);
  const FileSystem overlay{1, Kind::unknown, false};
  file.make_hot();
  EXPECT_EQ(look(overlay, file.get(), 0), Residency::cold);
  std::string text(100, '\0');
  EXPECT_EQ(read_now(overlay, file.get(), text, 0), -EAGAIN);
}

TEST(Residency, IsFoundByLooking) {
  const BigFile file(kBytes);
  EXPECT_FALSE(file.on().may_hang);
  if (!file.make_cold()) GTEST_SKIP() << "the temporary folder's file system keeps its pages";
  EXPECT_EQ(look(file.on(), file.get(), 5 << 20), Residency::cold);
  file.make_hot();
  for (std::size_t offset = 0; offset < kBytes; offset += 4096) {
    ASSERT_EQ(look(file.on(), file.get(), offset), Residency::hot) << offset;
  }
  EXPECT_EQ(look(file.on(), file.get(), kBytes - 1), Residency::hot);
  EXPECT_EQ(look(file.on(), file.get(), kBytes), Residency::hot) << "nothing to wait for";
}

TEST(Residency, OfAFileThatCannotBeReadIsCold) {
  const FileSystem probed{1, Kind::probed, false};
  EXPECT_EQ(look(probed, -1, 0), Residency::cold);
  std::string text(10, '\0');
  EXPECT_EQ(read_now(probed, -1, text, 0), -EBADF);
}

TEST(ReadNow, ReadsWhatIsInMemoryAndNothingElse) {
  const BigFile file(kBytes);
  std::string text(4000, '\0');
  if (!file.make_cold()) GTEST_SKIP() << "the temporary folder's file system keeps its pages";
  EXPECT_EQ(read_now(file.on(), file.get(), text, 5 << 20), -EAGAIN);
  file.make_hot();
  EXPECT_EQ(read_now(file.on(), file.get(), text, 12'345), 4000);
  EXPECT_EQ(text, file.range(12'345, 4000));
  EXPECT_EQ(read_now(file.on(), file.get(), text, kBytes - 10), 10) << "the end";
  EXPECT_EQ(read_now(file.on(), file.get(), text, kBytes + 10), 0);
}

TEST(FileSystems, KnowsWhatItHasMet) {
  FileSystems known;
  EXPECT_EQ(known.find(7), nullptr);
  known.note({7, Kind::probed, false});
  known.note({8, Kind::unknown, true});
  known.note({7, Kind::memory, false});
  ASSERT_NE(known.find(7), nullptr);
  EXPECT_EQ(known.find(7)->kind, Kind::probed) << "decided once";
  EXPECT_TRUE(known.find(8)->may_hang);
  EXPECT_EQ(known.find(9), nullptr);
}

}  // namespace
}  // namespace tallygate::disk
