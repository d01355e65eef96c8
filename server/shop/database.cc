#include "server/shop/database.h"

#include <stdexcept>

#include "server/shop/sqlite/sqlite_database.h"

namespace tallygate::shop {

void throw_exception_from_error(const Failure& failure, const boost::source_location&) {
  throw std::runtime_error(failure.text);
}

Answer<std::unique_ptr<Database>> make_database(const config::Settings& settings,
                                                std::string /*password*/) {
  constexpr std::string_view kSqlite = "sqlite:";
  const auto& url = settings.shop.url;
  const bool makes_rows = settings.links.authority == config::Authority::signature;
  if (url.starts_with(kSqlite)) {
    return std::unique_ptr<Database>(
        std::make_unique<SqliteDatabase>(url.substr(kSqlite.size()), makes_rows));
  }
  return Failure{false, "not a database that is supported"};
}

}  // namespace tallygate::shop
