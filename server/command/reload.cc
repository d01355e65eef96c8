#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <memory>
#include <string>
#include <vector>

#include "server/admin/client.h"
#include "server/command/commands.h"
#include "server/command/configuration.h"
#include "server/command/exit_code.h"

namespace tallygate::command {
namespace {

namespace json = boost::json;

constexpr const char* kNotReloaded = "not reloaded: what was in force before still is";

struct ReloadOptions {
  std::string config;
  std::string socket;
  bool as_json = false;
};

// The texts of a list in the answer; none if there is no such list.
std::vector<std::string> texts(const json::object& answer, std::string_view name) {
  std::vector<std::string> out;
  const json::value* list = answer.if_contains(name);
  if (list == nullptr || !list->is_array()) return out;
  for (const json::value& each : list->get_array()) {
    if (each.is_string()) out.emplace_back(each.get_string());
  }
  return out;
}

std::string shown(const json::object& answer, std::string_view name) {
  const json::value* value = answer.if_contains(name);
  if (value == nullptr) return "?";
  return value->is_string() ? std::string(value->get_string()) : json::serialize(*value);
}

// The socket stands in the settings. Where they have mistakes the server would find the same.
int refuse_here(const std::vector<std::string>& mistakes, bool as_json) {
  print_mistakes(mistakes);
  fmt::print(stderr, "tallygate: {}\n", kNotReloaded);
  if (as_json) {
    const json::object out{{"error", kNotReloaded},
                           {"mistakes", json::array(mistakes.begin(), mistakes.end())}};
    fmt::print("{}\n", json::serialize(out));
  }
  return kSettings;
}

int reload(const ReloadOptions& options) {
  std::string socket = options.socket;
  if (socket.empty()) {
    auto found = read_admin_socket(options.config);
    if (!found) return refuse_here(found.error(), options.as_json);
    socket = std::move(*found);
  }
  const auto answer = admin::ask_admin(socket, "POST", "/v1/reload", {});
  if (!answer) {
    fmt::print(stderr, "tallygate: {}\n", answer.error());
    return kFailed;
  }
  boost::system::error_code ec;
  const json::value parsed = json::parse(answer->body, ec);
  if (ec || !parsed.is_object()) {
    fmt::print(stderr, "tallygate: the server answered with status {}\n", answer->status);
    return kFailed;
  }
  const json::object& said = parsed.get_object();
  if (options.as_json) fmt::print("{}\n", json::serialize(said));
  if (answer->status != 200) {
    print_mistakes(texts(said, "mistakes"));
    fmt::print(stderr, "tallygate: {}\n", shown(said, "error"));
    return answer->status == 422 ? kSettings : kFailed;
  }
  for (const std::string& name : texts(said, "restart_needed")) {
    fmt::print(stderr, "tallygate: {}: what it was changed to takes effect at the next start\n",
               name);
  }
  if (!options.as_json) fmt::print("reloaded, generation {}\n", shown(said, "generation"));
  return kDone;
}

}  // namespace

void add_reload(CLI::App& app, int& exit_code) {
  const auto o = std::make_shared<ReloadOptions>();
  CLI::App* command = app.add_subcommand(
      "reload",
      "have the running server read its settings, keyring and certificates again, and wait: all of "
      "them take effect, or none and why; exit 78 for a mistake in them");
  CLI::Option_group* where = command->add_option_group("Where it is");
  where->add_option("--config", o->config, "settings (TOML), which name its admin socket");
  where->add_option(
      "--socket", o->socket,
      "its admin socket, where the settings no longer tell: admin.socket was changed");
  where->require_option(1);
  command->add_flag("--json", o->as_json, "print JSON");
  command->callback([o, &exit_code] { exit_code = reload(*o); });
}

}  // namespace tallygate::command
