// The tables and triggers of tallygate's own schema, as SQLite spells them.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "server/shop/sqlite/sqlite.h"

namespace tallygate::shop {

// What `tallygate shop init` executes and `--print` shows. Safe to execute again.
[[nodiscard]] std::string_view sqlite_schema() noexcept;

// "table tg_link", "column tg_link.blocked", "trigger tg_link_updated": what tallygate needs and
// the database lacks. Throws sqlite::Error.
struct Missing {
  std::vector<std::string> tables_and_columns;  // make the database unusable
  std::vector<std::string> triggers;            // are made again: dumps often leave them out
};
[[nodiscard]] Missing probe_sqlite_schema(sqlite::Connection& connection);

}  // namespace tallygate::shop
