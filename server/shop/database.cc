#include "server/shop/database.h"

#include <stdexcept>

#include "server/shop/sqlite_database.h"

namespace tallygate::shop {

void throw_exception_from_error(const Failure& failure, const boost::source_location&) {
  throw std::runtime_error(failure.text);
}

Answer<std::unique_ptr<Database>> make_database(std::string_view url) {
  constexpr std::string_view kSqlite = "sqlite:";
  if (url.starts_with(kSqlite) && url.size() > kSqlite.size()) {
    return std::unique_ptr<Database>(
        std::make_unique<SqliteDatabase>(std::string(url.substr(kSqlite.size()))));
  }
  return Failure{false, "not a database that is supported; expected sqlite:/path/to/shop.db"};
}

}  // namespace tallygate::shop
