// A file with bytes of its own at every offset, which a test makes cold or hot.
#pragma once
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <random>
#include <string>
#include <string_view>

#include "server/disk/residency.h"
#include "server/net/descriptor.h"
#include "tests/support/temp_dir.h"

namespace tallygate::disk {

class BigFile {
 public:
  explicit BigFile(std::size_t bytes,
                   const std::filesystem::path& folder = std::filesystem::temp_directory_path())
      : dir_(folder), content_(bytes, '\0') {
    std::mt19937_64 random(bytes);
    for (char& c : content_) c = static_cast<char>(random());
    const auto path = dir_.write("file", content_);
    file_ = Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    ::fsync(file_.get());
    struct stat status {};
    ::fstat(file_.get(), &status);
    on_ = inspect(file_.get(), status.st_dev);
  }

  [[nodiscard]] int get() const { return file_.get(); }
  [[nodiscard]] const FileSystem& on() const { return on_; }
  [[nodiscard]] std::string_view content() const { return content_; }
  [[nodiscard]] std::string_view range(std::size_t offset, std::size_t bytes) const {
    return offset < content_.size() ? content().substr(offset, bytes) : std::string_view();
  }
  // False: the file system does not let go of it.
  [[nodiscard]] bool make_cold() const {
    if (on_.kind != FileSystem::Kind::probed) return false;
    for (int i = 0; i < 20; ++i) {  // what is being read or written at this moment stays
      ::posix_fadvise(get(), 0, 0, POSIX_FADV_DONTNEED);
      // Looking begins to read: so one look, in the middle, and away with it again.
      if (look(on_, get(), content_.size() / 2) == Residency::cold) {
        ::usleep(2000);
        ::posix_fadvise(get(), 0, 0, POSIX_FADV_DONTNEED);
        return true;
      }
      ::usleep(2000);
    }
    return false;
  }
  void make_hot() const {
    std::string buffer(content_.size(), '\0');
    static_cast<void>(::pread(get(), buffer.data(), buffer.size(), 0));
  }

 private:
  TempDir dir_;
  std::string content_;
  Descriptor file_;
  FileSystem on_;
};

}  // namespace tallygate::disk
