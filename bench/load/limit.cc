// The limit: how fast a server could be that does nothing but hand out files.
//
// One thread, epoll, a constant head, `sendfile`. Of a request it reads the path up to its query, a
// range, and whether the connection ends: no link is checked, nothing is counted, logged or timed,
// and a request that it does not like ends the connection. It stands for the cost of the kernel;
// for cold files it shows how bad a loop is that waits for the disk.
//
//   bench.load.limit ROOT      serves the files below ROOT on a port that it prints
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "server/net/descriptor.h"

namespace tallygate::load {
namespace {

constexpr std::size_t kRequestBytesMax = 8192;
constexpr std::size_t kQuantumBytes = 512U << 10;   // then it is another connection's turn
constexpr std::uint64_t kSmallBodyBytesMax = 8192;  // one send with the head beats sendfile

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + last_error().message());
}

struct File {
  Descriptor descriptor;
  std::uint64_t size = 0;
  std::string head;  // of the whole file
};

class Files {
 public:
  explicit Files(const std::filesystem::path& root) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
      if (!entry.is_regular_file()) continue;
      File& file = files_["/" + entry.path().lexically_relative(root).string()];
      file.descriptor = Descriptor(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
      if (!file.descriptor) fail(entry.path().string());
      file.size = entry.file_size();
      file.head = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: " +
                  std::to_string(file.size) + "\r\nAccept-Ranges: bytes\r\n\r\n";
    }
  }
  [[nodiscard]] const File* find(std::string_view path) const {
    const auto found = files_.find(path);
    return found == files_.end() ? nullptr : &found->second;
  }

 private:
  std::map<std::string, File, std::less<>> files_;
};

struct Connection {
  Descriptor socket;
  bool is_queued = false;
  bool closes = false;
  const File* file = nullptr;  // while a body is being sent
  ::off_t offset = 0;
  std::uint64_t left = 0;
  std::string partial;  // a request of which only a part has come
};

// What comes next for a connection after a step.
enum class Next : std::uint8_t { wait, again, close };

class Limit {
 public:
  explicit Limit(const std::filesystem::path& root)
      : files_(root),
        listener_(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    ::sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::socklen_t size = sizeof address;
    auto* const any = reinterpret_cast<::sockaddr*>(&address);
    if (::bind(listener_.get(), any, size) != 0 || ::listen(listener_.get(), 4096) != 0 ||
        ::getsockname(listener_.get(), any, &size) != 0) {
      fail("listen");
    }
    watch(listener_.get(), EPOLLIN);
    std::fprintf(stderr, "limit: serving on 127.0.0.1:%d\n", int{ntohs(address.sin_port)});
  }

  [[noreturn]] void run() {
    std::array<::epoll_event, 256> events{};
    for (;;) {
      const int ready =
          ::epoll_wait(epoll_.get(), events.data(), events.size(), queue_.empty() ? -1 : 0);
      for (int i = 0; i < ready; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        if (fd == listener_.get()) {
          accept_all();
        } else if (Connection& connection = *connections_[static_cast<std::size_t>(fd)];
                   !connection.is_queued) {
          connection.is_queued = true;
          queue_.push_back(fd);
        }
      }
      // Only those that wait now: new events are looked at between two rounds.
      for (std::size_t turns = queue_.size(); turns > 0; --turns) {
        const int fd = queue_.front();
        queue_.pop_front();
        auto& connection = connections_[static_cast<std::size_t>(fd)];
        connection->is_queued = false;
        const Next next = step(*connection);
        if (next == Next::again) {
          connection->is_queued = true;
          queue_.push_back(fd);
        } else if (next == Next::close) {
          connection.reset();
        }
      }
    }
  }

 private:
  void watch(int fd, std::uint32_t what) {
    ::epoll_event event{what, {.fd = fd}};
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
  }

  void accept_all() {
    for (;;) {
      const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      const int yes = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
      const auto index = static_cast<std::size_t>(fd);
      if (connections_.size() <= index) connections_.resize(index + 1);
      connections_[index] = std::make_unique<Connection>();
      connections_[index]->socket = Descriptor(fd);
      // Edge-triggered, both at once: no system call when a body has to wait.
      watch(fd, EPOLLIN | EPOLLOUT | EPOLLET);
    }
  }

  Next step(Connection& connection) {
    return connection.file != nullptr ? send_body(connection) : read_request(connection);
  }

