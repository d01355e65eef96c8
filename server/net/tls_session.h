// The server's side of one TLS connection over a non-blocking TCP socket.
//
// No call waits: each does what it can do now and says what it waits for; who waits, and how long,
// is the connection's business. For the worker's thread only. Errors of the protocol are answered
// with an alert by OpenSSL; a session that has failed or closed is good for nothing but
// acknowledged(), shut_down() and its destructor.
//
//   handshake() until done; then read() and write(); shut_down() until done at the end.
#pragma once
#include <openssl/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "server/net/kernel_tls_position.h"
#include "server/net/tls_buffers.h"
#include "server/net/tls_handles.h"
#include "server/net/tls_record_map.h"

namespace tallygate::net {

class TlsSession {
 public:
  enum class Status : std::uint8_t {
    done,
    want_read,   // call again when the socket is readable; it may be so already
    want_write,  // call again when the socket is writable
    closed,      // the peer has gone, with or without a close_notify
    failed,      // it broke the protocol, or we ran out of memory
  };
  struct Progress {
    Status status;
    std::size_t bytes;
  };

  // `context`: of this worker (make_tls_context); the session takes a reference, so the worker may
  // drop it meanwhile. `buffers`: the worker's; must outlive the session, used only within a call.
  // `socket`: non-blocking, connected, borrowed; the client's side of TLS is what comes in next,
  // and nothing has been written to it. Null: out of memory.
  [[nodiscard]] static std::unique_ptr<TlsSession> open(SSL_CTX* context, int socket,
                                                        TlsBuffers& buffers);
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;
  ~TlsSession();

  // A full one costs a fifth to half a millisecond of CPU time, with a P-256 or RSA key.
  [[nodiscard]] Status handshake();
  // Known when it is done: it was a short one, with a ticket from an earlier session.
  [[nodiscard]] bool is_resumed() const;

  // Decrypted bytes, of one record at most; done with at least one byte. Read until want_read
  // before waiting for the socket: several records may have come with one recv(). After closed a
  // peer that has only closed its own direction may still be written to.
  [[nodiscard]] Progress read(std::span<char> into);
  // Something waits in OpenSSL, perhaps not a whole record: read() before waiting for the socket.
  [[nodiscard]] bool pending() const;

  // How much plaintext to prepare for the next write() so that the socket will take it: whole
  // records, at most kTlsBatchBytes. 0: wait until the socket is writable, as it is not now. What
  // it does not take would have to be kept here, for as long as a slow client likes. One system
  // call.
  [[nodiscard]] std::size_t room() const;

  // Encrypts up to kTlsBatchBytes and sends them with one send(). done: `bytes` of the plaintext
  // were taken and will leave in order, whatever happens to `plain`. What the socket does not take
  // of them is kept here, and until it has left nothing more is taken: want_write, with 0 bytes.
  // `more`: further plaintext follows at once (MSG_MORE).
  [[nodiscard]] Progress write(std::span<const char> plain, bool more);
  // Sends what is kept. done: nothing is, any more.
  [[nodiscard]] Status flush();
  [[nodiscard]] std::size_t kept_bytes() const { return kept_.size() - kept_sent_; }

  // Sends close_notify behind all that was written, then shuts the socket down for writing. done:
  // the kernel has it all; acknowledged() goes on.
  [[nodiscard]] Status shut_down();

  // The kernel encrypts: plaintext may be written to the socket directly, with send(), sendfile()
  // or splice(); say so with wrote_directly(). Known when the handshake is done.
  [[nodiscard]] bool has_kernel_tls() const { return kernel_.has_value(); }
  // `open`: see KernelTlsPosition::wrote.
  void wrote_directly(std::uint64_t plain_bytes, bool open);

  // Plaintext that was taken so far.
  [[nodiscard]] std::uint64_t written() const;
  // Plaintext whose records the peer's TCP has acknowledged in full; with kernel TLS a lower bound
  // until all is. Never falls. One system call unless all was acknowledged before.
  std::uint64_t acknowledged();

  // For logs and tests: the OpenSSL object. Borrowed.
  [[nodiscard]] SSL* native() { return ssl_.get(); }

 private:
  TlsSession(Ssl ssl, int socket, TlsBuffers& buffers);

  void finish_handshake();
  [[nodiscard]] Status encrypt(std::span<const char> plain);
  [[nodiscard]] Progress send_plain(std::span<const char> plain, bool more);
  [[nodiscard]] Status push_out(bool more);
  [[nodiscard]] Status status_of(int outcome);
  [[nodiscard]] Status end(Status status);

  TlsBuffers& buffers_;
  const int socket_;
  Ssl ssl_;
  bool established_ = false;
  bool over_ = false;  // OpenSSL must not be asked any more
  Status end_ = Status::failed;
  bool key_update_seen_ = false;  // with kernel TLS only
  bool close_notify_sent_ = false;
  bool fin_sent_ = false;

  std::vector<char> kept_;  // ciphertext; from kept_sent_ on it has yet to leave
  std::size_t kept_sent_ = 0;
  std::uint64_t handed_bytes_ = 0;  // ciphertext that the kernel has taken
  TlsRecordMap records_;
  std::optional<KernelTlsPosition> kernel_;
};

}  // namespace tallygate::net
