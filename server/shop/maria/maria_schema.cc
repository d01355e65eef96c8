#include "server/shop/maria/maria_schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace tallygate::shop::maria {
namespace {

// Whoever lacks the right to make triggers on a table does not see those that are there, and the
// edge must not have it: so it asks somebody who has it.
constexpr std::string_view kTriggerNames =
    "CREATE FUNCTION IF NOT EXISTS tg_trigger_names() RETURNS text CHARSET utf8mb4"
    " READS SQL DATA SQL SECURITY DEFINER"
    " RETURN (SELECT GROUP_CONCAT(TRIGGER_NAME) FROM information_schema.TRIGGERS"
    " WHERE TRIGGER_SCHEMA = DATABASE() AND TRIGGER_NAME LIKE 'tg\\_%')";

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  return text;
}

std::string create_table(const OwnTable& table) {
  std::string lines;
  for (const auto& column : table.columns) {
    lines += fmt::format("  {} {},\n", column.name, column.definition);
  }
  for (const auto& key : table.keys) lines += fmt::format("  {},\n", key);
  lines.resize(lines.size() - 2);
  return fmt::format(
      "CREATE TABLE IF NOT EXISTS {}(\n{}\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4\n"
      "  COMMENT='{}'",
      table.name, lines, [&] {
        std::string text;
        for (const char c : table.comment) text += c == '\'' ? "''" : std::string(1, c);
        return text;
      }());
}

std::string marks(const Watch& watch, std::string_view row) {
  return fmt::format(
      "    INSERT INTO tg_dirty(consumer, kind, obj)\n"
      "      SELECT consumer, '{}', {}.{} FROM tg_consumer WHERE NOT (consumer <=> @tg_origin)\n"
      "      ON DUPLICATE KEY UPDATE tg_dirty.gen = tg_dirty.gen + 1;\n",
      watch.kind, row, watch.key);
}

std::string condition(const Watch& watch, std::string_view row) {
  if (watch.only_if.empty()) return "true";
  return fmt::format(fmt::runtime(watch.only_if), fmt::arg("row", row));
}

std::string gone(const Watch& watch) {
  return marks(watch, "OLD") +
         (watch.on_gone.empty() ? "" : fmt::format("    {};\n", watch.on_gone));
}

std::string block(const std::string& when, const std::string& statements) {
  return fmt::format("  IF {} THEN\n{}  END IF;\n", when, statements);
}

std::string update_body(const Watch& watch) {
  std::string same;
  for (const auto& column : watch.columns) {
    same += fmt::format("{}NEW.{} <=> OLD.{}", same.empty() ? "" : " AND ", column, column);
  }
  same += fmt::format(" AND NEW.{0} <=> OLD.{0}", watch.key);
  return block(fmt::format("({} OR {}) AND NOT ({})", condition(watch, "NEW"),
                           condition(watch, "OLD"), same),
               marks(watch, "NEW")) +
         block(fmt::format("NOT (NEW.{0} <=> OLD.{0})", watch.key), gone(watch));
}

// Whatever goes wrong in here (a table of ours that is gone, say) is not the shop's concern.
Trigger trigger(const Watch& watch, std::string_view event, std::string_view past,
                const std::string& body) {
  const auto name = fmt::format("tg_{}_{}", watch.name, past);
  return {name, fmt::format("CREATE TRIGGER {} AFTER {} ON {} FOR EACH ROW BEGIN\n"
                            "  DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END;\n{}END",
                            name, event, quoted(watch.table), body)};
}

// Lower-case names of columns by lower-case names of tables.
using Columns = std::map<std::string, std::vector<std::string>>;

Columns visible_columns(Connection& db) {
  Columns columns;
  Statement query(db,
                  "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS"
                  " WHERE TABLE_SCHEMA = DATABASE()");
  query.execute();
  while (query.step()) columns[lower(query.text(0))].push_back(lower(query.text(1)));
  return columns;
}

// A table in which one has no right is not visible, and not the same as one that is not there.
void probe_table(Connection& db, const Columns& present, const std::string& table,
                 const std::vector<std::string>& columns, std::vector<std::string>& missing) {
  const auto found = present.find(lower(table));
  if (found == present.end()) {
    try {
      const Statement query(db, fmt::format("SELECT 1 FROM {} LIMIT 0", quoted(table)));
    } catch (const Error& error) {
      if (!error.is_missing_right() && !error.is_missing_object()) throw;
      missing.push_back(error.is_missing_right() ? error.what() : "table " + table);
    }
    return;
  }
  for (const auto& column : columns) {
    if (std::ranges::find(found->second, lower(column)) != found->second.end()) continue;
    missing.push_back(fmt::format("column {}.{}", table, column));
  }
}

