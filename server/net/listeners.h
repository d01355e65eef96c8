// The sockets that a server listens on: one for each worker and address, sharing the port.
#pragma once
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/config/settings.h"
#include "server/net/descriptor.h"

namespace tallygate::net {

struct BoundSocket {
  Descriptor fd;
  bool is_v6 = false;
};

// Bound, not listening yet: nobody can connect before the server is ready.
struct Listeners {
  std::vector<std::string> addresses;             // with real ports: "127.0.0.1:8080"
  std::vector<std::vector<BoundSocket>> sockets;  // for each worker, one for each address
};

// SO_REUSEPORT shares a port among our own workers; that somebody else listens on it is noticed and
// refused all the same. The error is for the operator.
[[nodiscard]] Result<Listeners, std::string> bind_listeners(
    const std::vector<config::ListenAddress>& addresses, unsigned workers);

}  // namespace tallygate::net
