#include "bench/load/connection.h"

#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>

namespace tallygate::load {
namespace {

// Large bodies are dropped in the kernel and never touch it.
constexpr std::size_t kScratchBytes = 4U << 20;
// Before the head is known, or with TLS, bytes are really copied.
constexpr std::size_t kReadBytes = 64U << 10;
constexpr std::size_t kHeadBytesMax = 16U << 10;
// Several records for each system call, or the client would be the slower side.
constexpr std::size_t kTlsReadAheadBytes = 256U << 10;

constexpr int kSlowSegmentBytes = 1448;
constexpr int kSlowReceiveBytes = 16 << 10;

char* scratch() {
  static const std::unique_ptr<char[]> buffer(new char[kScratchBytes]);
  return buffer.get();
}

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what);
}

void set(int socket, int level, int option, int value) {
  if (::setsockopt(socket, level, option, &value, sizeof value) != 0) {
    fail("setsockopt: " + last_error().message());
  }
}

void check_head(std::string_view head, const Request& request) {
  const auto has = [head](const std::string& line) { return head.find(line) != head.npos; };
  const std::string_view status = request.partial ? "HTTP/1.1 206 " : "HTTP/1.1 200 ";
  bool right = head.starts_with(status) &&
               has("\r\nContent-Length: " + std::to_string(request.body_bytes) + "\r\n");
  if (right && request.partial) {
    right = has("\r\nContent-Range: bytes " + std::to_string(request.first_byte) + "-" +
                std::to_string(request.first_byte + request.body_bytes - 1) + "/");
  }
  if (!right) fail("a wrong answer:\n" + std::string(head) + "to\n" + std::string(request.text));
}

}  // namespace

// -- TLS ----------------------------------------------------------------------------------------

TlsClient::TlsClient(bool resume) : context_(SSL_CTX_new(TLS_client_method())), resume_(resume) {
  if (context_ == nullptr || SSL_CTX_set_min_proto_version(context_, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_ciphersuites(context_, "TLS_AES_128_GCM_SHA256") != 1) {
    fail("no TLS 1.3");
  }
  SSL_CTX_set_verify(context_, SSL_VERIFY_NONE, nullptr);  // a certificate made for the run
  SSL_CTX_set_read_ahead(context_, 1);
  SSL_CTX_set_default_read_buffer_len(context_, kTlsReadAheadBytes);
  SSL_CTX_set_options(context_, SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_app_data(context_, this);
  if (resume) {
    SSL_CTX_set_session_cache_mode(context_,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(context_, keep_ticket);
  }
}

TlsClient::~TlsClient() {
  SSL_SESSION_free(ticket_);
  SSL_CTX_free(context_);
}

int TlsClient::keep_ticket(SSL* ssl, SSL_SESSION* session) {
  auto& self = *static_cast<TlsClient*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  SSL_SESSION_free(self.ticket_);
  self.ticket_ = session;
  return 1;  // it is ours now
}

SSL* TlsClient::open(int socket) {
  std::string name = "localhost";
  SSL* const ssl = SSL_new(context_);
  if (ssl == nullptr || SSL_set_fd(ssl, socket) != 1 ||
      SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data()) != 1 ||
      (resume_ && ticket_ != nullptr && SSL_set_session(ssl, ticket_) != 1)) {
    fail("no TLS session");
  }
  SSL_set_connect_state(ssl);
  return ssl;
}

void Connection::FreeSsl::operator()(SSL* ssl) const {
  // Without this OpenSSL takes the session for a broken one and does not resume it.
  SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_free(ssl);
}

Connection::Event Connection::shake_hands() {
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) {
    established_ = true;
    return Event::established;
  }
  if (SSL_get_error(ssl_.get(), result) != SSL_ERROR_WANT_READ) {
    const auto code = ERR_get_error();
    fail("the TLS handshake failed: " +
         (code == 0 ? last_error().message() : std::string(ERR_error_string(code, nullptr))));
  }
  return Event::nothing;
}

// -- connecting and sending ---------------------------------------------------------------------

void Connection::open(const Endpoint& endpoint) {
  close();
  socket_ = Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket_) fail("socket: " + last_error().message());
  const int socket = socket_.get();
  set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  if (endpoint.slow) {
    set(socket, IPPROTO_TCP, TCP_MAXSEG, kSlowSegmentBytes);
    set(socket, SOL_SOCKET, SO_RCVBUF, kSlowReceiveBytes);
  }
  // On the loopback this does not block while the server's backlog has room.
  if (::connect(socket, reinterpret_cast<const ::sockaddr*>(&endpoint.address),
                sizeof endpoint.address) != 0) {
    fail("connect: " + last_error().message());
  }
  established_ = endpoint.tls == nullptr;
  if (endpoint.tls != nullptr) {
    int yes = 1;
    ::ioctl(socket, FIONBIO, &yes);
    ssl_.reset(endpoint.tls->open(socket));
    static_cast<void>(shake_hands());
  }
}

