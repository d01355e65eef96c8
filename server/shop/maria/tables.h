// What differs between tallygate's own tables and those of each shop system: declarations and SQL
// texts, no behaviour. MariaDatabase does the rest, the same for all.
//
// In every text `j` is a JSON_TABLE and `c` is this edge's row of tg_edge_count.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace tallygate::shop::maria {

struct Column {
  std::string name;
  std::string definition;
};

// A table of ours: made, and given columns that an older version lacks.
struct OwnTable {
  std::string name;
  std::string comment;
  std::vector<Column> columns;
  std::vector<std::string> keys;
};

// A table of the shop's: it must be there, with these columns, in InnoDB. Never altered.
struct ShopTable {
  std::string name;
  std::vector<std::string> columns;
};

// A table whose changes are to be marked by triggers.
struct Watch {
  std::string name;  // the triggers are tg_<name>_inserted, _updated, _deleted
  std::string table;
  std::string key;  // the column that says what the mark is about
  char kind = 'L';
  std::vector<std::string> columns;  // an update is marked if one of these changes
  bool only_updates = false;
  std::string only_if{};  // a condition on the row, which is written {row}
  std::string on_gone{};  // another statement for a row that is gone, OLD
};

// Marks of another kind than 'L': which rows they are about.
struct Expansion {
  char kind;
  std::string column;    // of the rows' tables, equal to the mark's object
  std::string key_type;  // as JSON_TABLE spells it
  bool known_only;       // only links that this edge ever told of
};

// A statement of a push. Its first parameter is a JSON list of [id, key, copies, reset_gen] where
// `key` is the id as a number.
struct Charge {
  std::string sql;
  bool is_of_edge;  // edge_id and epoch are the next parameters
};

struct Tables {
  std::string system;         // whose tables they are, for messages; empty: our own
  std::string changed_where;  // for whom the tables are not ours: where a merchant edits a link
  std::vector<OwnTable> own;
  std::vector<ShopTable> shop;
  std::vector<Watch> watches;

  // Rows in normal form: link_id, max_copies (NULL: as signed, -1: unlimited), used, own part of
  // it, not_before, expires_at, state, reset_gen. The first two parameters of `joins` are edge_id
  // and epoch.
  std::string rows_table;  // with its alias
  std::string key;         // the column that is the link's id
  bool is_numeric = true;  // the key is a number
  std::string columns;
  std::string joins;
  std::string filter;  // " AND …": not all rows are links
  std::vector<Expansion> expansions;
  // expires_at is in the time zone that this query names, as if it were UTC; empty: it is UTC.
  std::string time_zone_query{};

  std::vector<Charge> charges;
  std::string log{};     // one parameter: a JSON list of [key, unix seconds, client_ip]; or empty
  std::string create{};  // one parameter: a JSON list of [id, file_id]; empty: the shop makes rows
  std::string block{};   // one parameter: a JSON list of [id, blocked or null]; or empty
  std::string edit{};    // see MariaDatabase::edit; or empty

  std::vector<std::string> grants;  // "SELECT, INSERT ON `tg_edge`"
};

[[nodiscard]] Tables own_tables();
// `hpos`: orders are in wc_orders ("high-performance order storage"), not in posts.
[[nodiscard]] Tables woocommerce_tables(std::string_view prefix, bool hpos);
[[nodiscard]] Tables prestashop_tables(std::string_view prefix);
[[nodiscard]] Tables magento_tables(std::string_view prefix);

// Shared by these four.

// tg_edge, tg_edge_count, tg_download, tg_consumer, tg_dirty, and the rights to them.
void add_common(Tables& tables);

[[nodiscard]] std::string quoted(std::string_view identifier);  // `identifier`
// " JSON_TABLE(?, '$[*]' COLUMNS(…)) j "
[[nodiscard]] std::string json_rows(std::string_view columns);
// What a Charge's parameter holds: id, k, n, g.
[[nodiscard]] std::string charge_rows();
// The edge's counter of a link whose id is the number `key`.
[[nodiscard]] std::string counter_join(std::string_view kind_of_join, std::string_view key);

inline constexpr std::string_view kLinkIdType = "varchar(96) CHARACTER SET ascii COLLATE ascii_bin";

}  // namespace tallygate::shop::maria
