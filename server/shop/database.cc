#include "server/shop/database.h"

#include <stdexcept>

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
    return Failure{false, "not a database that is supported"};
  }
  return database;
}

}  // namespace tallygate::shop
