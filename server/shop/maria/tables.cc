#include "server/shop/maria/tables.h"

#include <fmt/format.h>

namespace tallygate::shop::maria {

std::string quoted(std::string_view identifier) {
  std::string text = "`";
  for (const char c : identifier) {
    if (c == '`') text += c;
    text += c;
  }
  return text + '`';
}

std::string json_rows(std::string_view columns) {
  return fmt::format(" JSON_TABLE(?, '$[*]' COLUMNS({})) j ", columns);
}

// Longer than a column of ours, so that what does not fit is refused rather than left out.
std::string charge_rows() {
  return json_rows(
      "id varchar(255) CHARACTER SET ascii COLLATE ascii_bin PATH '$[0]', k bigint unsigned PATH"
      " '$[1]', n bigint PATH '$[2]', g bigint PATH '$[3]'");
}

// A number compared with a text would be compared as floating point, without an index.
std::string counter_join(std::string_view kind_of_join, std::string_view key) {
  return fmt::format(
      " {} tg_edge_count c ON c.link_id = CONVERT({} USING ascii) COLLATE ascii_bin"
      " AND c.edge_id = ? AND c.epoch = ?",
      kind_of_join, key);
}

void add_common(Tables& tables) {
  const std::string link_id = fmt::format("{} NOT NULL", kLinkIdType);
  const std::string edge_id = "varchar(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL";
  const std::string now = "bigint NOT NULL DEFAULT (UNIX_TIMESTAMP())";
  tables.own.insert(
      tables.own.end(),
      {{"tg_edge",
        "How far each edge has pushed",
        {{"edge_id", edge_id},
         {"epoch", "bigint NOT NULL"},
         {"last_seq", "bigint NOT NULL DEFAULT 0"},
         {"seen_at", now}},
        {"PRIMARY KEY(edge_id, epoch)"}},
       {"tg_edge_count",
        "What each edge delivered: total over the life of the link (an audit: never reset), and the"
        " part of the row in generation reset_gen that is this edge's",
        {{"link_id", link_id},
         {"edge_id", edge_id},
         {"epoch", "bigint NOT NULL"},
         {"total", "bigint NOT NULL"},
         {"charged", "bigint NOT NULL DEFAULT 0"},
         {"reset_gen", "int unsigned NOT NULL DEFAULT 0"}},
        {"PRIMARY KEY(link_id, edge_id, epoch)"}},
       {"tg_download",
        "One row per transfer; ranges that one client fetched within 60 s of each other are one "
        "row",
        {{"event_id", "binary(16) NOT NULL"},
         {"link_id", link_id},
         {"edge_id", edge_id},
         {"started_at", "bigint NOT NULL"},
         {"ended_at", "bigint NOT NULL"},
         {"client_ip", "varchar(64)"},
         {"user_agent", "varchar(256)"},
         {"bytes_sent", "bigint NOT NULL"},
         {"file_size", "bigint NOT NULL"},
         {"outcome", "tinyint NOT NULL COMMENT '0 complete, 1 partial, 2 probe, 3 refused'"},
         {"counted", "bigint NOT NULL COMMENT 'copies that it completed'"}},
        {"PRIMARY KEY(event_id)", "KEY tg_download_link(link_id, started_at)"}},
       {"tg_consumer",
        "Who wants to know of changes",
        {{"consumer", edge_id}},
        {"PRIMARY KEY(consumer)"}},
       {"tg_dirty",
        "What changed",
        {{"consumer", edge_id},
         {"kind", "char(1) CHARACTER SET ascii COLLATE ascii_bin NOT NULL"},
         {"obj", link_id},
         {"gen", "bigint unsigned NOT NULL DEFAULT 1"}},
        {"PRIMARY KEY(consumer, kind, obj)"}}});
  tables.grants.insert(
      tables.grants.end(),
      {"SELECT, INSERT, UPDATE ON `tg_edge`", "SELECT, INSERT, UPDATE ON `tg_edge_count`",
       "SELECT, INSERT, UPDATE ON `tg_download`", "SELECT, INSERT ON `tg_consumer`",
       "SELECT, DELETE ON `tg_dirty`", "EXECUTE ON FUNCTION `tg_trigger_names`"});
}

}  // namespace tallygate::shop::maria
