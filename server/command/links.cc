#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <memory>
#include <string>

#include "core/config/time_text.h"
#include "server/admin/client.h"
#include "server/command/commands.h"
#include "server/command/configuration.h"
#include "server/command/exit_code.h"
#include "server/net/clock.h"

namespace tallygate::command {
namespace {

namespace json = boost::json;

struct LinksOptions {
  std::string config;
  std::string id;
  std::string max;
  std::string expires;
  bool as_json = false;
};

std::string plain(const json::value& value) {
  if (value.is_string()) return std::string(value.get_string());
  return json::serialize(value);
}

void print_link(const std::string& body, bool as_json) {
  if (as_json) {
    fmt::print("{}", body);
    return;
  }
  const json::value parsed = json::parse(body);
  for (const auto& [name, value] : parsed.get_object()) {
    const std::string_view key(name.data(), name.size());
    const bool unlimited = key == "limit" && value.is_null();
    fmt::print("{:14} {}\n", key, unlimited ? "unlimited" : value.is_null() ? "-" : plain(value));
  }
}

int ask(const LinksOptions& options, const json::object* change) {
  const auto socket = read_admin_socket(options.config);
  if (!socket) {
    print_mistakes(socket.error());
    return kSettings;
  }
  const auto answer =
      admin::ask_admin(*socket, change == nullptr ? "GET" : "POST", "/v1/links/" + options.id,
                       change == nullptr ? std::string() : json::serialize(*change));
  if (!answer) {
    fmt::print(stderr, "tallygate: {}\n", answer.error());
    return kFailed;
  }
  if (answer->status == 200) {
    print_link(answer->body, options.as_json);
    return kDone;
  }
  boost::system::error_code ec;
  const json::value parsed = json::parse(answer->body, ec);
  const json::value* why =
      !ec && parsed.is_object() ? parsed.get_object().if_contains("error") : nullptr;
  fmt::print(stderr, "tallygate: {}: {}\n", options.id,
             why != nullptr ? plain(*why) : fmt::format("status {}", answer->status));
  return kFailed;
}

// "-" means: as signed.
int set(const LinksOptions& options) {
  json::object change{{"action", "set"}};
  if (options.max == "-") {
    change["max"] = nullptr;
  } else if (!options.max.empty()) {
    std::int64_t max = 0;
    try {
      std::size_t used = 0;
      max = options.max == "unlimited" ? -1 : std::stoll(options.max, &used);
      if (options.max != "unlimited" && used != options.max.size()) throw std::invalid_argument("");
    } catch (const std::exception&) {
      fmt::print(stderr, "tallygate: --max: must be a number, \"unlimited\", or - for as signed\n");
      return kUsage;
    }
    change["max"] = max;
  }
  if (options.expires == "-") {
    change["expires"] = nullptr;
  } else if (!options.expires.empty()) {
    const auto time = config::parse_time(options.expires, system_clock().unix_now());
    if (!time) {
      fmt::print(stderr, "tallygate: --expires: {}\n", time.error().what);
      return kUsage;
    }
    change["expires"] = *time;
  }
  if (change.size() == 1) {
    fmt::print(stderr, "tallygate: links set needs --max or --expires\n");
    return kUsage;
  }
  return ask(options, &change);
}

}  // namespace

void add_links(CLI::App& app, int& exit_code) {
  CLI::App* links = app.add_subcommand("links", "show and change links of the running server");
  links->require_subcommand(1);
  const auto o = std::make_shared<LinksOptions>();
  const auto add = [&](const char* name, const char* what) {
    CLI::App* command = links->add_subcommand(name, what);
    command->add_option("--config", o->config, "settings (TOML)")->required();
    command->add_option("ID", o->id, "link id")->required();
    command->add_flag("--json", o->as_json, "print JSON");
    return command;
  };
  add("show", "what the ledger and the shop know of it")->callback([o, &exit_code] {
    exit_code = ask(*o, nullptr);
  });
  CLI::App* set_command = add("set", "change its limit or its expiry");
  set_command->add_option("--max", o->max, "complete copies, \"unlimited\", or - for as signed");
  set_command->add_option("--expires", o->expires,
                          "72h, 2026-12-31T00:00:00Z, unix seconds, or - for as signed");
  set_command->callback([o, &exit_code] { exit_code = set(*o); });
  for (const auto& [name, what] :
       {std::pair{"revoke", "refuse it from now on"}, std::pair{"restore", "undo a revocation"},
        std::pair{"reset", "begin its count at zero again"}}) {
    add(name, what)->callback([o, action = std::string(name), &exit_code] {
      const json::object change{{"action", action}};
      exit_code = ask(*o, &change);
    });
  }
}

}  // namespace tallygate::command
