// An open MariaDB shop: the connection and every statement that MariaDatabase executes on it.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "server/shop/database.h"
#include "server/shop/maria/maria.h"
#include "server/shop/maria/tables.h"

namespace date {
class time_zone;
}

namespace tallygate::shop {

// Null: not of these tables.
using PreparedStatement = std::unique_ptr<maria::Statement>;

struct MariaStatements {
  PreparedStatement gate;               // seq, edge_id, epoch, seq
  PreparedStatement last_seq;           // edge_id, epoch
  PreparedStatement register_edge;      // edge_id, epoch
  PreparedStatement is_consumer;        // edge_id
  PreparedStatement register_consumer;  // edge_id
  PreparedStatement edges;
  PreparedStatement know;       // edge_id, epoch, JSON [id]
  PreparedStatement add_total;  // edge_id, epoch, JSON as a Charge's
  std::vector<PreparedStatement> charges;
  PreparedStatement log;
  PreparedStatement create;
  PreparedStatement block;
  PreparedStatement download;  // edge_id, JSON
  PreparedStatement edit;
  PreparedStatement marks;  // edge_id, marks
  // JSON [kind, obj, gen], edge_id; those that nobody is just writing, which are then locked.
  PreparedStatement lock_marks;
  PreparedStatement unmark;                   // edge_id, JSON [kind, obj]
  PreparedStatement load;                     // JSON [id], edge_id, epoch
  PreparedStatement scan;                     // edge_id, epoch, after, rows
  PreparedStatement scan_lost;                // edge_id, after, links; a link once per epoch
  PreparedStatement history_page;             // after, rows; columns: event_id in hex, ended_at
  PreparedStatement prune;                    // after, last, ended before; see prepare_prune()
  std::vector<PreparedStatement> expansions;  // JSON [key], edge_id, epoch; last column: the key
};

class MariaSession {
 public:
  // Connects and sets the session up. `patience`: for the server's answer.
  MariaSession(const MariaTarget& target, const std::string& password,
               std::chrono::seconds patience);

  // Prepares all statements. Returns what the server refuses for want of a right or an object, as
  // it says so itself.
  [[nodiscard]] std::vector<std::string> prepare(maria::Tables of);

  // Prepares `prune`, which needs a right that prepare() does not ask for.
  void prepare_prune();

  // Reads where the shop's clock hangs, if its tables have local times. Empty, or what is wrong.
  [[nodiscard]] std::string read_time_zone();

  // The current row of a statement that has the normal form from column 0 on.
  [[nodiscard]] Row row(const maria::Statement& from) const;

  maria::Connection db;
  maria::Tables tables;
  MariaStatements sql;

 private:
  const date::time_zone* zone_ = nullptr;  // null: times are UTC
};

// "MariaDB 10.11.19"
[[nodiscard]] std::string engine_of(const maria::Connection& db);

}  // namespace tallygate::shop
