#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_from.hpp>
#include <memory>
#include <string>

#include "core/config/form.h"
#include "core/config/parse.h"
#include "server/admin/client.h"
#include "server/command/commands.h"
#include "server/command/configuration.h"
#include "server/command/exit_code.h"
#include "server/command/progress.h"
#include "server/net/clock.h"
#include "server/shop/database.h"
#include "server/shop/outbox.h"

namespace tallygate::command {
namespace {

namespace json = boost::json;

struct ShopOptions {
  std::string config;
  std::string url;            // empty: shop.url
  std::string password_file;  // empty: shop.password_file
  bool print = false;
  std::string grants_to;
  bool as_json = false;
};

// The settings and their database; null: said why on standard error, and `exit_code` is set.
std::unique_ptr<shop::Database> database_of(const ShopOptions& options, config::Settings& settings,
                                            int& exit_code) {
  exit_code = kSettings;
  const auto text = read_file(options.config);
  if (!text) {
    print_mistakes(text.error());
    return nullptr;
  }
  config::Parsed parsed = config::parse_settings(*text, options.config);
  for (const config::Mistake& m : parsed.mistakes) fmt::print(stderr, "{}\n", m.text());
  if (!parsed.mistakes.empty()) return nullptr;
  settings = std::move(parsed.settings);
  if (settings.shop.url.empty()) {
    fmt::print(stderr, "{}: there is no [shop]\n", options.config);
    return nullptr;
  }
  if (!options.url.empty()) {
    if (const auto wrong = config::check_shop_url(options.url)) {
      fmt::print(stderr, "--url {}\n", wrong->what);
      exit_code = kUsage;
      return nullptr;
    }
    settings.shop.url = options.url;
    settings.shop.password_file = options.password_file;
  }
  auto password = read_shop_password(settings);
  if (!password) {
    print_mistakes(password.error());
    return nullptr;
  }
  auto database = shop::make_database(settings, std::move(*password));
  if (!database) {
    fmt::print(stderr, "{}: shop.url: {}\n", options.config, database.error().text);
    return nullptr;
  }
  return std::move(*database);
}

int init(const ShopOptions& options) {
  config::Settings settings;
  int exit_code = kDone;
  const auto database = database_of(options, settings, exit_code);
  if (!database) return exit_code;
  if (options.print || !options.grants_to.empty()) {
    if (options.print) fmt::print("{}", database->schema_sql());
    if (!options.grants_to.empty())
      fmt::print("{}",
                 database->grants_sql(options.grants_to, settings.shop.keep_history.count() != 0));
    return kDone;
  }
  Progress progress;
  progress.step("making tables and triggers in " + database->name());
  const auto made = database->create_schema();
  progress.end();
  if (!made) {
    fmt::print(stderr, "tallygate: {}\n", made.error().text);
    return kFailed;
  }
  fmt::print(stderr, "tallygate: {}: the tables are there\n", database->name());
  return kDone;
}

// Of the file beside the ledger, for which no server need run.
void add_backlog(json::object& out, const config::Settings& settings) {
  const auto backlog = shop::Outbox::inspect(settings.ledger.dir + "/outbox.db");
  if (!backlog) {
    out["outbox"] = backlog.error().text;
    return;
  }
  out["batches_waiting"] = backlog->batches;
  out["copies_waiting"] = backlog->copies;
  out["oldest_waiting_at"] =
      backlog->oldest_at == 0 ? json::value(nullptr) : json::value(backlog->oldest_at);
  const auto now = system_clock().unix_now();
  out["lag_seconds"] =
      backlog->oldest_at == 0 ? 0 : std::max<std::int64_t>(now - backlog->oldest_at, 0);
}

// What the database says of all edges. False: it cannot be reached.
bool add_database(json::object& out, shop::Database& database) {
  const auto opened = database.open(false);
  out["engine"] = database.engine();
  out["reachable"] = opened.has_value();
  if (!opened) {
    out["error"] = opened.error().text;
    return false;
  }
  if (const auto missing = database.missing_triggers(); missing && !missing->empty()) {
    out["missing"] = json::value_from(*missing);
  }
  json::array edges;
  if (const auto seen = database.edges()) {
    for (const shop::EdgeSeen& edge : *seen) {
      edges.push_back(json::object{
          {"edge_id", edge.edge.edge_id}, {"last_seq", edge.last_seq}, {"seen_at", edge.seen_at}});
    }
  }
  out["edges"] = std::move(edges);
  return true;
}

int status(const ShopOptions& options) {
  config::Settings settings;
  int exit_code = kDone;
  const auto database = database_of(options, settings, exit_code);
  if (!database) return exit_code;
  json::object out{{"database", database->name()}};
  add_backlog(out, settings);
  const bool is_reachable = add_database(out, *database);
  // What only the running server knows; its health stands there whether it is well or not.
  const auto answer = admin::ask_admin(settings.admin.socket, "GET", "/healthz", {});
  boost::system::error_code ignored;
  const json::value health = answer ? json::parse(answer->body, ignored) : json::value();
  const json::value* server = health.is_object() ? health.as_object().if_contains("shop") : nullptr;
  out["server"] = server != nullptr ? *server : json::value(nullptr);
  if (options.as_json) {
    fmt::print("{}\n", json::serialize(out));
  } else {
    for (const auto& [name, value] : out) {
      fmt::print("{:18} {}\n", std::string_view(name.data(), name.size()), json::serialize(value));
    }
  }
  return is_reachable ? kDone : kFailed;
}

}  // namespace

void add_shop_commands(CLI::App& app, int& exit_code) {
  CLI::App* shop_command = app.add_subcommand("shop", "the shop's database");
  shop_command->require_subcommand(1);
  const auto o = std::make_shared<ShopOptions>();
  CLI::App* init_command = shop_command->add_subcommand("init", "make tables and triggers");
  init_command->add_option("--config", o->config, "settings (TOML)")->required();
  init_command->add_flag("--print", o->print, "only show the SQL");
  init_command
      ->add_option("--grants", o->grants_to,
                   "only show the GRANT statements for USER, who is the server's own")
      ->type_name("USER");
  init_command->add_option("--url", o->url,
                           "connect with this URL, as somebody who may make tables");
  init_command->add_option("--password-file", o->password_file, "the password that goes with --url")
      ->needs("--url");
  init_command->callback([o, &exit_code] { exit_code = init(*o); });
  CLI::App* status_command = shop_command->add_subcommand("status", "lag and errors");
  status_command->add_option("--config", o->config, "settings (TOML)")->required();
  status_command->add_flag("--json", o->as_json, "print JSON");
  status_command->callback([o, &exit_code] { exit_code = status(*o); });
}

}  // namespace tallygate::command
