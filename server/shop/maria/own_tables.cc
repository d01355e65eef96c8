// tallygate's own schema: a row of tg_link per link.
#include <fmt/format.h>

#include "server/shop/maria/tables.h"

namespace tallygate::shop::maria {

Tables own_tables() {
  Tables tables;
  tables.own.push_back(
      {"tg_link",
       "Links. Times are unix seconds, UTC. Reset: used = 0, reset_gen = reset_gen + 1",
       {{"link_id", fmt::format("{} NOT NULL CHECK (link_id <> '')", kLinkIdType)},
        {"file_id", "varchar(2048) NOT NULL DEFAULT '' COMMENT 'informative'"},
        {"order_ref", "varchar(255) COMMENT 'yours'"},
        {"max_copies", "int COMMENT 'NULL as signed, -1 unlimited' CHECK (max_copies >= -1)"},
        {"used", "bigint NOT NULL DEFAULT 0 CHECK (used >= 0)"},
        {"not_before", "bigint COMMENT 'NULL as signed'"},
        {"expires_at", "bigint COMMENT 'NULL as signed; refused from this second on'"},
        {"state",
         "tinyint NOT NULL DEFAULT 0 COMMENT '0 active, 1 held, 2 refunded, 3 revoked'"
         " CHECK (state BETWEEN 0 AND 3)"},
        {"reset_gen", "int unsigned NOT NULL DEFAULT 0"},
        {"blocked",
         "varchar(7) CHARACTER SET ascii COLLATE ascii_bin"
         " CHECK (blocked IN ('copies', 'traffic'))"},
        {"updated_at", "bigint NOT NULL DEFAULT (UNIX_TIMESTAMP())"}},
       {"PRIMARY KEY(link_id)"}});
  tables.grants.emplace_back("SELECT, INSERT, UPDATE ON `tg_link`");
  add_common(tables);
  // A row that is made again starts anew.
  tables.watches.push_back(
      {.name = "link",
       .table = "tg_link",
       .key = "link_id",
       .columns = {"file_id", "max_copies", "used", "not_before", "expires_at", "state",
                   "reset_gen"},
       .on_gone = "UPDATE tg_edge_count SET charged = 0 WHERE link_id = OLD.link_id"});

  tables.rows_table = "tg_link k";
  tables.key = "k.link_id";
  tables.is_numeric = false;
  tables.columns =
      "k.link_id, k.max_copies, k.used, c.charged, k.not_before, k.expires_at, k.state,"
      " k.reset_gen";
  tables.joins =
      " LEFT JOIN tg_edge_count c ON c.link_id = k.link_id AND c.edge_id = ? AND c.epoch = ?"
      " AND c.reset_gen = k.reset_gen";

  // In one UPDATE the order of assignments is undefined, so a new generation begins in one of its
  // own, and `used` and `charged` then move together.
  const std::string joined =
      "UPDATE" + charge_rows() +
      "STRAIGHT_JOIN tg_link k ON k.link_id = j.id AND k.reset_gen = j.g"
      " STRAIGHT_JOIN tg_edge_count c ON c.link_id = j.id AND c.edge_id = ? AND c.epoch = ? ";
  tables.charges = {
      {joined + "SET c.charged = 0, c.reset_gen = j.g WHERE c.reset_gen <> j.g", true},
      {joined + "SET k.used = k.used + j.n, k.updated_at = UNIX_TIMESTAMP(),"
                " c.charged = c.charged + j.n",
       true}};
  const std::string id = "id varchar(255) CHARACTER SET ascii COLLATE ascii_bin PATH '$[0]',";
  tables.create = "INSERT INTO tg_link(link_id, file_id) SELECT j.id, LEFT(j.f, 2048) FROM" +
                  json_rows(id + "f text CHARACTER SET utf8mb4 PATH '$[1]'") +
                  "WHERE true ON DUPLICATE KEY UPDATE tg_link.link_id = tg_link.link_id";
  tables.block = "UPDATE" +
                 json_rows(id + "b varchar(7) CHARACTER SET ascii COLLATE ascii_bin PATH '$[1]'") +
                 "STRAIGHT_JOIN tg_link k ON k.link_id = j.id"
                 " SET k.blocked = j.b, k.updated_at = UNIX_TIMESTAMP()"
                 " WHERE NOT (k.blocked <=> j.b)";
  // A parameter that says "set" stands before each value.
  tables.edit =
      "UPDATE tg_link SET max_copies = IF(?, ?, max_copies), expires_at = IF(?, ?, expires_at),"
      " state = COALESCE(?, state), used = IF(?, 0, used), reset_gen = reset_gen + ?,"
      " updated_at = UNIX_TIMESTAMP() WHERE link_id = ?";
  return tables;
}

}  // namespace tallygate::shop::maria
