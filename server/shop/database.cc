#include "server/shop/database.h"

#include "server/shop/sqlite_database.h"

namespace tallygate::shop {

Result<std::unique_ptr<Database>, std::string> make_database(std::string_view url) {
  constexpr std::string_view kSqlite = "sqlite:";
  if (url.starts_with(kSqlite) && url.size() > kSqlite.size()) {
    return std::unique_ptr<Database>(
        std::make_unique<SqliteDatabase>(std::string(url.substr(kSqlite.size()))));
  }
  return std::string("not a database that is supported; expected sqlite:/path/to/shop.db");
}

}  // namespace tallygate::shop
