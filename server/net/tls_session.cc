#include "server/net/tls_session.h"

#include <linux/sock_diag.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "core/base/result.h"
#include "server/net/socket_queue.h"
#include "server/net/tls_bio.h"

namespace tallygate::net {
namespace {

// A record in the send queue, with the kernel's own memory for it.
constexpr std::size_t kQueuedRecordBytes = kTlsRecordBytes + 1024;
// A batch, and what a peer can make us answer (key updates) while it takes nothing in.
constexpr std::size_t kKeptBytesMax = TlsBuffers::kCipherBytes + 64 * 1024;

// One send(). Bytes taken, 0 if the socket is full; -1: the connection is gone.
ssize_t send_once(int socket, std::span<const char> bytes, bool more) {
  for (;;) {
    const ssize_t n = ::send(socket, bytes.data(), bytes.size(),
                             MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0));
    if (n >= 0) return n;
    if (errno == EAGAIN) return 0;
    if (errno != EINTR) return -1;
  }
}

// Old kernels cannot take new keys, so that a peer which asks for them has to connect again.
void note_key_update(int is_written, int /*version*/, int content_type, const void* message,
                     std::size_t size, SSL* /*ssl*/, void* seen) {
  if (is_written == 0 && content_type == SSL3_RT_HANDSHAKE && size != 0 &&
      *static_cast<const unsigned char*>(message) == SSL3_MT_KEY_UPDATE) {
    *static_cast<bool*>(seen) = true;
  }
}

}  // namespace

std::unique_ptr<TlsSession> TlsSession::open(SSL_CTX* context, int socket, TlsBuffers& buffers) {
  ERR_clear_error();
  Ssl ssl(SSL_new(context));
  Bio reader = make_tls_bio(socket, buffers);
  Bio writer(BIO_new_socket(socket, BIO_NOCLOSE));  // see tls_bio.h
  if (!ssl || !reader || !writer) return nullptr;
  SSL_set0_rbio(ssl.get(), reader.release());
  SSL_set0_wbio(ssl.get(), writer.release());
  return std::unique_ptr<TlsSession>(new TlsSession(std::move(ssl), socket, buffers));
}

TlsSession::TlsSession(Ssl ssl, int socket, TlsBuffers& buffers)
    : buffers_(buffers), socket_(socket), ssl_(std::move(ssl)) {}

TlsSession::~TlsSession() = default;

TlsSession::Status TlsSession::handshake() {
  if (over_) return end_;
  if (established_) return Status::done;
  ERR_clear_error();
  buffers_.start_receiving();
  const int outcome = SSL_accept(ssl_.get());
  if (outcome == 1) {
    finish_handshake();
    return Status::done;
  }
  const Status status = status_of(outcome);
  return status == Status::closed ? end(status) : status;
}

bool TlsSession::is_resumed() const {
  return SSL_session_reused(ssl_.get()) == 1;
}

void TlsSession::finish_handshake() {
  established_ = true;
  BIO* const writer = SSL_get_wbio(ssl_.get());
  if (BIO_get_ktls_send(writer)) {
    kernel_.emplace(socket_);
    SSL_set_msg_callback(ssl_.get(), note_key_update);
    SSL_set_msg_callback_arg(ssl_.get(), &key_update_seen_);
    return;
  }
  handed_bytes_ = BIO_number_written(writer);
  records_.append(handed_bytes_, 0);
  BIO* const batching = SSL_get_rbio(ssl_.get());
  BIO_up_ref(batching);
  SSL_set0_wbio(ssl_.get(), batching);
}

TlsSession::Progress TlsSession::read(std::span<char> into) {
  TALLYGATE_ASSERT(established_ && !into.empty());
  if (over_) return {end_, 0};
  ERR_clear_error();
  buffers_.start_receiving();
  std::size_t bytes = 0;
  const int outcome = SSL_read_ex(ssl_.get(), into.data(), into.size(), &bytes);
  const Status status = outcome == 1 ? Status::done : status_of(outcome);
  // An alert, or the answer to a key update. A peer that takes nothing in may still send.
  records_.append(buffers_.cipher().size(), 0);
  const Status pushed = push_out(false);
  if (pushed == Status::closed || pushed == Status::failed) return {pushed, 0};
  if (key_update_seen_) return {end(Status::failed), 0};
  return {status, bytes};
}

bool TlsSession::pending() const {
  return SSL_has_pending(ssl_.get()) == 1;
}

std::size_t TlsSession::room() const {
  std::array<std::uint32_t, SK_MEMINFO_VARS> memory{};
  socklen_t size = sizeof memory;
  if (::getsockopt(socket_, SOL_SOCKET, SO_MEMINFO, memory.data(), &size) != 0) {
    return kTlsRecordBytes;
  }
  const std::uint32_t queued = memory[SK_MEMINFO_WMEM_QUEUED];
  const std::uint32_t free =
      memory[SK_MEMINFO_SNDBUF] > queued ? memory[SK_MEMINFO_SNDBUF] - queued : 0;
  const std::size_t records = free / kQueuedRecordBytes;
  // Linux calls a TCP socket writable when half as much is free as is queued. A smaller buffer,
  // that it calls writable all the time, is offered a record that it does not take whole.
  if (records == 0 && free < queued / 2) return 0;
  return std::clamp<std::size_t>(records, 1, kTlsBatchRecords) * kTlsRecordBytes;
}

