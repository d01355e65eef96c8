#include "server/net/channel.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

namespace tallygate::net {
namespace {

using End = Attempt::End;

// Tries again what a signal has interrupted.
template <class Call>
ssize_t uninterrupted(Call call) {
  ssize_t n = 0;
  do {
    n = call();
  } while (n < 0 && errno == EINTR);
  return n;
}

Attempt attempt_of(TlsSession::Status status, std::size_t bytes) {
  switch (status) {
    case TlsSession::Status::done:
      return {bytes, End::none, 0};
    case TlsSession::Status::want_read:
    case TlsSession::Status::want_write:
      return {bytes, End::blocked, 0};
    case TlsSession::Status::closed:
      return {bytes, End::closed, ECONNRESET};
    default:
      return {bytes, End::failed, EPROTO};
  }
}

}  // namespace

Channel::Channel(Socket socket, SSL_CTX* tls, TlsBuffers& buffers)
    : socket_(std::move(socket)),
      buffers_(buffers),
      is_tls_(tls != nullptr),
      tls_(tls != nullptr ? TlsSession::open(tls, socket_.native_handle(), buffers) : nullptr),
      position_(socket_.native_handle()) {
  error_code ec;
  socket_.native_non_blocking(true, ec);
  socket_.set_option(asio::ip::tcp::no_delay(true), ec);
}

TlsSession::Status Channel::handshake() {
  return tls_ ? tls_->handshake() : TlsSession::Status::failed;  // there was no memory for it
}

Attempt Channel::peek(std::span<char> into) {
  const ssize_t n = uninterrupted(
      [&] { return ::recv(descriptor(), into.data(), into.size(), MSG_PEEK | MSG_DONTWAIT); });
  if (n > 0) return {static_cast<std::size_t>(n), End::none, 0};
  if (n == 0) return {0, End::closed, 0};
  if (errno == EAGAIN || errno == EWOULDBLOCK) return {0, End::blocked, 0};
  return {0, End::failed, errno};
}

bool Channel::take(std::span<char> seen) {
  const ssize_t n =
      uninterrupted([&] { return ::recv(descriptor(), seen.data(), seen.size(), MSG_DONTWAIT); });
  return n == static_cast<ssize_t>(seen.size());
}

Attempt Channel::receive(std::span<char> into) {
  const auto [status, bytes] = tls_->read(into);
  return attempt_of(status, bytes);
}

// What a system call that writes plaintext to the socket returned.
Attempt Channel::wrote(ssize_t n, std::size_t of, bool more) {
  if (n > 0) {
    const auto bytes = static_cast<std::size_t>(n);
    if (tls_) {
      tls_->wrote_directly(bytes, more || bytes < of);
    } else {
      position_.wrote(bytes);
    }
    return {bytes, bytes < of ? End::blocked : End::none, 0};
  }
  if (n == 0) return {0, End::closed, 0};
  if (errno == EAGAIN || errno == EWOULDBLOCK) return {0, End::blocked, 0};
  return {0, errno == EPIPE || errno == ECONNRESET ? End::closed : End::failed, errno};
}

Attempt Channel::encrypt(std::span<const char> plain, bool more) {
  const auto [status, bytes] = tls_->write(plain, more);
  // What the socket did not take of it is kept: nothing more before that has left.
  return attempt_of(status == TlsSession::Status::done && tls_->kept_bytes() != 0
                        ? TlsSession::Status::want_write
                        : status,
                    bytes);
}

Attempt Channel::send(std::string_view bytes, bool more) {
  if (encrypts()) return encrypt({bytes.data(), bytes.size()}, more);
  const int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0);
  const ssize_t n =
      uninterrupted([&] { return ::send(descriptor(), bytes.data(), bytes.size(), flags); });
  return wrote(n, bytes.size(), more);
}

Attempt Channel::send_file(int file, std::uint64_t offset, std::size_t bytes) {
  auto from = static_cast<off_t>(offset);
  if (encrypts()) {
    const auto plain = buffers_.plain();
    const std::size_t wanted = std::min({bytes, plain.size(), tls_->room()});
    if (wanted == 0) return {0, End::blocked, 0};
    const ssize_t n = uninterrupted([&] { return ::pread(file, plain.data(), wanted, from); });
    if (n <= 0) return {0, n == 0 ? End::closed : End::failed, n == 0 ? 0 : errno};
    return encrypt(plain.first(static_cast<std::size_t>(n)), false);
  }
  const ssize_t n = uninterrupted([&] { return ::sendfile(descriptor(), file, &from, bytes); });
  return wrote(n, bytes, false);
}

Attempt Channel::send_pipe(int pipe, std::size_t bytes) {
  if (encrypts()) {
    const auto plain = buffers_.plain();
    const std::size_t wanted = std::min({bytes, plain.size(), tls_->room()});
    if (wanted == 0) return {0, End::blocked, 0};
    const ssize_t n = uninterrupted([&] { return ::read(pipe, plain.data(), wanted); });
    if (n <= 0) return {0, End::failed, n == 0 ? EIO : errno};
    return encrypt(plain.first(static_cast<std::size_t>(n)), false);
  }
  const ssize_t n = uninterrupted([&] {
    return ::splice(pipe, nullptr, descriptor(), nullptr, bytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  });
  return wrote(n, bytes, false);
}

Attempt Channel::flush() {
  return tls_ ? attempt_of(tls_->flush(), 0) : Attempt{};
}

void Channel::set_corked(bool corked) {
  if (encrypts()) return;  // a batch is many segments; nothing was gained
  const int value = corked ? 1 : 0;
  ::setsockopt(descriptor(), IPPROTO_TCP, TCP_CORK, &value, sizeof value);
}

void Channel::set_pace(std::uint64_t bytes_per_second) {
  const std::uint64_t rate =
      bytes_per_second == 0 ? std::numeric_limits<std::uint64_t>::max() : bytes_per_second;
  // tcp(7), socket(7): paced by the kernel, without timers of ours and without an fq discipline.
  ::setsockopt(descriptor(), SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof rate);
}

bool Channel::shut_down() {
  if (tls_) return tls_->shut_down() != TlsSession::Status::want_write;
  error_code ec;
  socket_.shutdown(Socket::shutdown_send, ec);
  if (!ec) position_.shut_down();
  return true;
}

void Channel::reset_when_closed() {
  const struct ::linger at_once { 1, 0 };
  ::setsockopt(descriptor(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

bool Channel::is_reset() {
  tcp_info info{};
  socklen_t size = sizeof info;
  return ::getsockopt(descriptor(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ||
         info.tcpi_state == TCP_CLOSE;
}

}  // namespace tallygate::net
