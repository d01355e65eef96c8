// The shop's database as the sync sees it: tallygate's own tables on SQLite, PostgreSQL or MariaDB,
// or the tables of a shop system on MariaDB.
//
// Used by one thread at a time, after `open`. Every call may block for as long as the database
// takes, bounded by the implementation's own time-out, and none throws. After a failure that is not
// retryable: close(), then open() again.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "core/config/settings.h"
#include "core/shop/history.h"
#include "core/shop/word.h"
#include "server/shop/batch.h"

namespace tallygate::shop {

struct Failure {
  Failure() = default;
  Failure(bool may_retry, std::string what) : retryable(may_retry), text(std::move(what)) {}
  bool retryable;    // the connection is fine; the same transaction may succeed later
  std::string text;  // for the operator
};

// What Answer::value() throws where there is none: std::runtime_error with the text.
[[noreturn]] void throw_exception_from_error(const Failure& failure,
                                             const boost::source_location& where);

template <class T>
using Answer = Result<T, Failure>;

// Whose stream of batches: the configured name, and a number made with the outbox, so that a
// restored or cloned outbox cannot be taken for another.
struct Edge {
  std::string edge_id;
  std::uint64_t epoch = 0;  // below 2^63: the databases' integers are signed
};

struct Row {
  std::string link_id;
  Word word;               // used_elsewhere: `used` less what this edge's batches added to it
  std::uint64_t used = 0;  // of all edges
};

// Something that somebody else changed since the mark was last acknowledged: a link's row, or what
// several links depend on (an order, a product of a shop system).
struct Mark {
  char kind = 'L';     // 'L': `object` is a link's id; others are the schema's own
  std::string object;  // its key in the shop
  std::uint64_t generation = 0;
};
// The mark and the links that it is about, of one snapshot or of a later one.
struct Change {
  Mark mark;
  std::vector<Row> rows;
  std::vector<std::string> gone;  // have no row
};

enum class Pushed : std::uint8_t {
  applied,
  already_applied,  // its acknowledgement was lost
  gap,              // the database misses batches before this one: see last_seq()
};
// An item that the database refuses by itself (a constraint, a merchant's trigger), left out so
// that the rest goes on.
struct Parked {
  std::string link_id;
  std::string reason;
};
struct PushReport {
  Pushed outcome = Pushed::applied;
  std::vector<Parked> parked;
};

// What an operator changes in a row; what is not set stays.
struct Edit {
  std::optional<std::optional<std::int32_t>> max_copies{};  // inner nullopt: as signed
  std::optional<std::optional<std::int64_t>> expires_at{};  // inner nullopt: as signed
  std::optional<State> state{};
  bool reset = false;   // used = 0 and a new generation
  bool create = false;  // make the row if there is none
};

// Links of this edge without a row.
struct LostLinks {
  std::vector<std::string> link_ids;
  std::string next;     // where to go on
  bool is_end = false;  // nothing comes after `next`
};

// A page of the history, looked through for rows that are too old.
struct HistoryPage {
  std::size_t rows = 0;     // looked at; fewer than asked for: the end
  std::size_t deleted = 0;  // of those
  EventId last{};           // where to go on, unless the page is empty
};

// One line of `tallygate shop status`.
struct EdgeSeen {
  Edge edge;
  std::uint64_t last_seq = 0;
  std::int64_t seen_at = 0;  // unix seconds by the database's clock
};

// What the batches of one stream added to a link's `used` in this generation. There is one for each
// link that the stream ever told of.
struct EdgeCount {
  std::string link_id;
  std::uint32_t reset_gen = 0;
  std::uint64_t charged = 0;
};

class Database {
 public:
  Database() = default;
  virtual ~Database() = default;
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Where it is, for messages; without a password.
  [[nodiscard]] virtual std::string name() const = 0;
  // What it is, as "PostgreSQL 15.18"; may be more exact after open().
  [[nodiscard]] virtual std::string engine() const = 0;
  // False: a link's first use makes no row; the shop makes one when it sells something.
  [[nodiscard]] virtual bool makes_rows() const noexcept = 0;

  // Connects, and fails by naming everything that is missing: tables, columns, rights.
  // `create`: an embedded database may be made now; a server's schema is made by `tallygate shop
  // init` only.
  [[nodiscard]] virtual Answer<void> open(bool create) = 0;
  virtual void close() noexcept = 0;

  // Makes tables, columns and triggers that are missing; what exists stays as it is. Needs no
  // open(), and on a server more rights than the rest.
  [[nodiscard]] virtual Answer<void> create_schema() = 0;
  // The same for somebody who runs it by hand, in the language of the database's own shell.
  [[nodiscard]] virtual std::string schema_sql() const = 0;
  // The rights that the rest needs, as statements for `user`; empty: there are none to be had.
  // `prunes`: prune_history() will be called.
  [[nodiscard]] virtual std::string grants_sql(std::string_view user, bool prunes) const = 0;

