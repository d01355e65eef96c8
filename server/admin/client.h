// One request to a server's admin socket; for the commands.
#pragma once
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace tallygate::admin {

struct ClientAnswer {
  unsigned status = 0;
  std::string body;
};

// The error is a sentence for the operator.
using ClientResult = Result<ClientAnswer, std::string>;

// Blocks, at most ten seconds.
[[nodiscard]] ClientResult ask_admin(const std::string& socket_path, std::string_view method,
                                     const std::string& target, const std::string& body);

// Calls `done` on the context's thread, after ten seconds at the latest; never, if the context ends
// before.
void ask_admin(boost::asio::io_context& context, const std::string& socket_path,
               std::string_view method, const std::string& target, const std::string& body,
               std::function<void(ClientResult)> done);

}  // namespace tallygate::admin
