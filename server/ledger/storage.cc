#include "server/ledger/storage.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>
#include <utility>

#include "server/net/descriptor.h"

namespace tallygate::ledger {
namespace {

// Zeroes are written and synced in steps, so that whoever syncs another file beside it waits
// little.
constexpr std::size_t kZeroStep = 1 << 20;

class PosixFile final : public File {
 public:
  explicit PosixFile(Descriptor fd) : fd_(std::move(fd)) {}

  Result<std::uint64_t> size() override {
    struct stat about {};
    if (::fstat(fd_.get(), &about) != 0) return last_error();
    return static_cast<std::uint64_t>(about.st_size);
  }

  Result<std::size_t> read_at(std::uint64_t offset, std::span<char> buffer) override {
    std::size_t done = 0;
    while (done < buffer.size()) {
      const ssize_t n = ::pread(fd_.get(), buffer.data() + done, buffer.size() - done,
                                static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return last_error();
      if (n == 0) break;
      done += static_cast<std::size_t>(n);
    }
    return done;
  }

  error_code write_at(std::uint64_t offset, std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return last_error();
      if (n == 0) return make_error_code(boost::system::errc::io_error);
      bytes.remove_prefix(static_cast<std::size_t>(n));
      offset += static_cast<std::uint64_t>(n);
    }
    return {};
  }

  error_code allocate(std::uint64_t bytes) override {
    const auto before = size();
    if (!before) return before.error();
    int result = 0;
    do {
      result = ::fallocate(fd_.get(), 0, 0, static_cast<off_t>(bytes));
    } while (result != 0 && errno == EINTR);
    // A file system that cannot reserve: written zeroes are the next best.
    if (result != 0 && errno != EOPNOTSUPP && errno != ENOSYS) return last_error();
    const std::string zeroes(kZeroStep, '\0');
    for (std::uint64_t at = *before; at < bytes; at += kZeroStep) {
      const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(kZeroStep, bytes - at));
      if (const error_code ec = write_at(at, std::string_view(zeroes).substr(0, n))) return ec;
      if (const error_code ec = sync()) return ec;
    }
    return {};
  }

  void drop_cache() override {
    static_cast<void>(::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED));
  }

  error_code sync() override { return ::fdatasync(fd_.get()) == 0 ? error_code() : last_error(); }

 private:
  Descriptor fd_;
};

class PosixDirectory final : public Directory {
 public:
  explicit PosixDirectory(Descriptor fd) : fd_(std::move(fd)) {}

  int descriptor() const override { return fd_.get(); }
  error_code lock() override {
    // A process that was killed may keep its files open for a moment.
    for (int attempt = 0;; ++attempt) {
      if (::flock(fd_.get(), LOCK_EX | LOCK_NB) == 0) return {};
      if (errno != EWOULDBLOCK || attempt == 10) return last_error();
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }

  Result<std::vector<std::string>> list() override {
    Descriptor copy(::openat(fd_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!copy) return last_error();
    DIR* dir = ::fdopendir(copy.get());
    if (dir == nullptr) return last_error();
    static_cast<void>(copy.release());
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(dir)) names.emplace_back(entry->d_name);
    const error_code ec = errno != 0 ? last_error() : error_code();
    ::closedir(dir);
    if (ec) return ec;
    return names;
  }

  Result<std::unique_ptr<File>> open(const std::string& name) override {
    return open_file(name, O_RDONLY);
  }
  Result<std::unique_ptr<File>> create(const std::string& name) override {
    return open_file(name, O_RDWR | O_CREAT | O_TRUNC);
  }

  error_code rename(const std::string& from, const std::string& to) override {
    return ::renameat(fd_.get(), from.c_str(), fd_.get(), to.c_str()) == 0 ? error_code()
                                                                           : last_error();
  }
  error_code remove(const std::string& name) override {
    return ::unlinkat(fd_.get(), name.c_str(), 0) == 0 ? error_code() : last_error();
  }
  error_code sync() override { return ::fsync(fd_.get()) == 0 ? error_code() : last_error(); }

 private:
  Result<std::unique_ptr<File>> open_file(const std::string& name, int flags) {
    Descriptor fd(::openat(fd_.get(), name.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return last_error();
    return std::unique_ptr<File>(std::make_unique<PosixFile>(std::move(fd)));
  }

  Descriptor fd_;
};

}  // namespace

std::unique_ptr<Directory> use_directory(Descriptor fd) {
  return std::make_unique<PosixDirectory>(std::move(fd));
}

Result<std::unique_ptr<Directory>> open_directory(const std::string& path, bool create) {
  if (create && ::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return last_error();
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return last_error();
  return std::unique_ptr<Directory>(std::make_unique<PosixDirectory>(std::move(fd)));
}

}  // namespace tallygate::ledger
