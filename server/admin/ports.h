// What the admin interface is given: the parts that it looks at, and what the application does for
// it.
#pragma once
#include <functional>

#include "server/net/worker.h"

namespace tallygate::admin {

// Both references are good for life. The functions are called on the admin thread and must not
// block.
struct Ports {
  const net::Services& services;
  net::Workers& workers;
  // The end begins, as with a SIGTERM; said twice it is said once. Empty: it cannot be asked for.
  std::function<void()> drain{};
  // Reloads, and says on another thread what came of it. Empty: it cannot be asked for.
  std::function<void(std::function<void(net::Reloaded)>)> reload{};
};

}  // namespace tallygate::admin
