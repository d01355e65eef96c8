// Listening sockets that somebody else opened: the process before this one (server/command/
// predecessor.h), or systemd for us (a .socket unit), told apart by their names:
// FileDescriptorName=http or https. So tallygate serves on ports below 1024 without a capability,
// and connections wait in the queue, instead of being refused, while it restarts.
#pragma once
#include <string>
#include <vector>

#include "core/base/result.h"
#include "server/net/descriptor.h"

namespace tallygate::net {

struct HandedOver {
  std::vector<Descriptor> http;
  std::vector<Descriptor> https;
};

// Both empty where nothing was handed over. Before any thread is started, and once: it takes
// LISTEN_FDS and its like out of the environment. The error is for the operator: a socket with
// another name, or one that is no listening TCP socket.
[[nodiscard]] Result<HandedOver, std::string> take_handed_over();

}  // namespace tallygate::net
