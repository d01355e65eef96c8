#include "server/admin/admin.h"

#include <unistd.h>

#include <thread>
#include <utility>

#include "server/admin/listener.h"
#include "server/admin/routes.h"

namespace tallygate::admin {

struct Admin::Server {
  explicit Server(Ports given) : ports(std::move(given)) {}

  const Ports ports;
  std::string socket_path;
  std::unique_ptr<asio::io_context> context = std::make_unique<asio::io_context>(1);
  UnixListener on_socket{*context,
                         [this](const Request& request) { return answer(ports, request); }};
  std::thread thread;
};

Result<std::unique_ptr<Admin>, std::string> Admin::start(Ports ports) {
  auto server = std::make_unique<Server>(std::move(ports));
  server->socket_path = server->ports.services.policies.current()->settings.admin.socket;
  std::string wrong = bind_unix(server->on_socket, server->socket_path);
  if (!wrong.empty()) return wrong;
  server->on_socket.start();
  server->thread = std::thread([context = server->context.get()] { context->run(); });
  return std::unique_ptr<Admin>(new Admin(std::move(server)));
}

Admin::Admin(std::unique_ptr<Server> server) : server_(std::move(server)) {}

Admin::~Admin() {
  ::unlink(server_->socket_path.c_str());
  server_->context->stop();
  server_->thread.join();
  server_->context.reset();
}

}  // namespace tallygate::admin
