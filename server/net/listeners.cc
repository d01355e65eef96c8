#include "server/net/listeners.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <string_view>
#include <utility>

#include "core/config/form.h"

namespace tallygate::net {
namespace {

using boost::system::error_code;
using Endpoint = boost::asio::ip::tcp::endpoint;

Result<Descriptor> bind_socket(const Endpoint& endpoint, bool share_port, bool v6_only) {
  Descriptor fd(::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                         IPPROTO_TCP));
  if (!fd) return last_error();
  const auto set = [&](int level, int option, int value) {
    return ::setsockopt(fd.get(), level, option, &value, sizeof value) == 0;
  };
  if (!set(SOL_SOCKET, SO_REUSEADDR, 1)) return last_error();
  if (share_port && !set(SOL_SOCKET, SO_REUSEPORT, 1)) return last_error();
  if (endpoint.protocol() == boost::asio::ip::tcp::v6() &&
      !set(IPPROTO_IPV6, IPV6_V6ONLY, v6_only ? 1 : 0)) {
    return last_error();
  }
  if (::bind(fd.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0) {
    return last_error();
  }
  return fd;
}

Result<Endpoint> bound_endpoint(const Descriptor& fd) {
  Endpoint endpoint;
  auto size = static_cast<socklen_t>(endpoint.capacity());
  if (::getsockname(fd.get(), endpoint.data(), &size) != 0) return last_error();
  endpoint.resize(size);
  return endpoint;
}

// Which addresses demand a header of the PROXY protocol, and whether each of them was met.
class Proxied {
 public:
  explicit Proxied(const std::vector<config::ListenAddress>& addresses) : addresses_(addresses) {
    met_.resize(addresses.size());
  }

  // Whether `address` is one of them, however it is spelt.
  bool includes(const config::ListenAddress& address) {
    bool found = false;
    for (std::size_t i = 0; i < addresses_.size(); ++i) {
      if (addresses_[i].port != address.port || !same_host(addresses_[i].host, address.host)) {
        continue;
      }
      met_[i] = found = true;
    }
    return found;
  }
  // One on which nothing listens; else null.
  [[nodiscard]] const config::ListenAddress* missed() const {
    const auto at = std::find(met_.begin(), met_.end(), false);
    return at == met_.end() ? nullptr : &addresses_[static_cast<std::size_t>(at - met_.begin())];
  }

 private:
  static bool same_host(const std::string& a, const std::string& b) {
    error_code ec;
    return boost::asio::ip::make_address(a, ec) == boost::asio::ip::make_address(b, ec);
  }

  const std::vector<config::ListenAddress>& addresses_;
  std::vector<bool> met_;
};

std::string shown(const config::ListenAddress& address, bool is_tls, bool is_proxied) {
  return (is_tls ? "https://" : "") + config::format_listen_address(address) +
         (is_proxied ? " (PROXY protocol)" : "");
}

// One setting's addresses, for the empty string if all could be bound, else why not.
std::string bind_all(std::string_view setting, const std::vector<config::ListenAddress>& addresses,
                     bool is_tls, Proxied& proxied, Listeners& listeners) {
  for (config::ListenAddress address : addresses) {
    const bool is_proxied = proxied.includes(address);  // before it has a real port
    const auto failed = [&](const error_code& ec) {
      return fmt::format("{}: cannot listen on {}: {}", setting,
                         config::format_listen_address(address), ec.message());
    };
    error_code ec;
    const auto host = boost::asio::ip::make_address(address.host, ec);
    if (ec) return failed(ec);
    // "::" means IPv6 and IPv4, unless IPv4 is listed as well.
    const bool v6_only = std::any_of(addresses.begin(), addresses.end(), [](const auto& other) {
      return other.host.find(':') == std::string::npos;
    });
    {
      const auto alone = bind_socket({host, address.port}, false, v6_only);
      if (!alone) return failed(alone.error());
      const auto bound = bound_endpoint(*alone);
      if (!bound) return failed(bound.error());
      address.port = bound->port();
    }
    for (auto& sockets : listeners.sockets) {
      auto fd = bind_socket({host, address.port}, true, v6_only);
      if (!fd) return failed(fd.error());
      sockets.push_back({std::move(*fd), host.is_v6(), is_tls, is_proxied});
    }
    listeners.addresses.push_back(shown(address, is_tls, is_proxied));
  }
  return {};
}

// Each worker gets a descriptor of its own for one socket of every address, and each socket a
// worker; empty: done.
std::string share_all(const std::vector<Descriptor>& handed_over, bool is_tls, Proxied& proxied,
                      Listeners& listeners) {
  const auto failed = [](const error_code& ec) {
    return "a listening socket that was handed over: " + ec.message();
  };
  std::vector<std::pair<Endpoint, std::vector<const Descriptor*>>> addresses;
  for (const Descriptor& socket : handed_over) {
    const auto endpoint = bound_endpoint(socket);
    if (!endpoint) return failed(endpoint.error());
    auto at =
        std::ranges::find(addresses, *endpoint, [](const auto& entry) { return entry.first; });
    if (at == addresses.end()) at = addresses.insert(at, {*endpoint, {}});
    at->second.push_back(&socket);
  }
  for (const auto& [endpoint, sockets] : addresses) {
    const bool is_v6 = endpoint.protocol() == boost::asio::ip::tcp::v6();
    const config::ListenAddress address{endpoint.address().to_string(), endpoint.port()};
    const bool is_proxied = proxied.includes(address);
    const std::size_t workers = listeners.sockets.size();
    for (std::size_t i = 0; i < std::max(workers, sockets.size()); ++i) {
      Descriptor fd(::fcntl(sockets[i % sockets.size()]->get(), F_DUPFD_CLOEXEC, 3));
      if (!fd) return failed(last_error());
      listeners.sockets[i % workers].push_back({std::move(fd), is_v6, is_tls, is_proxied});
    }
    listeners.addresses.push_back(shown(address, is_tls, is_proxied));
  }
  return {};
}

}  // namespace

Result<Listeners, std::string> bind_listeners(const config::Settings& settings, unsigned workers,
                                              HandedOver handed_over) {
  Listeners listeners;
  listeners.sockets.resize(workers);
  if (!handed_over.https.empty() && !settings.tls.is_on()) {
    return "a socket for https was handed over, and there is no [tls] to serve on it";
  }
  const auto& server = settings.server;
  Proxied proxied(server.proxy_protocol);
  std::string wrong = handed_over.http.empty()
                          ? bind_all("server.listen", server.listen, false, proxied, listeners)
                          : share_all(handed_over.http, false, proxied, listeners);
  if (wrong.empty() && settings.tls.is_on()) {
    wrong = handed_over.https.empty()
                ? bind_all("tls.listen", settings.tls.listen, true, proxied, listeners)
                : share_all(handed_over.https, true, proxied, listeners);
  }
  if (const auto* missed = proxied.missed(); wrong.empty() && missed != nullptr) {
    wrong = fmt::format("server.proxy_protocol: no socket is on {}",
                        config::format_listen_address(*missed));
  }
  if (!wrong.empty()) return wrong;
  return listeners;
}

}  // namespace tallygate::net
