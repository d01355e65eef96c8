// One request to a server's admin socket, or to any HTTP server over TCP; for the commands.
//
// Blocks, at most ten seconds.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace tallygate::admin {

struct ClientAnswer {
  unsigned status = 0;
  std::string body;
};

// The error is a sentence for the operator.
[[nodiscard]] Result<ClientAnswer, std::string> ask_admin(const std::string& socket_path,
                                                          std::string_view method,
                                                          const std::string& target,
                                                          const std::string& body);

}  // namespace tallygate::admin
