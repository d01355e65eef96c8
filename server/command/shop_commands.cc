#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <memory>
#include <string>

#include "core/config/parse.h"
#include "server/command/commands.h"
#include "server/command/configuration.h"
#include "server/command/exit_code.h"
#include "server/shop/database.h"
#include "server/shop/outbox.h"

namespace tallygate::command {
namespace {

namespace json = boost::json;

struct ShopOptions {
  std::string config;
  bool print = false;
  bool as_json = false;
};

// The settings and their database; null: said why on standard error, and `exit_code` is set.
std::unique_ptr<shop::Database> database_of(const std::string& file, config::Settings& settings,
                                            int& exit_code) {
  exit_code = kSettings;
  const auto text = read_file(file);
  if (!text) {
    print_mistakes(text.error());
    return nullptr;
  }
  config::Parsed parsed = config::parse_settings(*text, file);
  for (const config::Mistake& m : parsed.mistakes) fmt::print(stderr, "{}\n", m.text());
  if (!parsed.mistakes.empty()) return nullptr;
  settings = std::move(parsed.settings);
  if (settings.shop.url.empty()) {
    fmt::print(stderr, "{}: there is no [shop]\n", file);
    return nullptr;
  }
  auto database = shop::make_database(settings, {});
  if (!database) {
    fmt::print(stderr, "{}: shop.url: {}\n", file, database.error().text);
    return nullptr;
  }
  return std::move(*database);
}

int init(const ShopOptions& options) {
  config::Settings settings;
  int exit_code = kDone;
  const auto database = database_of(options.config, settings, exit_code);
  if (!database) return exit_code;
  if (options.print) {
    fmt::print("{}", database->schema_sql());
    return kDone;
  }
  const auto made = database->create_schema();
  if (!made) {
    fmt::print(stderr, "tallygate: {}: {}\n", database->name(), made.error().text);
    return kFailed;
  }
  fmt::print(stderr, "tallygate: {}: the tables are there\n", database->name());
  return kDone;
}

int status(const ShopOptions& options) {
  config::Settings settings;
  int exit_code = kDone;
  const auto database = database_of(options.config, settings, exit_code);
  if (!database) return exit_code;
  const auto backlog = shop::Outbox::inspect(settings.ledger.dir + "/outbox.db");
  json::object out{{"database", database->name()}};
  if (backlog) {
    out["batches_waiting"] = backlog->batches;
    out["oldest_waiting_at"] =
        backlog->oldest_at == 0 ? json::value(nullptr) : json::value(backlog->oldest_at);
  } else {
    out["outbox"] = backlog.error().text;
  }
  const auto opened = database->open(false);
  out["reachable"] = opened.has_value();
  if (!opened) out["error"] = opened.error().text;
  json::array edges;
  if (opened) {
    if (const auto seen = database->edges()) {
      for (const shop::EdgeSeen& edge : *seen) {
        edges.push_back(json::object{{"edge_id", edge.edge.edge_id},
                                     {"last_seq", edge.last_seq},
                                     {"seen_at", edge.seen_at}});
      }
    }
  }
  out["edges"] = std::move(edges);
  if (options.as_json) {
    fmt::print("{}\n", json::serialize(out));
  } else {
    for (const auto& [name, value] : out) {
      fmt::print("{:18} {}\n", std::string_view(name.data(), name.size()), json::serialize(value));
    }
  }
  return opened ? kDone : kFailed;
}

}  // namespace

void add_shop_commands(CLI::App& app, int& exit_code) {
  CLI::App* shop_command = app.add_subcommand("shop", "the shop's database");
  shop_command->require_subcommand(1);
  const auto o = std::make_shared<ShopOptions>();
  CLI::App* init_command = shop_command->add_subcommand("init", "make tables and triggers");
  init_command->add_option("--config", o->config, "settings (TOML)")->required();
  init_command->add_flag("--print", o->print, "only show the SQL");
  init_command->callback([o, &exit_code] { exit_code = init(*o); });
  CLI::App* status_command = shop_command->add_subcommand("status", "lag and errors");
  status_command->add_option("--config", o->config, "settings (TOML)")->required();
  status_command->add_flag("--json", o->as_json, "print JSON");
  status_command->callback([o, &exit_code] { exit_code = status(*o); });
}

}  // namespace tallygate::command
