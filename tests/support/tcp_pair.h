// Two ends of a TCP connection over loopback, where the peer acknowledges within microseconds.
#pragma once
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tallygate {

// Both non-blocking. Fails by leaving -1 in them.
class TcpPair {
 public:
  // The client's receive buffer; 0: as the kernel likes. The server's send buffer likewise.
  explicit TcpPair(int receive_bytes = 0, int send_bytes = 0) {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    ::bind(listener, any, size);
    ::listen(listener, 1);
    ::getsockname(listener, any, &size);
    client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    // Before connecting, so that the window is small as well.
    if (receive_bytes != 0) set(client, SOL_SOCKET, SO_RCVBUF, receive_bytes);
    if (send_bytes != 0) set(listener, SOL_SOCKET, SO_SNDBUF, send_bytes);
    ::connect(client, any, size);
    server = ::accept(listener, nullptr, nullptr);
    ::close(listener);
    for (const int end : {client, server}) {
      set(end, IPPROTO_TCP, TCP_NODELAY, 1);
      ::fcntl(end, F_SETFL, O_NONBLOCK);
    }
  }
  ~TcpPair() {
    close_client();
    if (server >= 0) ::close(server);
  }
  TcpPair(const TcpPair&) = delete;
  TcpPair& operator=(const TcpPair&) = delete;
  void close_client() {
    if (client >= 0) ::close(client);
    client = -1;
  }

  int client = -1;
  int server = -1;

 private:
  static void set(int socket, int level, int option, int value) {
    ::setsockopt(socket, level, option, &value, sizeof value);
  }
};

}  // namespace tallygate