TlsSession::Progress TlsSession::write(std::span<const char> plain, bool more) {
  TALLYGATE_ASSERT(established_ && !close_notify_sent_);
  if (const Status status = flush(); status != Status::done) return {status, 0};
  if (kernel_) return send_plain(plain, more);
  const auto batch = plain.first(std::min(plain.size(), kTlsBatchBytes));
  if (const Status status = encrypt(batch); status != Status::done) return {status, 0};
  const Status pushed = push_out(more || batch.size() < plain.size());
  if (pushed == Status::closed || pushed == Status::failed) return {pushed, 0};
  return {Status::done, batch.size()};
}

// Record by record, so that it is known which ciphertext holds what.
TlsSession::Status TlsSession::encrypt(std::span<const char> plain) {
  ERR_clear_error();
  while (!plain.empty()) {
    const auto record = plain.first(std::min(plain.size(), kTlsRecordBytes));
    const std::size_t before = buffers_.cipher().size();
    std::size_t taken = 0;
    const int outcome = SSL_write_ex(ssl_.get(), record.data(), record.size(), &taken);
    if (outcome != 1) {
      // Writing never has to wait, unless the peer has begun a message of the protocol and not
      // ended it, as no client does.
      const Status status = status_of(outcome);
      buffers_.clear_cipher();
      return end(status == Status::closed ? status : Status::failed);
    }
    records_.append(buffers_.cipher().size() - before, taken);
    plain = plain.subspan(taken);
  }
  return Status::done;
}

TlsSession::Progress TlsSession::send_plain(std::span<const char> plain, bool more) {
  const ssize_t n = send_once(socket_, plain, more);
  if (n < 0) return {end(Status::closed), 0};
  const auto bytes = static_cast<std::size_t>(n);
  kernel_->wrote(bytes, more || bytes < plain.size());
  return {bytes == 0 && !plain.empty() ? Status::want_write : Status::done, bytes};
}

// What OpenSSL has written, behind what is kept. Leaves the worker's buffer empty.
TlsSession::Status TlsSession::push_out(bool more) {
  const auto cipher = buffers_.cipher();
  if (cipher.empty()) return Status::done;
  std::size_t sent = 0;
  Status status = Status::done;
  if (kept_bytes() == 0) {
    const ssize_t n = send_once(socket_, cipher, more);
    if (n < 0) status = end(Status::closed);
    sent = n < 0 ? cipher.size() : static_cast<std::size_t>(n);
    if (n > 0) handed_bytes_ += sent;
  } else if (kept_bytes() + cipher.size() > kKeptBytesMax) {
    status = end(Status::failed);
    sent = cipher.size();
  }
  if (sent < cipher.size()) {
    const auto rest = cipher.subspan(sent);
    kept_.insert(kept_.end(), rest.begin(), rest.end());
    status = Status::want_write;
  }
  buffers_.clear_cipher();
  TALLYGATE_ASSERT(over_ || handed_bytes_ + kept_bytes() == records_.cipher_end());
  return status;
}

TlsSession::Status TlsSession::flush() {
  if (over_) return end_;
  if (kept_.empty()) return Status::done;
  const ssize_t n = send_once(socket_, std::span<const char>(kept_).subspan(kept_sent_), false);
  if (n < 0) return end(Status::closed);
  kept_sent_ += static_cast<std::size_t>(n);
  handed_bytes_ += static_cast<std::size_t>(n);
  if (kept_bytes() != 0) return Status::want_write;
  kept_ = {};  // and its memory
  kept_sent_ = 0;
  return Status::done;
}

TlsSession::Status TlsSession::shut_down() {
  if (!close_notify_sent_ && established_ && !over_) {
    ERR_clear_error();
    const int outcome = SSL_shutdown(ssl_.get());
    if (outcome < 0 && SSL_get_error(ssl_.get(), outcome) == SSL_ERROR_WANT_WRITE) {
      return Status::want_write;  // kernel TLS with a full socket
    }
    close_notify_sent_ = true;
    records_.append(buffers_.cipher().size(), 0);
    static_cast<void>(push_out(false));
  }
  if (!over_ && flush() == Status::want_write) return Status::want_write;
  if (!fin_sent_) {
    fin_sent_ = true;
    if (::shutdown(socket_, SHUT_WR) != 0) return Status::closed;
    if (kernel_) kernel_->shut_down();
  }
  return over_ ? end_ : Status::done;
}

void TlsSession::wrote_directly(std::uint64_t plain_bytes, bool open) {
  TALLYGATE_ASSERT(kernel_);
  kernel_->wrote(plain_bytes, open);
}

std::uint64_t TlsSession::written() const {
  return kernel_ ? kernel_->written() : records_.plain_end();
}

std::uint64_t TlsSession::acknowledged() {
  if (kernel_) return kernel_->acknowledged();
  if (records_.plain_acknowledged() == records_.plain_end()) return records_.plain_end();
  const auto queued = queued_bytes(socket_);
  if (!queued) return records_.plain_acknowledged();
  const std::uint64_t fin = fin_sent_ ? 1 : 0;
  const std::uint64_t waiting = *queued - std::min(*queued, fin);
  return records_.acknowledge(handed_bytes_ - std::min(waiting, handed_bytes_));
}

TlsSession::Status TlsSession::status_of(int outcome) {
  switch (SSL_get_error(ssl_.get(), outcome)) {
    case SSL_ERROR_WANT_READ:
      return Status::want_read;
    case SSL_ERROR_WANT_WRITE:
      return Status::want_write;
    case SSL_ERROR_ZERO_RETURN:
      return Status::closed;
    case SSL_ERROR_SYSCALL:
      return end(Status::closed);
    default:
      return end(Status::failed);
  }
}

TlsSession::Status TlsSession::end(Status status) {
  over_ = true;
  end_ = status;
  return status;
}

}  // namespace tallygate::net
