// One connection of the load client: plain or TLS, one request outstanding at a time.
//
// Whatever is not as it should be throws std::runtime_error: a server that answers wrongly, too
// short or not at all looks fast, so its first mistake ends the run.
#pragma once
#include <netinet/in.h>
#include <openssl/ssl.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/load/requests.h"
#include "server/net/descriptor.h"

namespace tallygate::load {

using Clock = std::chrono::steady_clock;

// The client's side of TLS 1.3, with one cipher for all servers: which one a server prefers is not
// what is compared.
class TlsClient {
 public:
  explicit TlsClient(bool resume);
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;
  ~TlsClient();

  // A new session, resumed from the last ticket if there is one and it is wanted.
  [[nodiscard]] SSL* open(int socket);
  [[nodiscard]] bool has_ticket() const { return ticket_ != nullptr; }

 private:
  static int keep_ticket(SSL* ssl, SSL_SESSION* session);

  SSL_CTX* context_;
  const bool resume_;
  SSL_SESSION* ticket_ = nullptr;
};

struct Endpoint {
  ::sockaddr_in address{};
  TlsClient* tls = nullptr;  // null: plain
  bool slow = false;         // an Internet segment size and a small receive buffer
};

class Connection {
 public:
  enum class Event : std::uint8_t {
    nothing,
    established,  // TLS only: plain connections are so from the beginning
    head,         // the head is here and right, the body is not complete
    answered,
    closed,  // by the server, between two answers
  };

  // Connects; with TLS the handshake is driven by advance().
  void open(const Endpoint& endpoint);
  void close();

  // `since`: from when the answer's latency counts.
  void ask(const Request& request, Clock::time_point since);

  // The latency of a request behind a handshake counts from before it.
  void set_since(Clock::time_point since) { since_ = since; }

  // Call when there is something to read. Adds the body bytes that came to `body_bytes`.
  [[nodiscard]] Event advance(std::uint64_t& body_bytes);

  // Bytes that TCP has taken in and nobody has read.
  [[nodiscard]] std::uint64_t unread_bytes() const;

  [[nodiscard]] int socket() const { return socket_.get(); }
  [[nodiscard]] bool is_established() const { return established_; }
  [[nodiscard]] bool is_waiting() const { return request_ != nullptr; }
  [[nodiscard]] bool was_resumed() const { return ssl_ && SSL_session_reused(ssl_.get()) == 1; }
  [[nodiscard]] Clock::time_point since() const { return since_; }

 private:
  // Bytes received into the scratch buffer or dropped; 0: closed; -1: nothing there.
  [[nodiscard]] std::int64_t receive();
  void send(std::string_view text);
  [[nodiscard]] Event shake_hands();
  [[nodiscard]] Event take(std::string_view received, std::uint64_t& body_bytes);

  struct FreeSsl {
    void operator()(SSL* ssl) const;
  };

  Descriptor socket_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
  bool established_ = false;
  const Request* request_ = nullptr;
  Clock::time_point since_;
  bool in_body_ = false;
  std::uint64_t body_left_ = 0;
  std::string head_;  // of which only a part has come
};

}  // namespace tallygate::load
