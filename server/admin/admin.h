// The admin interface: HTTP with JSON on a Unix socket, for the commands and for health checks.
//
// One thread of its own, beside the workers; access is governed by the socket's permissions (0660).
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
  ~Admin();  // ends the thread, removes the socket file
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;

 private:
  struct Server;
  explicit Admin(std::unique_ptr<Server> server);
  std::unique_ptr<Server> server_;
};

}  // namespace tallygate::admin
