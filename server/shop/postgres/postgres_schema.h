// The tables, functions and triggers of tallygate's own schema, as PostgreSQL (13 and newer) spells
// them.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "server/shop/postgres/postgres.h"

namespace tallygate::shop {

// What `tallygate shop init` executes and `--print` shows. One transaction; safe to execute again.
[[nodiscard]] std::string_view postgres_schema() noexcept;

// What the edge's own role needs, and no more. `user`: a role's name, quoted here.
[[nodiscard]] std::string postgres_grants(std::string_view user, bool prunes);

// What tallygate needs and the database lacks, in words: "table tg_link", "column tg_link.blocked",
// "right UPDATE on tg_link". Throws postgres::Error.
struct PostgresMissing {
  std::vector<std::string> needed;
  std::vector<std::string> add_statements;  // that add the missing columns
};
[[nodiscard]] PostgresMissing probe_postgres_schema(postgres::Connection& connection);

// "trigger tg_link_updated": gone, or disabled. Throws postgres::Error.
[[nodiscard]] std::vector<std::string> missing_postgres_triggers(postgres::Connection& connection);

}  // namespace tallygate::shop