  // Makes this edge known, for push and for the marks of changes. Returns its last_seq. Before any
  // of the following.
  [[nodiscard]] virtual Answer<std::uint64_t> register_edge(const Edge& edge) = 0;
  [[nodiscard]] virtual Answer<std::uint64_t> last_seq() = 0;

  // Gate, rows, counters and history in one transaction: sent twice, applied once.
  [[nodiscard]] virtual Answer<PushReport> push(const Batch& batch) = 0;

  // Differs from an earlier stamp of this connection if anybody else committed in between; may
  // differ without.
  [[nodiscard]] virtual Answer<std::uint64_t> change_stamp() = 0;
  // The triggers that are not there, as "trigger tg_link_updated": dumps often leave them out.
  // Until somebody makes them again, changes leave no marks, and only the scan finds them.
  [[nodiscard]] virtual Answer<std::vector<std::string>> missing_triggers() = 0;
  // Becomes readable when somebody may have changed something, so that nobody need wait for the
  // next poll. -1: there is none. What came during another call is no longer to be read: it is
  // has_news(), until the next change_stamp().
  [[nodiscard]] virtual int wake_descriptor() const noexcept { return -1; }
  [[nodiscard]] virtual bool has_news() const noexcept { return false; }
  // Own pushes leave no marks.
  [[nodiscard]] virtual Answer<std::vector<Change>> take_changes(std::size_t marks_max) = 0;
  // Removes the marks that are still of the same generation.
  [[nodiscard]] virtual Answer<void> acknowledge(std::span<const Mark> marks) = 0;

  // The rows that exist, of one snapshot, in the order asked.
  [[nodiscard]] virtual Answer<std::vector<Row>> load(std::span<const std::string> link_ids) = 0;
  // Up to `rows_max` rows whose id is greater than `after`, by id. Fewer: the end.
  [[nodiscard]] virtual Answer<std::vector<Row>> scan(std::string_view after,
                                                      std::size_t rows_max) = 0;
  // Of the links that this edge ever told of, up to `links_max` whose id is greater than `after`:
  // those that have no row.
  [[nodiscard]] virtual Answer<LostLinks> scan_lost(std::string_view after,
                                                    std::size_t links_max) = 0;

  // Where rows are changed, if not here: a sentence without its subject. Empty: by edit().
  [[nodiscard]] virtual std::string edited_elsewhere() const { return {}; }
  // False: there is no such row, and nothing was done. Leaves a mark for every edge, this one too.
  [[nodiscard]] virtual Answer<bool> edit(std::string_view link_id, const Edit& edit) = 0;

  // The newest `rows_max` rows of tg_download about a link, of all edges, newest first. Their
  // event_id is not read.
  [[nodiscard]] virtual Answer<std::vector<HistoryRow>> downloads_of(std::string_view link_id,
                                                                     std::size_t rows_max) = 0;
  // Of the first `rows_max` rows of tg_download behind `after`, by event_id, deletes those that
  // ended before `ended_before` (unix seconds), whichever edge wrote them. No table of a shop
  // system's is touched, and no count: a batch that was applied is not applied again because its
  // history is gone.
  [[nodiscard]] virtual Answer<HistoryPage> prune_history(const EventId& after,
                                                          std::int64_t ended_before,
                                                          std::size_t rows_max) = 0;
  // -- a stream that begins anew (`tallygate ledger adopt`)
  // Counters of this edge's stream `epoch`: those of the links asked for, in any order; up to
  // `links_max` of those whose link's id is greater than `after`, by id.
  [[nodiscard]] virtual Answer<std::vector<EdgeCount>> counters_of(
      std::uint64_t epoch, std::span<const std::string> link_ids) = 0;
  [[nodiscard]] virtual Answer<std::vector<EdgeCount>> counters_after(std::uint64_t epoch,
                                                                      std::string_view after,
                                                                      std::size_t links_max) = 0;
  // The registered stream has these from the start; `used` stays as it is.
  [[nodiscard]] virtual Answer<void> make_counters(std::span<const EdgeCount> counters) = 0;
  // The registered stream, which has pushed nothing, begins with the batch after `last_seq`.
  [[nodiscard]] virtual Answer<void> begin_after(std::uint64_t last_seq) = 0;

  // All edges that ever pushed. Needs no register_edge().
  [[nodiscard]] virtual Answer<std::vector<EdgeSeen>> edges() = 0;
};

// From the settings. `password`: what stands in shop.password_file; empty: none.
[[nodiscard]] Answer<std::unique_ptr<Database>> make_database(const config::Settings& settings,
                                                              std::string password);

}  // namespace tallygate::shop
