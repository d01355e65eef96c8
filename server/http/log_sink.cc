#include "server/http/log_sink.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <ctime>
#include <thread>
#include <utility>

namespace tallygate::http {
namespace {

// How soon a sink that failed is tried again.
constexpr std::chrono::milliseconds kRetry{100};

using boost::system::error_code;

error_code failure(int number) {
  return {number, boost::system::system_category()};
}

class StreamSink final : public LogSink {
 public:
  explicit StreamSink(Descriptor fd) : fd_(std::move(fd)) {
    struct stat status {};
    is_file_ = ::fstat(fd_.get(), &status) == 0 && S_ISREG(status.st_mode);
  }

  Result<std::size_t> write(std::string_view bytes, std::size_t) override {
    failed_ = false;
    if (!is_file_) {
      pollfd room{fd_.get(), POLLOUT, 0};
      if (::poll(&room, 1, 0) <= 0) return failure(EAGAIN);
      // That is room for PIPE_BUF bytes; it may be a pipe that blocks beyond, and not ours alone to
      // change that.
      bytes = bytes.substr(0, PIPE_BUF);
    }
    for (;;) {
      const ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
      if (n > 0) return static_cast<std::size_t>(n);
      if (n < 0 && errno == EINTR) continue;
      failed_ = n == 0 || errno != EAGAIN;
      return n == 0 ? failure(EIO) : last_error();
    }
  }

  void wait(std::chrono::milliseconds at_most) override {
    if (failed_ || is_file_) {
      std::this_thread::sleep_for(std::min(at_most, kRetry));
      return;
    }
    pollfd room{fd_.get(), POLLOUT, 0};
    ::poll(&room, 1, static_cast<int>(at_most.count()));
  }

 private:
  const Descriptor fd_;
  bool is_file_ = false;
  bool failed_ = false;  // the last time, and not for want of room
};

// A datagram for each entry, to a socket that may go and come back.
class DatagramSink : public LogSink {
 public:
  explicit DatagramSink(std::string path) : path_(std::move(path)) {}

  Result<std::size_t> write(std::string_view bytes, std::size_t entry) override {
    if (!fd_) {
      if (const error_code ec = connect()) return ec;
    }
    const std::string_view datagram = dress(bytes.substr(0, entry));
    for (;;) {
      const ssize_t n =
          ::send(fd_.get(), datagram.data(), datagram.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n >= 0) return entry;
      if (errno == EINTR) continue;
      const error_code ec = last_error();
      // Whoever listened may be gone; another may be there the next time.
      if (errno != EAGAIN && errno != EMSGSIZE && errno != ENOBUFS) fd_ = {};
      return ec;
    }
  }

  void wait(std::chrono::milliseconds at_most) override {
    if (!fd_) {
      std::this_thread::sleep_for(std::min(at_most, kRetry));
      return;
    }
    pollfd room{fd_.get(), POLLOUT, 0};
    ::poll(&room, 1, static_cast<int>(at_most.count()));
  }

 protected:
  // What is sent for an entry; good until the next call.
  virtual std::string_view dress(std::string_view entry) { return entry; }

 private:
  error_code connect() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path_.size() >= sizeof address.sun_path) {
      return failure(ENAMETOOLONG);
    }
    path_.copy(address.sun_path, path_.size());
    Descriptor fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return last_error();
    // Room for one entry of the longest values that there can be.
    constexpr int kSendBufferBytes = 1 << 20;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof kSendBufferBytes);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      return last_error();
    }
    fd_ = std::move(fd);
    return {};
  }

  const std::string path_;
  Descriptor fd_;
};

// As syslog(3) writes it: "<30>Jan  1 00:00:00 tallygate[123]: line", local time.
class SyslogSink final : public DatagramSink {
 public:
  using DatagramSink::DatagramSink;

 protected:
  std::string_view dress(std::string_view entry) override {
    constexpr int kDaemonInfo = 3 * 8 + 6;
    if (entry.ends_with('\n')) entry.remove_suffix(1);
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    ::localtime_r(&now, &local);
    static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    datagram_ = fmt::format("<{}>{} {:2} {:02}:{:02}:{:02} tallygate[{}]: {}", kDaemonInfo,
                            kMonths[local.tm_mon], local.tm_mday, local.tm_hour, local.tm_min,
                            local.tm_sec, ::getpid(), entry);
    return datagram_;
  }

 private:
  std::string datagram_;
};

}  // namespace

Result<std::unique_ptr<LogSink>> open_stdout_sink() {
  Descriptor fd(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
  if (!fd) return last_error();
  return std::unique_ptr<LogSink>(std::make_unique<StreamSink>(std::move(fd)));
}

Result<std::unique_ptr<LogSink>> open_file_sink(const std::string& path) {
  // O_NONBLOCK: opening a FIFO that nobody reads is an error, not a wait.
  constexpr int kFlags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  Descriptor fd(::open(path.c_str(), kFlags, 0640));
  if (!fd) return last_error();
  return std::unique_ptr<LogSink>(std::make_unique<StreamSink>(std::move(fd)));
}

std::unique_ptr<LogSink> open_syslog_sink(std::string path) {
  return std::make_unique<SyslogSink>(std::move(path));
}

std::unique_ptr<LogSink> open_journal_sink(std::string path) {
  return std::make_unique<DatagramSink>(std::move(path));
}

}  // namespace tallygate::http
