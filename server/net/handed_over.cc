#include "server/net/handed_over.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include <cstdlib>
#include <string_view>
#include <system_error>

namespace tallygate::net {

Result<HandedOver, std::string> take_handed_over() {
  char** names = nullptr;
  const int count = ::sd_listen_fds_with_names(1, &names);
  if (count < 0) {
    return fmt::format("the sockets that systemd handed over: {}",
                       std::generic_category().message(-count));
  }
  HandedOver handed_over;
  std::string wrong;
  for (int i = 0; i < count; ++i) {
    const int number = SD_LISTEN_FDS_START + i;
    Descriptor fd(number);
    const std::string name(names[i]);
    std::free(names[i]);
    if (name != "http" && name != "https") {
      wrong = fmt::format(
          "systemd handed over a socket named \"{}\": FileDescriptorName= must be http or https",
          name);
    } else if (::sd_is_socket(number, AF_INET, SOCK_STREAM, 1) <= 0 &&
               ::sd_is_socket(number, AF_INET6, SOCK_STREAM, 1) <= 0) {
      wrong =
          fmt::format("the socket named {} that systemd handed over does not listen for TCP", name);
    } else if (::fcntl(number, F_SETFL, ::fcntl(number, F_GETFL) | O_NONBLOCK) != 0) {
      wrong = fmt::format("the socket named {}: {}", name, last_error().message());
    } else {
      (name == "http" ? handed_over.http : handed_over.https).push_back(std::move(fd));
    }
  }
  std::free(names);
  if (!wrong.empty()) return wrong;
  return handed_over;
}

}  // namespace tallygate::net
