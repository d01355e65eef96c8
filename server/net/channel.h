// The byte stream of one connection, TCP or TLS over it: what it takes, what it gives, how far it
// has got.
//
// Attempts only: each call does what can be done at this moment, and nothing waits. Worker's thread
// only. Offsets count the bytes of the stream that we write, from its first one; with TLS these are
// the bytes of plaintext.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "server/net/executor.h"
#include "server/net/stream_position.h"
#include "server/net/tls_buffers.h"
#include "server/net/tls_session.h"

namespace tallygate::net {

// What an attempt came to.
struct Attempt {
  enum class End : std::uint8_t {
    none,     // all of it; there may be more to do at once
    blocked,  // the socket takes, or has, no more now; `bytes` may be some all the same
    closed,   // the peer's end of the stream; when writing: it is gone
    failed,   // `error` says how
  };
  std::size_t bytes = 0;
  End end = End::none;
  int error = 0;  // errno
};

class Channel {
 public:
  // Sockets are made non-blocking, and small writes leave at once (TCP_NODELAY). With a context it
  // speaks TLS, and handshake() comes first; `buffers` are the worker's.
  Channel(Socket socket, SSL_CTX* tls, TlsBuffers& buffers);

  // To wait on, and to cancel waiting.
  [[nodiscard]] Socket& socket() { return socket_; }
  [[nodiscard]] bool is_tls() const { return is_tls_; }
  // One step; to be repeated when the socket is ready for what it wants.
  [[nodiscard]] TlsSession::Status handshake();
  // After it: the client came back with a ticket.
  [[nodiscard]] bool is_resumed() const { return tls_ && tls_->is_resumed(); }

  // Before all else, TLS too. What has come in stays where it is until it is taken.
  [[nodiscard]] Attempt peek(std::span<char> into);
  // Takes bytes away that peek() has put there. False: the connection is gone.
  [[nodiscard]] bool take(std::span<char> seen);

  // TLS only; of a plain channel read the socket.
  [[nodiscard]] Attempt receive(std::span<char> into);
  // `more`: something follows at once (MSG_MORE).
  [[nodiscard]] Attempt send(std::string_view bytes, bool more);
  // At most `bytes` of a file from `offset`, by sendfile: may block on the disk unless they are in
  // memory. End::closed: the file is shorter.
  [[nodiscard]] Attempt send_file(int file, std::uint64_t offset, std::size_t bytes);
  // What a pipe holds.
  [[nodiscard]] Attempt send_pipe(int pipe, std::size_t bytes);
  // How much of a file to send at a time: a worker is back in its loop within a fraction of a
  // millisecond.
  [[nodiscard]] std::size_t quantum() const { return encrypts() ? kTlsBatchBytes : 1024 * 1024; }

  // Something that was taken has not been handed to the kernel: flush() when the socket is
  // writable, before waiting for anything else.
  [[nodiscard]] bool has_kept() const { return tls_ && tls_->kept_bytes() != 0; }
  [[nodiscard]] Attempt flush();

  // While it is corked, only full segments leave (tcp(7), TCP_CORK), as long as they come within
  // 200 ms: for a body in many pieces, which wakes the peer less often then. The end is sent at
  // once when the cork is drawn.
  void set_corked(bool corked);
  // Bytes per second from here on, kept by the kernel (SO_MAX_PACING_RATE); 0: as fast as it goes.
  void set_pace(std::uint64_t bytes_per_second);
  // No more will be written. False: not yet, again when the socket is writable.
  [[nodiscard]] bool shut_down();
  // What is not acknowledged when the socket is closed never arrives (RST).
  void reset_when_closed();

  [[nodiscard]] std::uint64_t written() const {
    return tls_ ? tls_->written() : position_.written();
  }
  // What the peer's TCP has acknowledged; with TLS, in whole records. Never falls. A system call
  // unless that is all of it.
  [[nodiscard]] std::uint64_t acknowledged() {
    return tls_ ? tls_->acknowledged() : position_.acknowledged();
  }
  // The peer has reset the connection, for when nobody reads from it.
  [[nodiscard]] bool is_reset();

 private:
  [[nodiscard]] int descriptor() { return socket_.native_handle(); }
  // We do; with kernel TLS, plaintext goes into the socket.
  [[nodiscard]] bool encrypts() const { return tls_ && !tls_->has_kernel_tls(); }
  [[nodiscard]] Attempt encrypt(std::span<const char> plain, bool more);
  [[nodiscard]] Attempt wrote(ssize_t n, std::size_t of, bool more);

  Socket socket_;
  TlsBuffers& buffers_;
  const bool is_tls_;
  const std::unique_ptr<TlsSession> tls_;
  StreamPosition position_;  // of a plain one
};

}  // namespace tallygate::net
