#include "server/shop/database.h"

#include <stdexcept>

#include "core/shop/maria_url.h"
#include "server/shop/maria/maria_database.h"
#include "server/shop/postgres/postgres_database.h"
#include "server/shop/sqlite/sqlite_database.h"

namespace tallygate::shop {

void throw_exception_from_error(const Failure& failure, const boost::source_location&) {
  throw std::runtime_error(failure.text);
}

Answer<std::unique_ptr<Database>> make_database(const config::Settings& settings,
                                                std::string password) {
  constexpr std::string_view kSqlite = "sqlite:";
  const auto& url = settings.shop.url;
  const bool makes_rows = settings.links.authority == config::Authority::signature;
  std::unique_ptr<Database> database;
  if (url.starts_with(kSqlite)) {
    database = std::make_unique<SqliteDatabase>(url.substr(kSqlite.size()), makes_rows);
  } else if (url.starts_with("postgresql:")) {
    database = std::make_unique<PostgresDatabase>(url, std::move(password), makes_rows);
  } else {
    const auto target = parse_maria_url(url);
    if (!target) return Failure{false, target.error().text};
    database = make_maria_database(*target, std::move(password), settings.shop.schema,
                                   settings.shop.table_prefix, makes_rows);
  }
  return database;
}

}  // namespace tallygate::shop
