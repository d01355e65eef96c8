#include "server/net/user_timeout.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace tallygate::net {

void set_user_timeout(int listening, std::chrono::milliseconds send_timeout) {
  const auto timeout = static_cast<unsigned>((send_timeout + std::chrono::seconds(1)).count());
  ::setsockopt(listening, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout);
}

}  // namespace tallygate::net
