#include "server/shop/outbox.h"

#include <fmt/format.h>
#include <openssl/rand.h>

#include "server/shop/outbox_store.h"

namespace tallygate::shop {
namespace {

using sqlite::Transaction;

constexpr std::chrono::milliseconds kBusyTimeout{1000};
constexpr int kPrunedPerAcknowledgement = 4;  // bounds the work; still outpaces what is added
constexpr int kPrunedPerConsume = 64;

template <class... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};

Failure failure(const std::filesystem::path& file, const sqlite::Error& error) {
  return {error.is_transient(), fmt::format("{}: {}", file.string(), error.what())};
}

// 63 random bits: the databases' integers are signed.
std::uint64_t new_epoch() {
  std::uint64_t epoch = 0;
  while (epoch == 0) {
    std::array<unsigned char, 8> bytes{};
    if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
      throw sqlite::Error(0, "no random numbers");
    }
    for (const auto byte : bytes) epoch = epoch << 8 | byte;
    epoch >>= 1;
  }
  return epoch;
}

}  // namespace

Answer<std::unique_ptr<Outbox>> Outbox::open(const std::filesystem::path& file, const Clock& clock,
                                             const OutboxOptions& options) {
  try {
    std::unique_ptr<Outbox> outbox(
        new Outbox(std::make_unique<Store>(file, kBusyTimeout), clock, options));
    outbox->load();
    return outbox;
  } catch (const sqlite::Error& error) {
    return failure(file, error);
  }
}

Answer<Backlog> Outbox::inspect(const std::filesystem::path& file) {
  try {
    sqlite::Connection db(file.string(), sqlite::OpenMode::read_only, kBusyTimeout);
    return read_backlog(db, true);
  } catch (const sqlite::Error& error) {
    return failure(file, error);
  }
}

Answer<std::uint64_t> Outbox::copy(const std::filesystem::path& file,
                                   const std::filesystem::path& to) {
  try {
    {
      // Of one snapshot; the server beside us writes on.
      sqlite::Connection source(file.string(), sqlite::OpenMode::read_only, kBusyTimeout);
      sqlite::Statement(source, "VACUUM INTO ?1").run(to.string());
    }
    Store copied(to, kBusyTimeout);
    sqlite::Statement check(copied.db, "PRAGMA integrity_check");
    if (!check.step() || check.text(0) != "ok") return Failure{false, to.string() + ": damaged"};
    check.reset();
    copied.sql->note_lineage.run(system_clock().unix_now(), static_cast<int>(Lineage::backup));
    return read_backlog(copied.db, false).consumed_seq;
  } catch (const sqlite::Error& error) {
    return failure(file, error);
  }
}

Outbox::Outbox(std::unique_ptr<Store> store, const Clock& clock, const OutboxOptions& options)
    : clock_(clock), options_(options), store_(std::move(store)) {}

Outbox::~Outbox() = default;

template <class T, class Work>
Answer<T> Outbox::guarded(Work work) {
  try {
    return work();
  } catch (const sqlite::Error& error) {
    return failure(store_->file, error);
  }
}

void Outbox::load() {
  Transaction transaction(store_->db, Transaction::Kind::write);
  auto& query = store_->sql->position.bind();
  if (query.step()) {
    epoch_ = static_cast<std::uint64_t>(query.integer(0));
    at_ = {
        static_cast<std::uint64_t>(query.integer(1)), static_cast<std::uint64_t>(query.integer(2)),
        static_cast<std::uint64_t>(query.integer(3)), static_cast<std::size_t>(query.integer(4))};
    query.reset();
    copies_waiting_ = store_->copies_after(at_.acknowledged);
    // One of an older version may have met it and not have written that down.
    has_met_database_ = at_.acknowledged > 0 || store_->has_met();
    lineage_ = store_->lineage();
    return;
  }
  epoch_ = new_epoch();
  store_->sql->begin_stream.run(epoch_);
  transaction.commit();
}

Answer<void> Outbox::meet_database() {
  if (has_met_database_) return {};
  return guarded<void>([&]() -> Answer<void> {
    store_->sql->meet.run(clock_.unix_now());
    has_met_database_ = true;
    return {};
  });
}

