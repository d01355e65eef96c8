// A socket on which the admin interface is spoken: accepts, reads requests within limits, writes
// what they are answered with.
//
// Everything runs on the thread of its io_context.
#pragma once
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "server/admin/http.h"
#include "server/net/descriptor.h"
#include "server/net/executor.h"

namespace tallygate::admin {

template <class Protocol>  // asio::local::stream_protocol or asio::ip::tcp
class Listener {
 public:
  using Answer = std::function<Task<Response>(const Request&)>;
  // Further connections wait until one ends, so that nobody can use up what downloads need.
  static constexpr std::size_t kConnectionsMax = 64;

  // Must outlive the context: frames that run in it refer to it.
  Listener(asio::io_context& context, Answer answer)
      : context_(context), answer_(std::move(answer)) {}
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Binds and listens; nothing is accepted yet. Before it runs: the caller's thread.
  [[nodiscard]] error_code bind(const typename Protocol::endpoint& endpoint);
  [[nodiscard]] typename Protocol::endpoint local_endpoint() const {
    return acceptor_->local_endpoint();
  }
  // Serves from now on, for as long as the context runs.
  void start();

 private:
  using Acceptor = asio::basic_socket_acceptor<Protocol, Executor>;
  using Peer = asio::basic_stream_socket<Protocol, Executor>;

  Task<> accept(Acceptor acceptor);
  Task<> serve(Peer socket);
  void keep_spares();

  asio::io_context& context_;
  const Answer answer_;
  std::optional<Acceptor> acceptor_;  // until start()
  std::size_t connections_ = 0;
  // Descriptors for nothing: when there are no others left, one makes room for a connection, so
  // that an operator can see what has happened. Several, since a worker may be faster.
  static constexpr std::size_t kSpares = 4;
  std::vector<Descriptor> spares_;
};

extern template class Listener<asio::local::stream_protocol>;
extern template class Listener<asio::ip::tcp>;

// The socket at `path`, for the owner and the group; one that nobody answers on, left from a crash,
// is replaced, and the folder is made. The error is for the operator.
using UnixListener = Listener<asio::local::stream_protocol>;
[[nodiscard]] std::string bind_unix(UnixListener& listener, const std::string& path);

// The address of admin.listen, which is well-formed. The error is for the operator.
using PortListener = Listener<asio::ip::tcp>;
[[nodiscard]] std::string bind_port(PortListener& listener, const std::string& address);

}  // namespace tallygate::admin
