#include "server/content/root.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

namespace tallygate::content {
namespace {

// The kernel gives up with EAGAIN when something in the tree is renamed while it resolves a path.
constexpr int kRenameRaces = 8;
constexpr std::int64_t kNanoseconds = 1'000'000'000;

// O_NONBLOCK: opening a FIFO must not wait for a writer. It has no effect on regular files.
constexpr std::uint64_t kReading = O_RDONLY | O_NOCTTY | O_NONBLOCK;

boost::system::error_code missing() {
  return make_error_code(boost::system::errc::no_such_file_or_directory);
}

long open_beneath(int folder, const char* path, std::uint64_t flags, std::uint64_t resolve) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = resolve | RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;
  return ::syscall(SYS_openat2, folder, path, &how, sizeof how);
}

long open_beneath(int folder, const char* path, std::uint64_t flags) {
  for (int race = 0;; ++race) {
    const long fd = open_beneath(folder, path, flags, 0);
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR) || race == kRenameRaces) return fd;
  }
}

// A decoded path as the kernel takes it: relative to the root, with a zero at its end.
class RelativePath {
 public:
  explicit RelativePath(std::string_view path) {
    if (path.starts_with('/')) path.remove_prefix(1);
    // The kernel would stop reading at a zero.
    valid_ = path.size() < sizeof text_ && path.find('\0') == std::string_view::npos;
    if (valid_) text_[path.copy(text_, path.size())] = '\0';
  }
  [[nodiscard]] bool is_valid() const { return valid_; }
  [[nodiscard]] const char* text() const { return text_; }

 private:
  bool valid_ = false;
  char text_[PATH_MAX];
};

}  // namespace

Result<ContentRoot, std::string> ContentRoot::open(const std::string& folder,
                                                   int descriptors_below) {
  Descriptor fd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return "content.root " + folder + " cannot be opened: " + last_error().message();
  const Descriptor probe(static_cast<int>(open_beneath(fd.get(), ".", O_PATH)));
  if (!probe) {
    return errno == ENOSYS
               ? std::string(
                     "openat2(2) is not available (Linux before 5.6, or a sandbox such as "
                     "RestrictSUIDSGID= forbids it); without it files cannot be opened safely")
               : "content.root " + folder + " cannot be used: " + last_error().message();
  }
  return ContentRoot(std::move(fd), descriptors_below);
}

Result<Descriptor> ContentRoot::check(Descriptor fd) const {
  if (fd.get() >= descriptors_below_) {
    return make_error_code(boost::system::errc::too_many_files_open);
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return last_error();
  if (!S_ISREG(status.st_mode)) return missing();
  return fd;
}

Result<Descriptor> ContentRoot::open_file(std::string_view path) const {
  const RelativePath relative(path);
  if (!relative.is_valid()) return missing();
  Descriptor fd(static_cast<int>(open_beneath(folder_.get(), relative.text(), kReading)));
  if (!fd) return last_error();
  return check(std::move(fd));
}

Result<Descriptor> ContentRoot::open_cached(std::string_view path) const {
  const RelativePath relative(path);
  if (!relative.is_valid()) return missing();
  Descriptor fd = cached(relative.text(), kReading);
  if (!fd) return last_error();
  return check(std::move(fd));
}

Result<FileStatus> ContentRoot::look_cached(std::string_view path) const {
  const RelativePath relative(path);
  if (!relative.is_valid()) return missing();
  // O_PATH: the file system itself is not asked to open anything.
  const Descriptor fd = cached(relative.text(), O_PATH);
  if (!fd) return last_error();
  struct statx status {};
  if (::statx(fd.get(), "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
              STATX_TYPE | STATX_INO | STATX_SIZE | STATX_MTIME | STATX_CTIME, &status) != 0) {
    return last_error();
  }
  if (!S_ISREG(status.stx_mode)) return missing();
  return FileStatus{{status.stx_size, status.stx_mtime.tv_sec, status.stx_mtime.tv_nsec},
                    ::makedev(status.stx_dev_major, status.stx_dev_minor),
                    status.stx_ino,
                    status.stx_ctime.tv_sec * kNanoseconds + status.stx_ctime.tv_nsec};
}

Descriptor ContentRoot::cached(const char* relative, std::uint64_t flags) const {
  Descriptor fd(static_cast<int>(open_beneath(folder_.get(), relative, flags, RESOLVE_CACHED)));
  if (!fd && errno == EINVAL) errno = EAGAIN;  // the kernel does not know RESOLVE_CACHED
  return fd;
}

Result<FileStatus> status_of(int file) {
  struct stat status {};
  if (::fstat(file, &status) != 0) return last_error();
  return FileStatus{{static_cast<std::uint64_t>(status.st_size), status.st_mtim.tv_sec,
                     static_cast<std::uint32_t>(status.st_mtim.tv_nsec)},
                    status.st_dev,
                    status.st_ino,
                    status.st_ctim.tv_sec * kNanoseconds + status.st_ctim.tv_nsec};
}

}  // namespace tallygate::content