  Next read_request(Connection& connection) {
    std::array<char, kRequestBytesMax> buffer;
    std::size_t size = connection.partial.copy(buffer.data(), buffer.size());
    const auto n =
        ::recv(connection.socket.get(), buffer.data() + size, buffer.size() - size, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return Next::wait;
    if (n <= 0) return Next::close;
    size += static_cast<std::size_t>(n);
    const std::string_view request(buffer.data(), size);
    if (!request.ends_with("\r\n\r\n")) {
      connection.partial = request;
      return size == buffer.size() ? Next::close : Next::again;
    }
    connection.partial.clear();
    return answer(connection, request);
  }

  Next answer(Connection& connection, std::string_view request) {
    const auto begin = request.find('/');
    const auto end = request.find_first_of("? ", begin);
    if (begin == request.npos || end == request.npos) return Next::close;
    const File* const file = files_.find(request.substr(begin, end - begin));
    if (file == nullptr) return Next::close;
    connection.closes = request.find("\r\nConnection: close\r\n", end) != request.npos;

    std::array<char, 512 + kSmallBodyBytesMax> out;
    std::size_t head_bytes = file->head.copy(out.data(), out.size());
    connection.offset = 0;
    connection.left = file->size;
    constexpr std::string_view kRange = "\r\nRange: bytes=";
    if (const auto range = request.find(kRange, end); range != request.npos) {
      std::uint64_t first = 0;
      std::uint64_t last = 0;
      const char* const limit = request.data() + request.size();
      const auto dash = std::from_chars(request.data() + range + kRange.size(), limit, first);
      std::from_chars(dash.ptr + 1, limit, last);
      if (first > last || last >= file->size) return Next::close;
      connection.offset = static_cast<::off_t>(first);
      connection.left = last - first + 1;
      head_bytes = static_cast<std::size_t>(std::snprintf(
          out.data(), out.size(),
          "HTTP/1.1 206 Partial Content\r\nContent-Type: application/octet-stream\r\n"
          "Content-Length: %llu\r\nContent-Range: bytes %llu-%llu/%llu\r\n\r\n",
          static_cast<unsigned long long>(connection.left), static_cast<unsigned long long>(first),
          static_cast<unsigned long long>(last), static_cast<unsigned long long>(file->size)));
    }
    if (connection.left <= kSmallBodyBytesMax) {
      const auto n = ::pread(file->descriptor.get(), out.data() + head_bytes, connection.left,
                             connection.offset);
      if (n != static_cast<ssize_t>(connection.left)) return Next::close;
      if (!send_all(connection, {out.data(), head_bytes + connection.left}, 0)) return Next::close;
      // Edge-triggered: what came meanwhile was announced already, and nobody sends ahead here.
      return connection.closes ? Next::close : Next::wait;
    }
    if (!send_all(connection, {out.data(), head_bytes}, MSG_MORE)) return Next::close;
    connection.file = file;
    return send_body(connection);
  }

  // The clients here send nothing before they have the answer, so the socket's buffer has room.
  static bool send_all(const Connection& connection, std::string_view bytes, int flags) {
    return ::send(connection.socket.get(), bytes.data(), bytes.size(), flags | MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }

  static Next send_body(Connection& connection) {
    const auto n = ::sendfile(connection.socket.get(), connection.file->descriptor.get(),
                              &connection.offset, std::min(connection.left, kQuantumBytes));
    if (n < 0 && errno == EAGAIN) return Next::wait;
    if (n <= 0) return Next::close;
    connection.left -= static_cast<std::uint64_t>(n);
    if (connection.left != 0) return Next::again;
    connection.file = nullptr;
    // The next request may have come while the body was going out.
    return connection.closes ? Next::close : Next::again;
  }

  const Files files_;
  const Descriptor listener_;
  const Descriptor epoll_;
  std::vector<std::unique_ptr<Connection>> connections_;  // by descriptor
  std::deque<int> queue_;
};

}  // namespace
}  // namespace tallygate::load

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: bench.load.limit ROOT\n");
    return 64;
  }
  std::signal(SIGPIPE, SIG_IGN);  // sendfile has no MSG_NOSIGNAL
  ::rlimit descriptors{};
  ::getrlimit(RLIMIT_NOFILE, &descriptors);
  descriptors.rlim_cur = descriptors.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &descriptors);
  try {
    tallygate::load::Limit(argv[1]).run();
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "limit: %s\n", failure.what());
    return 1;
  }
}
