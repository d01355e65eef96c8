// Makes what `Tables` declares, and finds what of it is not there.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "server/shop/maria/maria.h"
#include "server/shop/maria/tables.h"

namespace tallygate::shop::maria {

// A trigger of ours, and the statement that makes it.
struct Trigger {
  std::string name;
  std::string sql;
};
[[nodiscard]] std::vector<Trigger> triggers(const Tables& tables);

// Makes tables, columns, function and triggers; safe to do again. Throws Error.
void create_schema(Connection& db, const Tables& tables);
// The same for the mariadb shell, all but columns that an older schema lacks.
[[nodiscard]] std::string schema_text(const Tables& tables);
// `user` is a name, or name@host; quotes around either are dropped.
[[nodiscard]] std::string grants_text(const Tables& tables, std::string_view user, bool prunes);

// "table tg_link", "column tg_link.blocked", tables that are not in InnoDB: nothing works without.
// As far as the user of this connection sees them; other rights are found by preparing what needs
// them (MariaSession). Throws Error.
[[nodiscard]] std::vector<std::string> probe_schema(Connection& db, const Tables& tables);

// "trigger tg_link_updated"; or the function by which one sees them. Throws Error.
[[nodiscard]] std::vector<std::string> missing_triggers(Connection& db, const Tables& tables);

}  // namespace tallygate::shop::maria
