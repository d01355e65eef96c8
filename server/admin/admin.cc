#include "server/admin/admin.h"

#include <unistd.h>

#include <thread>
#include <utility>

#include "core/config/form.h"
#include "server/admin/listener.h"
#include "server/admin/routes.h"

namespace tallygate::admin {

struct Admin::Server {
  explicit Server(Ports given) : ports(std::move(given)) {}

  const Ports ports;
  std::string socket_path;
  std::string address;  // of the port; empty: there is none
  Sessions sessions;
  std::unique_ptr<asio::io_context> context = std::make_unique<asio::io_context>(1);
  UnixListener on_socket{*context, [this](const Request& request) {
                           return answer(ports, sessions, Door::socket, request);
                         }};
  PortListener on_port{*context, [this](const Request& request) {
                         return answer(ports, sessions, Door::port, request);
                       }};
  std::thread thread;
};

Result<std::unique_ptr<Admin>, std::string> Admin::start(Ports ports) {
  auto server = std::make_unique<Server>(std::move(ports));
  const auto policy = server->ports.services.policies.current();
  const auto& settings = policy->settings.admin;
  server->socket_path = settings.socket;
  if (!settings.listen.empty()) {
    if (std::string wrong = bind_port(server->on_port, settings.listen); !wrong.empty()) {
      return wrong;
    }
    const auto endpoint = server->on_port.local_endpoint();
    server->address =
        config::format_listen_address({endpoint.address().to_string(), endpoint.port()});
  }
  if (std::string wrong = bind_unix(server->on_socket, server->socket_path); !wrong.empty()) {
    return wrong;
  }
  server->on_socket.start();
  if (!settings.listen.empty()) server->on_port.start();
  server->thread = std::thread([context = server->context.get()] { context->run(); });
  return std::unique_ptr<Admin>(new Admin(std::move(server)));
}

Admin::Admin(std::unique_ptr<Server> server) : server_(std::move(server)) {}

const std::string& Admin::address() const {
  return server_->address;
}

Admin::~Admin() {
  stop();
  server_->context.reset();
}

void Admin::stop() {
  if (!server_->thread.joinable()) return;
  ::unlink(server_->socket_path.c_str());
  server_->context->stop();
  server_->thread.join();
}

}  // namespace tallygate::admin