Answer<void> Outbox::note_overtaken() {
  if (lineage_ != Lineage::own) return {};
  return guarded<void>([&]() -> Answer<void> {
    store_->sql->note_lineage.run(clock_.unix_now(), static_cast<int>(Lineage::overtaken));
    lineage_ = Lineage::overtaken;
    return {};
  });
}

Answer<void> Outbox::consume(std::span<const ledger::Event> events) {
  const auto taken = std::ranges::find_if(
      events, [&](const ledger::Event& event) { return event.seq > at_.consumed; });
  if (taken == events.end()) return {};
  auto consumed = guarded<void>([&]() -> Answer<void> {
    Transaction transaction(store_->db, Transaction::Kind::write);
    auto at = at_;
    const bool is_full = !make_room();
    std::uint64_t copies = 0;
    std::uint64_t dropped = 0;
    std::uint32_t ordinal = 0;
    for (auto event = taken; event != events.end(); ++event) {
      ordinal = event->seq == at.consumed ? ordinal + 1 : 0;
      if (const auto* counted = std::get_if<ledger::CopiesCounted>(&event->what)) {
        copies += counted->copies;
      }
      if (is_full && std::holds_alternative<ledger::TransferEnded>(event->what)) {
        ++dropped;
      } else {
        append(at, *event, ordinal);
      }
      at.consumed = event->seq;
    }
    store_->sql->move.run(at.consumed, at.sealed, at.acknowledged, at.open_items);
    transaction.commit();
    at_ = at;
    copies_waiting_ += copies;
    history_dropped_ += dropped;
    return {};
  });
  // The joiner has seen events that were not stored; what comes next must not refer to them.
  if (!consumed) joiner_.clear();
  return consumed;
}

// False: the file is as large as it may become.
bool Outbox::make_room() {
  if (store_->bytes_used() <= options_.bytes_max) return true;
  store_->prune(clock_.unix_now() + 1, kPrunedPerConsume);
  return store_->bytes_used() <= options_.bytes_max;
}

// The batch that one more item goes into.
std::uint64_t Outbox::next_item(Position& at) {
  if (at.open_items >= kBatchItemsMax) {
    ++at.sealed;
    at.open_items = 0;
  }
  const auto seq = at.sealed + 1;
  if (at.open_items == 0) store_->sql->begin_batch.run(seq, clock_.unix_now());
  ++at.open_items;
  return seq;
}

void Outbox::append(Position& at, const ledger::Event& event, std::uint32_t ordinal) {
  auto& sql = *store_->sql;
  const auto seq = next_item(at);
  std::visit(
      Overloaded{[&](const ledger::LinkUsed& used) {
                   sql.add_created.run(seq, event.link_id, used.path);
                   if (!used.parent_id.empty()) sql.add_created.run(seq, used.parent_id, used.path);
                 },
                 [&](const ledger::CopiesCounted& counted) {
                   sql.add_counted.run(seq, event.link_id, counted.reset_gen, counted.copies);
                 },
                 [&](const ledger::TransferEnded& ended) {
                   const auto row =
                       joiner_.add(event_id(epoch_, event.seq, ordinal), event.link_id, ended);
                   sql.add_history.run(seq, row.event_id, row.link_id, row.started_at, row.ended_at,
                                       row.client_ip, row.user_agent, row.bytes_sent, row.file_size,
                                       static_cast<int>(row.outcome), row.counted);
                 },
                 [&](const ledger::BlockedChanged& changed) {
                   sql.add_blocked.run(seq, event.link_id, static_cast<int>(changed.blocked));
                 }},
      event.what);
}

Answer<void> Outbox::seal() {
  if (at_.open_items == 0) return {};
  return guarded<void>([&]() -> Answer<void> {
    auto at = at_;
    ++at.sealed;
    at.open_items = 0;
    store_->sql->move.run(at.consumed, at.sealed, at.acknowledged, at.open_items);
    at_ = at;
    return {};
  });
}

Answer<std::optional<Batch>> Outbox::read(std::uint64_t seq) {
  return guarded<std::optional<Batch>>([&]() -> Answer<std::optional<Batch>> {
    if (seq == 0 || seq > at_.sealed) return std::optional<Batch>();
    Transaction snapshot(store_->db, Transaction::Kind::read);
    return store_->read(seq);
  });
}

