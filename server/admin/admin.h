// The admin interface: HTTP with JSON on a Unix socket, for the commands and for health checks, and
// on a loopback port for whoever has a token.
//
// One thread of its own, beside the workers. The socket is governed by its permissions (0660), the
// port by access.h.
// What can be asked for is listed in routes.cc.
#pragma once
#include <memory>
#include <string>

#include "core/base/result.h"
#include "server/admin/ports.h"

namespace tallygate::admin {

class Admin {
 public:
  // Binds the socket and starts the thread; a socket file that nobody answers on is replaced. The
  // error is for the operator.
  [[nodiscard]] static Result<std::unique_ptr<Admin>, std::string> start(Ports ports);
  ~Admin();  // stop()
  // Of the port, with its real number ("127.0.0.1:8081"); empty: there is none.
  [[nodiscard]] const std::string& address() const;
  // Ends the thread and removes the socket file. Who still waits for an answer gets none; what was
  // asked of others for them may come until this is destroyed. Idempotent.
  void stop();
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;

 private:
  struct Server;
  explicit Admin(std::unique_ptr<Server> server);
  std::unique_ptr<Server> server_;
};

}  // namespace tallygate::admin
