// A file system in user space with one file, "file", that hangs on request: as a network file
// system does whose server is gone. Needs root and /dev/fuse.
#pragma once
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/net/descriptor.h"

namespace tallygate {

class FuseMount {
 public:
  // The folder exists and is empty.
  FuseMount(std::filesystem::path folder, std::string content)
      : folder_(std::move(folder)), content_(std::move(content)) {
    device_ = Descriptor(::open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK));
    if (!device_) return;
    const std::string options =
        "fd=" + std::to_string(device_.get()) + ",rootmode=40000,user_id=0,group_id=0";
    mounted_ = ::mount("test", folder_.c_str(), "fuse", MS_NOSUID | MS_NODEV, options.c_str()) == 0;
    if (mounted_) thread_ = std::thread([this] { serve(); });
  }
  ~FuseMount() {
    hangs_ = false;
    if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
    ended_ = true;
    if (thread_.joinable()) thread_.join();
  }
  FuseMount(const FuseMount&) = delete;
  FuseMount& operator=(const FuseMount&) = delete;

  [[nodiscard]] bool is_mounted() const { return mounted_; }
  // Takes requests and answers none, until told otherwise; whoever waits for one cannot be
  // interrupted.
  void hang(bool hangs = true) { hangs_ = hangs; }
  [[nodiscard]] std::size_t unanswered() const { return unanswered_; }

 private:
  static constexpr std::uint64_t kFile = 2;

  void serve() {
    std::vector<char> request(256 * 1024);
    std::deque<std::vector<char>> unanswered;
    while (!ended_) {
      for (; !hangs_ && !unanswered.empty(); unanswered.pop_front()) {
        unanswered_ = unanswered.size() - 1;
        answer(unanswered.front().data());
      }
      pollfd ready{device_.get(), POLLIN, 0};
      if (::poll(&ready, 1, 5) <= 0) continue;
      const ssize_t n = ::read(device_.get(), request.data(), request.size());
      if (n < 0 && errno == ENODEV) return;  // unmounted
      if (n < static_cast<ssize_t>(sizeof(fuse_in_header))) continue;
      unanswered.emplace_back(request.begin(), request.begin() + n);
      unanswered.back().push_back('\0');  // the end of a name
      unanswered_ = unanswered.size();
    }
  }

  void answer(const char* request) {
    fuse_in_header head;
    std::memcpy(&head, request, sizeof head);
    const char* const body = request + sizeof head;
    switch (head.opcode) {
      case FUSE_INIT: {
        fuse_init_out out{};
        out.major = FUSE_KERNEL_VERSION;
        out.minor = 31;
        out.max_write = 4096;
        return reply(head, out);
      }
      case FUSE_LOOKUP: {
        if (std::string_view(body) != "file") return fail(head, -ENOENT);
        fuse_entry_out out{};
        out.nodeid = kFile;
        out.attr = attributes(kFile);
        return reply(head, out);
      }
      case FUSE_GETATTR: {
        fuse_attr_out out{};
        out.attr = attributes(head.nodeid);
        return reply(head, out);
      }
      case FUSE_OPEN:
      case FUSE_OPENDIR:
        return reply(head, fuse_open_out{});
      case FUSE_READ: {
        fuse_read_in in;
        std::memcpy(&in, body, sizeof in);
        const std::size_t from = std::min<std::size_t>(in.offset, content_.size());
        return reply(head, content_.data() + from,
                     std::min<std::size_t>(in.size, content_.size() - from));
      }
      case FUSE_STATFS:
        return reply(head, fuse_statfs_out{});
      case FUSE_RELEASE:
      case FUSE_RELEASEDIR:
      case FUSE_FLUSH:
        return fail(head, 0);
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET:
      case FUSE_INTERRUPT:
        return;  // these want no answer
      default:
        return fail(head, -ENOSYS);
    }
  }

  [[nodiscard]] fuse_attr attributes(std::uint64_t node) const {
    fuse_attr attr{};
    attr.ino = node;
    attr.nlink = 1;
    attr.mode = node == kFile ? S_IFREG | 0444 : S_IFDIR | 0755;
    attr.size = node == kFile ? content_.size() : 0;
    attr.blksize = 4096;
    return attr;
  }

  template <class T>
  void reply(const fuse_in_header& head, const T& out) {
    reply(head, reinterpret_cast<const char*>(&out), sizeof out);
  }
  void reply(const fuse_in_header& head, const char* bytes, std::size_t size) {
    send({static_cast<std::uint32_t>(sizeof(fuse_out_header) + size), 0, head.unique}, bytes, size);
  }
  void fail(const fuse_in_header& head, int error) {
    send({sizeof(fuse_out_header), error, head.unique}, nullptr, 0);
  }
  void send(const fuse_out_header& head, const char* bytes, std::size_t size) {
    std::vector<char> out(sizeof head + size);
    std::memcpy(out.data(), &head, sizeof head);
    if (size != 0) std::memcpy(out.data() + sizeof head, bytes, size);
    static_cast<void>(!::write(device_.get(), out.data(), out.size()));
  }

  const std::filesystem::path folder_;
  const std::string content_;
  Descriptor device_;
  bool mounted_ = false;
  std::atomic<bool> hangs_{false};
  std::atomic<bool> ended_{false};
  std::atomic<std::size_t> unanswered_{0};
  std::thread thread_;
};

}  // namespace tallygate
