#include "server/net/socket_queue.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

namespace tallygate::net {

std::optional<std::uint64_t> queued_bytes(int socket) {
  int queued = 0;
  if (::ioctl(socket, SIOCOUTQ, &queued) != 0 || queued < 0) return std::nullopt;
  return static_cast<std::uint64_t>(queued);
}

}  // namespace tallygate::net
