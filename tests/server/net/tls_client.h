// A TLS client in the thread of the test: non-blocking, driven together with the server's session.
#pragma once
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "server/net/tls_contexts.h"
#include "server/net/tls_session.h"
#include "tests/support/certificate.h"
#include "tests/support/fake_clock.h"
#include "tests/support/tcp_pair.h"

namespace tallygate::net {

using Session = std::unique_ptr<SSL_SESSION, FreeWith<SSL_SESSION_free>>;

struct ClientOptions {
  std::string server_name = {};
  std::vector<std::string> protocols = {};  // ALPN
  int version = 0;                          // 0: the newest
  SSL_SESSION* resume = nullptr;
};

class TlsClient {
 public:
  explicit TlsClient(int socket, const ClientOptions& options = {})
      : context_(SSL_CTX_new(TLS_client_method())) {
    if (options.version != 0) {
      SSL_CTX_set_security_level(context_.get(), 0);  // or OpenSSL would not offer TLS 1.1
      SSL_CTX_set_min_proto_version(context_.get(), options.version);
      SSL_CTX_set_max_proto_version(context_.get(), options.version);
    }
    SSL_CTX_set_session_cache_mode(context_.get(),
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context_.get(), [](SSL* ssl, SSL_SESSION* session) {
      static_cast<TlsClient*>(SSL_get_app_data(ssl))->session_.reset(session);
      return 1;  // ours now
    });
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_app_data(ssl_.get(), this);
    SSL_set_fd(ssl_.get(), socket);
    if (!options.server_name.empty()) {
      // SSL_set_tlsext_host_name, whose macro has a cast of the old style.
      SSL_ctrl(ssl_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
               const_cast<char*>(options.server_name.c_str()));
    }
    std::string alpn;
    for (const auto& protocol : options.protocols) {
      alpn += static_cast<char>(protocol.size());
      alpn += protocol;
    }
    if (!alpn.empty()) {
      SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(alpn.data()),
                          static_cast<unsigned>(alpn.size()));
    }
    if (options.resume != nullptr) {
      // A copy, since a client uses a ticket of TLS 1.3 once.
      SSL_set_session(ssl_.get(), Session(SSL_SESSION_dup(options.resume)).get());
    }
    SSL_set_connect_state(ssl_.get());
  }

  // SSL_ERROR_NONE when it is done.
  int handshake() { return error_of(SSL_do_handshake(ssl_.get())); }
  // Everything that can be read now is appended to `into`. SSL_ERROR_WANT_READ unless it has ended.
  int read_all(std::string& into, std::size_t at_most = SIZE_MAX) {
    char block[16384];
    for (;;) {
      if (at_most == 0) return SSL_ERROR_WANT_READ;
      std::size_t n = 0;
      const int outcome = SSL_read_ex(ssl_.get(), block, std::min(at_most, sizeof block), &n);
      if (outcome != 1) return error_of(outcome);
      into.append(block, n);
      at_most -= n;
    }
  }
  bool write(const std::string& bytes) {
    std::size_t n = 0;
    return SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &n) == 1 && n == bytes.size();
  }
  void send_close_notify() { SSL_shutdown(ssl_.get()); }
  // For another connection to resume: only after the server's ticket has been read.
  Session take_session() {
    SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    if (!session_) session_.reset(SSL_get1_session(ssl_.get()));  // TLS 1.2, with a renewed ticket
    return std::move(session_);
  }
  [[nodiscard]] bool resumed() const { return SSL_session_reused(ssl_.get()) == 1; }
  [[nodiscard]] int version() const { return SSL_version(ssl_.get()); }
  [[nodiscard]] std::string certificate_name() const {
    const Certificate peer(SSL_get1_peer_certificate(ssl_.get()));
    char name[256] = "";
    if (peer) {
      X509_NAME_get_text_by_NID(X509_get_subject_name(peer.get()), NID_commonName, name,
                                sizeof name);
    }
    return name;
  }
  [[nodiscard]] std::string protocol() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }
  // Of the last failure: SSL_R_TLSV1_ALERT_PROTOCOL_VERSION and the like.
  [[nodiscard]] int reason() const { return reason_; }
  [[nodiscard]] SSL* native() { return ssl_.get(); }

 private:
  int error_of(int outcome) {
    const int error = SSL_get_error(ssl_.get(), outcome);
    if (error == SSL_ERROR_SSL) reason_ = ERR_GET_REASON(ERR_peek_last_error());
    ERR_clear_error();
    return error;
  }

  SslContext context_;
  Ssl ssl_;
  Session session_;
  int reason_ = 0;
};

// Both ends shake hands. False: one of them would not; then the client has heard why.
inline bool shake_hands(TlsSession& session, TlsClient& client) {
  for (int round = 0; round < 1000; ++round) {
    const int error = client.handshake();
    const auto status = session.handshake();
    if (status == TlsSession::Status::failed || status == TlsSession::Status::closed) {
      static_cast<void>(client.handshake());
      return false;
    }
    if (error == SSL_ERROR_NONE && status == TlsSession::Status::done) return true;
    if (error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL) return false;
    ::poll(nullptr, 0, round < 100 ? 0 : 1);
  }
  return false;
}

// One server: a certificate, keys for tickets, a worker's buffers.
struct TlsWorld {
  TlsWorld() {
    std::signal(SIGPIPE, SIG_IGN);  // as the server does
    CertificateOptions options;
    options.common_name = "default";
    options.names = {"dl.shop.example"};
    const auto site = make_certificate(folder, "default", options);
    settings.certificate = site.certificate;
    settings.key = site.key;
  }
  // As one worker has it.
  SslContext make_context() const {
    const auto certificates = load_certificates(settings);
    if (!certificates) throw std::runtime_error(certificates.error().front());
    auto context = make_tls_context(*certificates, tickets);
    if (!context) throw std::runtime_error(context.error());
    return std::move(*context);
  }

  TempDir folder;
  config::Settings::Tls settings;
  FakeClock clock;
  std::shared_ptr<TlsTicketKeys> tickets = std::make_shared<TlsTicketKeys>(clock);
  TlsBuffers buffers;
};

// A condition that comes when it comes, as acknowledgements do.
template <class Condition>
bool comes_true(const Condition& condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    ::poll(nullptr, 0, 1);
  }
  return true;
}

}  // namespace tallygate::net
