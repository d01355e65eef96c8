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

void Outbox::append(Position& at, const ledger::Event& event, std::uint32_t ordinal) {
  auto& sql = *store_->sql;
  if (at.open_items >= kBatchItemsMax) {
    ++at.sealed;
    at.open_items = 0;
  }
  const auto seq = at.sealed + 1;
  if (at.open_items == 0) sql.begin_batch.run(seq, clock_.unix_now());
  ++at.open_items;
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

Answer<Backlog> Outbox::backlog() {
  return guarded<Backlog>([&]() -> Answer<Backlog> {
    auto backlog = read_backlog(store_->db, false);
    backlog.copies = copies_waiting_;
    return backlog;
  });
}

}  // namespace tallygate::shop