void Connection::close() {
  ssl_.reset();
  socket_ = Descriptor();
  established_ = false;
  request_ = nullptr;
  in_body_ = false;
  head_.clear();
}

void Connection::send(std::string_view text) {
  // A request always fits: the socket's buffer is empty whenever one is sent.
  const auto n = ssl_ ? SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()))
                      : ::send(socket(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n != static_cast<ssize_t>(text.size())) fail("send: " + last_error().message());
}

void Connection::ask(const Request& request, Clock::time_point since) {
  since_ = since;
  request_ = &request;
  in_body_ = false;
  send(request.text);
}

// -- receiving ----------------------------------------------------------------------------------

std::int64_t Connection::receive() {
  if (ssl_) {
    const int n = SSL_read(ssl_.get(), scratch(), kReadBytes);
    if (n > 0) return n;
    switch (SSL_get_error(ssl_.get(), n)) {
      case SSL_ERROR_WANT_READ:
        return -1;
      case SSL_ERROR_ZERO_RETURN:
        return 0;
      default:
        fail("SSL_read: " + last_error().message());
    }
  }
  // What is wanted of a body is only its length: MSG_TRUNC drops it without a copy.
  const auto n = in_body_ ? ::recv(socket(), scratch(), kScratchBytes, MSG_TRUNC | MSG_DONTWAIT)
                          : ::recv(socket(), scratch(), kReadBytes, MSG_DONTWAIT);
  if (n < 0 && errno != EAGAIN && errno != EINTR) fail("recv: " + last_error().message());
  return n;
}

Connection::Event Connection::take(std::string_view received, std::uint64_t& body_bytes) {
  if (request_ == nullptr) fail("bytes that nobody asked for");
  std::uint64_t of_body = received.size();
  const bool had_head = in_body_;
  if (!in_body_) {
    const bool is_begun = !head_.empty();
    if (is_begun) received = head_.append(received);
    const auto end = received.find("\r\n\r\n");
    if (end == received.npos) {
      if (received.size() > kHeadBytesMax) fail("a head without an end");
      if (!is_begun) head_ = received;
      return Event::nothing;
    }
    check_head(received.substr(0, end + 4), *request_);
    of_body = received.size() - end - 4;
    head_.clear();
    in_body_ = true;
    body_left_ = request_->body_bytes;
  }
  if (of_body > body_left_) fail("more bytes than were asked for");
  body_left_ -= of_body;
  body_bytes += of_body;
  if (body_left_ != 0) return had_head ? Event::nothing : Event::head;
  request_ = nullptr;
  in_body_ = false;
  return Event::answered;
}

Connection::Event Connection::advance(std::uint64_t& body_bytes) {
  if (!established_) return shake_hands();
  Event event = Event::nothing;
  do {
    const std::int64_t n = receive();
    if (n < 0) return event;
    if (n == 0) {
      if (request_ != nullptr) fail("the server has closed a connection within an answer");
      return Event::closed;
    }
    const Event next = take({scratch(), static_cast<std::size_t>(n)}, body_bytes);
    if (next != Event::nothing) event = next;
    // Records that were read ahead wake nobody.
  } while (ssl_ && event != Event::answered && SSL_has_pending(ssl_.get()) == 1);
  return event;
}

std::uint64_t Connection::unread_bytes() const {
  int bytes = 0;
  if (!in_body_ || ::ioctl(socket(), FIONREAD, &bytes) != 0) return 0;
  return std::min(body_left_, static_cast<std::uint64_t>(bytes));
}

}  // namespace tallygate::load
