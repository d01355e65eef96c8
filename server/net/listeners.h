// The sockets that a server listens on: one for each worker and address, sharing the port.
#pragma once
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/config/settings.h"
#include "server/net/descriptor.h"
#include "server/net/handed_over.h"

namespace tallygate::net {

struct BoundSocket {
  Descriptor fd;
  bool is_v6 = false;
  bool is_tls = false;      // a TLS handshake comes first
  bool is_proxied = false;  // before all else a header of the PROXY protocol
};

// Bound, not listening yet: nobody can connect before the server is ready.
struct Listeners {
  // With real ports, in the order of the settings, HTTP first: "127.0.0.1:8080",
  // "https://127.0.0.1:8443"; "127.0.0.1:8081 (PROXY protocol)".
  std::vector<std::string> addresses;
  std::vector<std::vector<BoundSocket>> sockets;  // for each worker, one for each address
};

// Binds server.listen, and tls.listen where TLS is on. SO_REUSEPORT shares a port among our own
// workers; that somebody else listens on it is noticed and refused all the same. The error names
// the setting, for the operator.
//
// Sockets that were handed over stand in for a setting's addresses, all of them: `http` ones for
// server.listen, `https` ones for tls.listen. Each gets a worker. Where an address has fewer
// sockets than there are workers, several accept from one queue, as from systemd's, which is the
// only one: who is idle comes first. It may be on a port that we could not bind. An address of
// server.proxy_protocol must be that of a socket, whoever bound it: nothing else would tell a
// listener that was meant to demand the header from one that was not.
[[nodiscard]] Result<Listeners, std::string> bind_listeners(const config::Settings& settings,
                                                            unsigned workers,
                                                            HandedOver handed_over = {});

}  // namespace tallygate::net
