// What can be asked for: one table of methods, patterns and handlers.
//
// A new resource is a line in routes.cc and a handler in the file of its subject; conf/openapi.json
// describes it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/admin/access.h"
#include "server/admin/http.h"
#include "server/admin/ports.h"

namespace tallygate::admin {

// One request, as its handler sees it.
struct Call {
  const Request& request;
  const Ports& ports;
  Sessions& sessions;
  Access access;
  std::string parameter{};   // what stands in place of the pattern's {id}; else empty
  std::string_view query{};  // behind the question mark, as received
};

// On the admin thread, which everybody else waits for as well: a handler awaits and never blocks.
using Handler = Task<Response> (*)(const Call& call);

// What the loopback port asks for; the Unix socket is open to whoever may open it.
enum class Login : std::uint8_t {
  needed,
  for_a_page,  // who has none is sent to /login
  not_needed,
};

struct Route {
  Verb method;
  std::string_view pattern;  // "/v1/links/{id}": {id} is one segment of any characters
  Handler handler;
  Login login = Login::needed;
};

[[nodiscard]] std::span<const Route> routes();

// The route for a path (without the query). Null: there is none; `others` are then the methods that
// the path has.
struct Match {
  const Route* route = nullptr;
  std::string parameter{};
  std::vector<Verb> others{};
};
[[nodiscard]] Match find_route(std::span<const Route> routes, Verb method, std::string_view path);

// The value of `name` in a query, as received; empty: not there.
[[nodiscard]] std::string_view query_value(std::string_view query, std::string_view name);

inline constexpr std::size_t kListedMax = 1000;
inline constexpr std::string_view kLimitRule = "\"limit\" must be a number up to 1000";
// How many entries of a list the query asks for; `otherwise` if it does not say.
// nullopt: what it says is no number up to kListedMax.
[[nodiscard]] std::optional<std::size_t> read_limit(std::string_view query, std::size_t otherwise);

// Where a request came in.
enum class Door : std::uint8_t { socket, port };

// The whole way from a request to its answer.
[[nodiscard]] Task<Response> answer(const Ports& ports, Sessions& sessions, Door door,
                                    const Request& request);

}  // namespace tallygate::admin