Answer<void> Outbox::acknowledge(std::uint64_t seq) {
  TALLYGATE_ASSERT(seq == at_.acknowledged + 1 && seq <= at_.sealed);
  return guarded<void>([&]() -> Answer<void> {
    Transaction transaction(store_->db, Transaction::Kind::write);
    auto at = at_;
    at.acknowledged = seq;
    const auto copies = store_->copies_of(seq);
    const auto now = clock_.unix_now();
    store_->sql->acknowledge.run(seq, now);
    store_->sql->move.run(at.consumed, at.sealed, at.acknowledged, at.open_items);
    store_->prune(now - options_.keep_acknowledged.count(), kPrunedPerAcknowledgement);
    transaction.commit();
    at_ = at;
    copies_waiting_ -= std::min(copies, copies_waiting_);
    return {};
  });
}

// -- beginning anew ----------------------------------------------------------------------------

Answer<std::unordered_map<std::string, std::uint64_t>> Outbox::unacknowledged() {
  using Copies = std::unordered_map<std::string, std::uint64_t>;
  return guarded<Copies>([&]() -> Answer<Copies> {
    Copies copies;
    sqlite::Statement query(store_->db,
                            "SELECT link_id, reset_gen, sum(copies) FROM counted WHERE seq > ?1"
                            " GROUP BY link_id, reset_gen");
    query.bind(at_.acknowledged);
    while (query.step()) {
      copies[fmt::format("{} {}", query.text(0), query.integer(1))] =
          static_cast<std::uint64_t>(query.integer(2));
    }
    return copies;
  });
}

Answer<void> Outbox::begin_anew(std::uint64_t known_seq, std::uint64_t consumed_seq) {
  return guarded<void>([&]() -> Answer<void> {
    anew_ = std::make_unique<Transaction>(store_->db, Transaction::Kind::write);
    Position at = at_;
    if (at.open_items > 0) ++at.sealed;
    at.open_items = 0;
    // What is kept follows what the database has without a gap, or after one that is past cure.
    sqlite::Statement oldest(store_->db, "SELECT coalesce(min(seq), ?2) FROM batch WHERE seq > ?1");
    oldest.bind(known_seq, at.sealed + 1).step();
    at.acknowledged = static_cast<std::uint64_t>(oldest.integer(0)) - 1;
    oldest.reset();
    at.consumed = consumed_seq;
    for (const char* table : {"created", "blocked", "history", "batch"}) {
      sqlite::Statement(store_->db, std::string("DELETE FROM ") + table + " WHERE seq <= ?1")
          .run(at.acknowledged);
    }
    store_->db.execute("DELETE FROM counted");
    sqlite::Statement(store_->db, "UPDATE batch SET acknowledged_at = NULL").run();
    epoch_ = new_epoch();
    sqlite::Statement(store_->db, "UPDATE stream SET epoch = ?1").run(epoch_);
    at_ = at;
    copies_waiting_ = 0;
    joiner_.clear();
    return {};
  });
}

Answer<void> Outbox::restate(const Restated& link) {
  return guarded<void>([&]() -> Answer<void> {
    auto& sql = *store_->sql;
    if (link.file_id) sql.add_created.run(next_item(at_), link.link_id, *link.file_id);
    if (link.copies != 0) {
      sql.add_counted.run(next_item(at_), link.link_id, link.reset_gen, link.copies);
    }
    if (link.blocked) {
      sql.add_blocked.run(next_item(at_), link.link_id, static_cast<int>(*link.blocked));
    }
    return {};
  });
}

Answer<void> Outbox::commit_anew() {
  return guarded<void>([&]() -> Answer<void> {
    store_->sql->move.run(at_.consumed, at_.sealed, at_.acknowledged, at_.open_items);
    store_->db.execute("DELETE FROM copied");
    anew_->commit();
    anew_.reset();
    lineage_ = Lineage::own;
    return {};
  });
}

Answer<Backlog> Outbox::backlog() {
  return guarded<Backlog>([&]() -> Answer<Backlog> {
    auto backlog = read_backlog(store_->db, false);
    backlog.copies = copies_waiting_;
    return backlog;
  });
}

}  // namespace tallygate::shop
