#include "server/shop/postgres/postgres_statements.h"

namespace tallygate::shop {
namespace {

// A row and this edge's part of its `used`: what read_row in postgres_database.cc reads.
const std::string kRow =
    " k.link_id, k.max_copies, k.used, k.not_before, k.expires_at, k.state, k.reset_gen,"
    " c.charged ";
const std::string kOwnPart =
    " LEFT JOIN tg_edge_count c ON c.link_id = k.link_id AND c.edge_id = $1 AND c.epoch = $2"
    " AND c.reset_gen = k.reset_gen ";

}  // namespace

const std::vector<PostgresStatement>& postgres_statements() {
  static const std::vector<PostgresStatement> kStatements = {
      {"origin", "SELECT set_config('tallygate.origin', $1, true)"},
      {"gate",
       "UPDATE tg_edge SET last_seq = $3, seen_at = now()"
       " WHERE edge_id = $1 AND epoch = $2 AND last_seq = $3 - 1"},
      {"last_seq", "SELECT last_seq FROM tg_edge WHERE edge_id = $1 AND epoch = $2"},
      {"create",
       "INSERT INTO tg_link(link_id, file_id)"
       " SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT (link_id) DO NOTHING"},
      {"know",
       "INSERT INTO tg_edge_count(link_id, edge_id, epoch, total)"
       " SELECT l, $1, $2, 0 FROM unnest($3::text[]) l"
       " ON CONFLICT (link_id, edge_id, epoch) DO NOTHING"},
      // Of one order, so that edges that push at once wait for each other and do not deadlock.
      {"lock",
       "SELECT 1 FROM tg_link WHERE link_id = ANY($1::text[]) ORDER BY link_id"
       " FOR NO KEY UPDATE"},
      {"add_total",
       "INSERT INTO tg_edge_count AS c(link_id, edge_id, epoch, total, reset_gen)"
       " SELECT l, $1, $2, sum(n), max(g)"
       " FROM unnest($3::text[], $4::bigint[], $5::bigint[]) x(l, n, g) GROUP BY l ORDER BY l"
       " ON CONFLICT (link_id, edge_id, epoch) DO UPDATE SET total = c.total + EXCLUDED.total"},
      // `charged` moves exactly when the row does.
      {"charge",
       "WITH moved AS ("
       "UPDATE tg_link k SET used = k.used + x.n, updated_at = now()"
       " FROM unnest($3::text[], $4::bigint[], $5::bigint[]) x(l, n, g)"
       " WHERE k.link_id = x.l AND k.reset_gen = x.g RETURNING x.l, x.n, x.g)"
       " UPDATE tg_edge_count c SET"
       " charged = CASE WHEN c.reset_gen = m.g THEN c.charged + m.n ELSE m.n END,"
       " reset_gen = m.g FROM moved m"
       " WHERE c.link_id = m.l AND c.edge_id = $1 AND c.epoch = $2"},
      {"block",
       "UPDATE tg_link k SET blocked = x.b, updated_at = now()"
       " FROM unnest($1::text[], $2::text[]) x(l, b)"
       " WHERE k.link_id = x.l AND k.blocked IS DISTINCT FROM x.b"},
      // The stored row may be newer than ours only by our own hand: absolute values, last one wins.
      {"download",
       "INSERT INTO tg_download(edge_id, event_id, link_id, started_at, ended_at, client_ip,"
       " user_agent, bytes_sent, file_size, outcome, counted)"
       " SELECT $1, * FROM unnest($2::bytea[], $3::text[], $4::bigint[], $5::bigint[],"
       " $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::smallint[], $11::bigint[])"
       " ON CONFLICT (event_id) DO UPDATE SET started_at = EXCLUDED.started_at,"
       " ended_at = EXCLUDED.ended_at, bytes_sent = EXCLUDED.bytes_sent,"
       " outcome = EXCLUDED.outcome, counted = EXCLUDED.counted"},
      {"changes", "SELECT d.obj, d.gen," + kRow +
                      "FROM tg_dirty d LEFT JOIN tg_link k ON k.link_id = d.obj" + kOwnPart +
                      "WHERE d.consumer = $1 AND d.kind = 'L' ORDER BY d.obj LIMIT $3"},
      // A mark that somebody is renewing at this moment stays; nobody waits for him.
      {"unmark",
       "DELETE FROM tg_dirty WHERE (consumer, kind, obj, gen) IN ("
       "SELECT d.consumer, d.kind, d.obj, d.gen FROM tg_dirty d"
       " JOIN unnest($2::text[], $3::text[], $4::bigint[]) x(k, o, g)"
       " ON d.kind = x.k AND d.obj = x.o AND d.gen = x.g"
       " WHERE d.consumer = $1 FOR UPDATE OF d SKIP LOCKED)"},
      {"load", "SELECT" + kRow +
                   "FROM unnest($3::text[]) WITH ORDINALITY a(id, n)"
                   " JOIN tg_link k ON k.link_id = a.id" +
                   kOwnPart + "ORDER BY a.n"},
      {"scan", "SELECT" + kRow + "FROM tg_link k" + kOwnPart +
                   "WHERE k.link_id > $3 ORDER BY k.link_id LIMIT $4"},
      {"scan_lost",
       "SELECT DISTINCT c.link_id, k.link_id IS NULL FROM tg_edge_count c"
       " LEFT JOIN tg_link k ON k.link_id = c.link_id"
       " WHERE c.edge_id = $1 AND c.link_id > $2 ORDER BY c.link_id LIMIT $3"},
      {"history_page",
       "SELECT encode(event_id, 'hex'), ended_at FROM tg_download WHERE event_id > $1::bytea"
       " ORDER BY event_id LIMIT $2"},
      {"prune",
       "DELETE FROM tg_download"
       " WHERE event_id > $1::bytea AND event_id <= $2::bytea AND ended_at < $3"},
  };
  return kStatements;
}

}  // namespace tallygate::shop