void probe_engines(Connection& db, const std::vector<std::string>& tables,
                   std::vector<std::string>& missing) {
  Statement query(db,
                  "SELECT TABLE_NAME, ENGINE FROM information_schema.TABLES"
                  " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE'");
  query.execute();
  while (query.step()) {
    const auto name = query.text(0);
    const auto engine = query.text(1);
    const auto is_it = [&](const std::string& table) { return lower(table) == lower(name); };
    if (lower(engine) == "innodb" || std::ranges::none_of(tables, is_it)) continue;
    missing.push_back(
        fmt::format("table {} is {}, which has no transactions (ALTER TABLE {} ENGINE=InnoDB)",
                    name, engine, quoted(name)));
  }
}

std::string account(std::string_view user) {
  const auto at = user.rfind('@');
  const auto part = [](std::string_view text) {
    if (text.size() >= 2 && (text.front() == '\'' || text.front() == '`' || text.front() == '"') &&
        text.back() == text.front()) {
      text = text.substr(1, text.size() - 2);
    }
    std::string out = "'";
    for (const char c : text) {
      if (c == '\'' || c == '\\') out += c;
      out += c;
    }
    return out + '\'';
  };
  if (at == user.npos) return part(user);
  return part(user.substr(0, at)) + '@' + part(user.substr(at + 1));
}

}  // namespace

std::vector<Trigger> triggers(const Tables& tables) {
  std::vector<Trigger> list;
  for (const auto& watch : tables.watches) {
    if (!watch.only_updates) {
      list.push_back(trigger(watch, "INSERT", "inserted",
                             block(condition(watch, "NEW"), marks(watch, "NEW"))));
    }
    list.push_back(trigger(watch, "UPDATE", "updated", update_body(watch)));
    if (!watch.only_updates) {
      list.push_back(
          trigger(watch, "DELETE", "deleted", block(condition(watch, "OLD"), gone(watch))));
    }
  }
  return list;
}

void create_schema(Connection& db, const Tables& tables) {
  for (const auto& table : tables.own) db.execute(create_table(table));
  const auto present = visible_columns(db);
  for (const auto& table : tables.own) {
    const auto& columns = present.at(table.name);
    for (const auto& column : table.columns) {
      if (std::ranges::find(columns, column.name) != columns.end()) continue;
      db.execute(fmt::format("ALTER TABLE {} ADD COLUMN {} {}", table.name, column.name,
                             column.definition));
    }
  }
  db.execute(kTriggerNames);
  for (const auto& trigger : triggers(tables)) {
    db.execute("DROP TRIGGER IF EXISTS " + trigger.name);
    db.execute(trigger.sql);
  }
}

std::string schema_text(const Tables& tables) {
  std::string text = "-- tallygate: links, counts and history.\n\n";
  for (const auto& table : tables.own) text += create_table(table) + ";\n\n";
  text += fmt::format("{};\n\n", kTriggerNames);
  text += "DELIMITER $$\n";
  for (const auto& trigger : triggers(tables)) {
    text += fmt::format("DROP TRIGGER IF EXISTS {}$$\n{}$$\n", trigger.name, trigger.sql);
  }
  return text + "DELIMITER ;\n";
}

std::string grants_text(const Tables& tables, std::string_view user, bool prunes) {
  std::string text;
  for (const auto& grant : tables.grants) {
    text += fmt::format("GRANT {} TO {};\n", grant, account(user));
  }
  if (prunes) text += fmt::format("GRANT DELETE ON `tg_download` TO {};\n", account(user));
  return text;
}

std::vector<std::string> missing_triggers(Connection& db, const Tables& tables) {
  std::string present;
  bool sees_all = true;
  const auto read = [&](const char* sql) {
    Statement query(db, sql);
    query.execute();
    if (query.step()) present = query.text(0);
  };
  try {
    read("SELECT tg_trigger_names()");
  } catch (const Error& error) {
    // To somebody without a right to it, a function that is not there looks the same.
    if (!error.is_missing_object() && !error.is_missing_right()) throw;
    sees_all = false;
    read(
        "SELECT GROUP_CONCAT(TRIGGER_NAME) FROM information_schema.TRIGGERS"
        " WHERE TRIGGER_SCHEMA = DATABASE()");
  }
  const auto list = "," + lower(present) + ",";
  std::vector<std::string> missing;
  for (const auto& trigger : triggers(tables)) {
    if (list.find("," + trigger.name + ",") != list.npos) continue;
    missing.push_back("trigger " + trigger.name);
  }
  if (!missing.empty() && !sees_all) {
    return {
        "function tg_trigger_names, or the right to execute it: without, triggers are not seen"};
  }
  return missing;
}

std::vector<std::string> probe_schema(Connection& db, const Tables& tables) {
  std::vector<std::string> missing;
  const auto present = visible_columns(db);
  std::vector<std::string> names;
  for (const auto& table : tables.own) {
    std::vector<std::string> columns;
    for (const auto& column : table.columns) columns.push_back(column.name);
    probe_table(db, present, table.name, columns, missing);
    names.push_back(table.name);
  }
  for (const auto& table : tables.shop) {
    probe_table(db, present, table.name, table.columns, missing);
    names.push_back(table.name);
  }
  probe_engines(db, names, missing);
  return missing;
}

}  // namespace tallygate::shop::maria
