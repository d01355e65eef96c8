// What is executed on tallygate's own tables in PostgreSQL, by name; prepared once for each
// connection. $1 is the edge's id and $2 its epoch wherever a statement has both.
#pragma once
#include <string>
#include <vector>

namespace tallygate::shop {

struct PostgresStatement {
  const char* name;
  std::string sql;
};

[[nodiscard]] const std::vector<PostgresStatement>& postgres_statements();

}  // namespace tallygate::shop
