#include "server/admin/listener.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <chrono>
#include <exception>
#include <type_traits>
#include <utility>

#include "core/config/form.h"
#include "server/net/descriptor.h"

namespace tallygate::admin {
namespace {

namespace beast = boost::beast;
namespace errc = boost::system::errc;
using Local = asio::local::stream_protocol;

constexpr std::chrono::seconds kRequestTimeout{10};
constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr std::size_t kRequestBytesMax = 64 * 1024;

}  // namespace

template <class Protocol>
error_code Listener<Protocol>::bind(const typename Protocol::endpoint& endpoint) {
  error_code ec;
  acceptor_.emplace(context_);
  acceptor_->open(endpoint.protocol(), ec);
  // What a server before us left in TIME_WAIT is no reason not to start.
  if constexpr (std::is_same_v<Protocol, asio::ip::tcp>) {
    if (!ec) acceptor_->set_option(asio::socket_base::reuse_address(true), ec);
  }
  if (!ec) acceptor_->bind(endpoint, ec);
  if (!ec) acceptor_->listen(16, ec);
  return ec;
}

template <class Protocol>
void Listener<Protocol>::start() {
  asio::co_spawn(context_, accept(std::move(*acceptor_)), [](const std::exception_ptr&) {});
  acceptor_.reset();
}

template <class Protocol>
void Listener<Protocol>::keep_spares() {
  while (spares_.size() < kSpares) {
    Descriptor spare(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!spare) return;
    spares_.push_back(std::move(spare));
  }
}

template <class Protocol>
Task<> Listener<Protocol>::accept(Acceptor acceptor) {
  Timer pause(context_);
  spares_.reserve(kSpares);
  keep_spares();
  for (;;) {
    Peer socket(context_);
    error_code ec;
    if (connections_ < kConnectionsMax) {
      const auto [failed] = co_await acceptor.async_accept(socket, kAwait);
      ec = failed;
    }
    if (ec == asio::error::operation_aborted) co_return;
    const bool none_left =
        ec == errc::too_many_files_open || ec == errc::too_many_files_open_in_system;
    if (none_left && !spares_.empty()) {
      spares_.pop_back();
      continue;
    }
    if (ec || !socket.is_open()) {
      keep_spares();
      pause.expires_after(kAcceptPause);
      static_cast<void>(co_await pause.async_wait(kAwait));
      continue;
    }
    ++connections_;
    asio::co_spawn(context_, serve(std::move(socket)), [this](const std::exception_ptr&) {
      --connections_;
      // Not before the frame is gone, and its socket with it.
      asio::post(context_, [this] { keep_spares(); });
    });
  }
}

template <class Protocol>
Task<> Listener<Protocol>::serve(Peer socket) {
  beast::basic_stream<Protocol, Executor> stream(std::move(socket));
  beast::flat_buffer buffer(kRequestBytesMax);
  for (;;) {
    Request request;
    stream.expires_after(kRequestTimeout);
    const auto [read_error, read] =
        co_await beast::http::async_read(stream, buffer, request, kAwait);
    if (read_error) co_return;
    stream.expires_never();
    Response response = co_await answer_(request);
    stream.expires_after(kRequestTimeout);
    const auto [write_error, written] = co_await beast::http::async_write(stream, response, kAwait);
    if (write_error || !response.keep_alive()) co_return;
  }
}

template class Listener<Local>;
template class Listener<asio::ip::tcp>;

std::string bind_unix(UnixListener& listener, const std::string& path) {
  const auto failed = [&](const error_code& ec) {
    return "admin.socket " + path + ": " + ec.message();
  };
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return "admin.socket " + path + ": the path of a socket is at most 107 bytes long";
  }
  const auto slash = path.rfind('/');
  if (slash != std::string::npos && slash != 0) ::mkdir(path.substr(0, slash).c_str(), 0755);
  const Local::endpoint endpoint(path);
  {
    // A socket that somebody answers on is in use; one that nobody does is left from a crash.
    error_code ec;
    asio::io_context context(1);
    Local::socket probe(context);
    probe.connect(endpoint, ec);
    if (!ec) return failed(asio::error::address_in_use);
    struct stat status {};
    const bool is_socket = ::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode);
    if (ec == asio::error::connection_refused && is_socket) ::unlink(path.c_str());
  }
  if (const error_code ec = listener.bind(endpoint)) return failed(ec);
  if (::chmod(path.c_str(), 0660) != 0) return failed(last_error());
  return {};
}

std::string bind_port(PortListener& listener, const std::string& address) {
  const auto parsed = config::parse_listen_address(address);
  error_code ec = make_error_code(boost::system::errc::invalid_argument);
  if (parsed) {
    const auto host = asio::ip::make_address(parsed->host, ec);
    if (!ec) ec = listener.bind({host, parsed->port});
  }
  return ec ? "admin.listen: cannot listen on " + address + ": " + ec.message() : std::string();
}

}  // namespace tallygate::admin
