#include "server/content/root.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>

namespace tallygate::content {
namespace {

// The kernel gives up with EAGAIN when something in the tree is renamed while it resolves a path.
constexpr int kRenameRaces = 8;

long open_beneath(int folder, const char* path, std::uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;
  for (int race = 0;; ++race) {
    const long fd = ::syscall(SYS_openat2, folder, path, &how, sizeof how);
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR) || race == kRenameRaces) return fd;
  }
}

}  // namespace

Result<ContentRoot, std::string> ContentRoot::open(const std::string& folder) {
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
  return ContentRoot(std::move(fd));
}

Result<Descriptor> ContentRoot::open_file(std::string_view path) const {
  const std::string relative(path.substr(path.starts_with('/') ? 1 : 0));
  if (relative.find('\0') != std::string::npos) {  // the kernel would stop reading there
    return make_error_code(boost::system::errc::no_such_file_or_directory);
  }
  // O_NONBLOCK: opening a FIFO must not wait for a writer. It has no effect on regular files.
  Descriptor fd(static_cast<int>(
      open_beneath(folder_.get(), relative.c_str(), O_RDONLY | O_NOCTTY | O_NONBLOCK)));
  if (!fd) return last_error();
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return last_error();
  if (!S_ISREG(status.st_mode)) {
    return make_error_code(boost::system::errc::no_such_file_or_directory);
  }
  return fd;
}

}  // namespace tallygate::content
