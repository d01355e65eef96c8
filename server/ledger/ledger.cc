#include "server/ledger/ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <limits>
#include <utility>

namespace tallygate::ledger {
namespace {

// A longer pause, between two batches or since the newest, may be a stepped clock: nothing is
// evicted at that start.
constexpr std::int64_t kPlausiblePause = 7 * 86400;

bool clock_is_plausible(const Recovered& recovered, std::int64_t unix_now) {
  return recovered.longest_pause <= kPlausiblePause && unix_now >= recovered.written_at &&
         unix_now - recovered.written_at <= kPlausiblePause;
}

// What a process that was killed has written may be in the system's cache only. The follower must
// not be told of counts that a power cut would take back.
std::string make_durable(Directory& directory, const std::string& name) {
  const auto file = directory.open(name);
  const error_code ec = file ? (*file)->sync() : file.error();
  return ec ? name + " cannot be synced: " + ec.message() : std::string();
}

bool outlived(const Account& account, std::int64_t unix_now, std::chrono::seconds keep) {
  std::optional<std::int64_t> expires_at = account.signed_terms().expires_at;
  if (account.spoken().word.expires_at) expires_at = account.spoken().word.expires_at;
  return expires_at && unix_now - *expires_at > keep.count();
}

}  // namespace

// -- PendingLease -------------------------------------------------------------------------------

PendingLease PendingLease::waiting(const Executor& executor, Journal::Done& done) {
  auto state = std::make_shared<State>(executor);
  state->timer.expires_after(kDurableTimeout);
  done = [state, executor](bool durable) {
    asio::post(executor, [state, durable] {
      if (state->outcome) return;
      state->outcome = durable ? Outcome::granted : Outcome::unavailable;
      state->timer.cancel();
    });
  };
  return PendingLease(std::move(state));
}

PendingLease PendingLease::decided(const Executor& executor, Outcome outcome) {
  auto state = std::make_shared<State>(executor);
  state->outcome = outcome;
  return PendingLease(std::move(state));
}

Task<PendingLease::Outcome> PendingLease::outcome() {
  const auto state = state_;
  if (!state->outcome) {
    static_cast<void>(co_await state->timer.async_wait(kAwait));
    if (!state->outcome) state->outcome = Outcome::unavailable;
  }
  co_return *state->outcome;
}

// -- opening ------------------------------------------------------------------------------------

Result<std::unique_ptr<Ledger>, std::string> Ledger::open(
    std::unique_ptr<Directory> directory, const Options& options, const Clock& clock,
    Journal::Follower follower, std::function<void(const std::string&)> note) {
  if (const error_code ec = directory->lock()) {
    return ec == boost::system::errc::operation_would_block
               ? std::string("the ledger's directory is in use by another tallygate")
               : "the ledger's directory cannot be locked: " + ec.message();
  }
  std::vector<Event> events;
  const std::uint64_t cursor =
      follower ? options.follower_cursor : std::numeric_limits<std::uint64_t>::max();
  auto recovered = recover(*directory, options.waste_permille, cursor, events);
  if (!recovered) return recovered.error();
  const std::int64_t now = clock.unix_now();
  if (recovered->torn_bytes != 0) {
    note(fmt::format("{}: cut {} bytes of an unfinished last write", recovered->file,
                     recovered->torn_bytes));
  }
  if (recovered->in_doubt != 0) {
    note(
        fmt::format("{}: {} transfers were in flight at the last stop; what was leased to them "
                    "counts as delivered",
                    recovered->file, recovered->in_doubt));
  }
  if (!events.empty()) {
    if (std::string wrong = make_durable(*directory, recovered->file); !wrong.empty()) return wrong;
    follower(std::move(events));
  }
  if (clock_is_plausible(*recovered, now)) {
    std::erase_if(recovered->accounts, [&](const auto& entry) {
      return outlived(*entry.second, now, options.keep_expired);
    });
  }
  auto fresh = write_generation(*directory, *recovered, now);
  if (!fresh) return fresh.error();
  return std::unique_ptr<Ledger>(new Ledger(std::move(directory), options, std::move(*recovered),
                                            std::move(*fresh), clock, std::move(follower)));
}

Ledger::Ledger(std::unique_ptr<Directory> directory, const Options& options, Recovered recovered,
               FreshFile fresh, const Clock& clock, Journal::Follower follower)
    : options_(options), directory_(std::move(directory)) {
  for (auto& [key, account] : recovered.accounts) {
    shard(key).accounts.emplace(key, std::move(account));
  }
  journal_ =
      std::make_unique<Journal>(std::move(fresh.file), fresh.end, clock, std::move(follower));
}

Ledger::~Ledger() = default;

// -- a download ---------------------------------------------------------------------------------

Task<Result<Admission, Refusal>> Ledger::admit(AdmitRequest request) {
  const Executor executor = co_await asio::this_coro::executor;
  const LinkKey key = link_key(request.link_id);
  Admission admission;
  admission.link = key;
  std::optional<PendingLease> lease;
  {
    Shard& s = shard(key);
    const std::lock_guard lock(s.mutex);
    Entries entries;
    auto& account = s.accounts[key];
    if (!account) {
      account = std::make_unique<Account>(options_.waste_permille);
      account->introduce(request.link_id, request.parent_id, entries);
    }
    const auto admitted = account->admit(request, entries);
    if (admitted && admitted->counted && journal_->crowded()) {
      // Too much waits for the disk already. What was decided is taken back, and recorded as such.
      for (std::uint32_t i = 0; i < request.ranges.size(); ++i) {
        account->close(admitted->first_flight + i, 0, 0, false, entries);
      }
      static_cast<void>(journal_->append(std::move(entries), {}));
      co_return Refusal::unavailable;
    }
    Journal::Done done;
    if (admitted && admitted->counted) lease = PendingLease::waiting(executor, done);
    const bool accepted = entries.empty() || journal_->append(std::move(entries), std::move(done));
    if (!admitted) co_return admitted.error();
    admission.first_flight = admitted->first_flight;
    admission.upto = admitted->upto;
    if (lease && !accepted) {
      lease = PendingLease::decided(executor, PendingLease::Outcome::unavailable);
    }
  }
  if (lease) {
    const PendingLease::Outcome outcome = co_await lease->outcome();
    if (outcome != PendingLease::Outcome::granted) {
      for (std::uint32_t i = 0; i < request.ranges.size(); ++i) {
        close({key, admission.first_flight + i}, 0, 0, false);
      }
      co_return Refusal::unavailable;
    }
  }
  co_return admission;
}

std::optional<Refusal> Ledger::peek(const AdmitRequest& request) {
  const LinkKey key = link_key(request.link_id);
  Shard& s = shard(key);
  const std::lock_guard lock(s.mutex);
  const auto it = s.accounts.find(key);
  if (it != s.accounts.end()) return it->second->peek(request);
  Account fresh(options_.waste_permille);
  return fresh.peek(request);
}

// Runs `f(account, entries)` under the shard's lock and hands what it recorded to the journal. A
// journal that refuses has failed: what it does not have, recovery will put in doubt.
template <class F>
auto Ledger::change(const LinkKey& key, F&& f) {
  Shard& s = shard(key);
  const std::lock_guard lock(s.mutex);
  const auto it = s.accounts.find(key);
  TALLYGATE_ASSERT(it != s.accounts.end());
  Entries entries;
  const auto result = f(*it->second, entries);
  if (!entries.empty()) static_cast<void>(journal_->append(std::move(entries), {}));
  return result;
}

PendingLease Ledger::lease(FlightRef flight, std::uint64_t upto, const Executor& executor) {
  Shard& s = shard(flight.link);
  const std::lock_guard lock(s.mutex);
  const auto it = s.accounts.find(flight.link);
  TALLYGATE_ASSERT(it != s.accounts.end());
  Entries entries;
  const LeaseAnswer answer = it->second->lease(flight.flight, upto, entries);
  if (answer == LeaseAnswer::refused)
    return PendingLease::decided(executor, PendingLease::Outcome::refused);
  Journal::Done done;
  std::optional<PendingLease> waiting;
  if (answer == LeaseAnswer::granted) waiting = PendingLease::waiting(executor, done);
  const bool accepted = entries.empty() || journal_->append(std::move(entries), std::move(done));
  if (answer == LeaseAnswer::free)
    return PendingLease::decided(executor, PendingLease::Outcome::granted);
  return accepted ? *waiting : PendingLease::decided(executor, PendingLease::Outcome::unavailable);
}

std::uint32_t Ledger::settle(FlightRef flight, std::uint64_t acked) {
  return change(flight.link, [&](Account& account, Entries& entries) {
    return account.settle(flight.flight, acked, entries);
  });
}

std::uint32_t Ledger::close(FlightRef flight, std::uint64_t acked, std::uint64_t left,
                            bool completed) {
  return change(flight.link, [&](Account& account, Entries& entries) {
    return account.close(flight.flight, acked, left, completed, entries);
  });
}

void Ledger::ended(LinkKey link, TransferEnded transfer) {
  change(link, [&](Account& account, Entries& entries) {
    account.ended(std::move(transfer), entries);
    return 0;
  });
}

// -- the shop and the operator ------------------------------------------------------------------

std::optional<Spoken> Ledger::spoken(std::string_view link_id) const {
  const LinkKey key = link_key(link_id);
  const Shard& s = shard(key);
  const std::lock_guard lock(s.mutex);
  const auto it = s.accounts.find(key);
  if (it == s.accounts.end()) return std::nullopt;
  return it->second->spoken();
}

Look Ledger::look(std::string_view link_id, std::string_view parent_id) const {
  Look look;
  std::optional<Spoken> parent;
  if (!parent_id.empty()) parent = spoken(parent_id);
  const LinkKey key = link_key(link_id);
  const Shard& s = shard(key);
  const std::lock_guard lock(s.mutex);
  const auto it = s.accounts.find(key);
  if (it != s.accounts.end()) {
    const AccountView view = it->second->view();
    look.known = parent_id.empty() || parent.has_value();
    look.row_known = view.spoken.row_known;
    look.word = view.spoken.word;
    look.unfinished_copy = view.unfinished_copy;
  }
  if (parent) {
    look.row_known |= parent->row_known;
    look.word = shop::combine(look.word, parent->word);
  }
  return look;
}

void Ledger::hear(std::string_view link_id, const shop::Word& word, bool create) {
  const LinkKey key = link_key(link_id);
  std::string parent_id;
  {
    const Shard& s = shard(key);
    const std::lock_guard lock(s.mutex);
    const auto it = s.accounts.find(key);
    if (it == s.accounts.end() && !create) return;
    if (it != s.accounts.end()) parent_id = it->second->identity().parent_id;
  }
  shop::Word in_force = word;
  if (!parent_id.empty()) {
    if (const auto parent = spoken(parent_id)) in_force = shop::combine(word, parent->word);
  }
  Shard& s = shard(key);
  const std::lock_guard lock(s.mutex);
  Entries entries;
  auto& account = s.accounts[key];
  if (!account) {
    account = std::make_unique<Account>(options_.waste_permille);
    account->introduce(link_id, {}, entries);
  }
  account->hear(word, in_force, entries);
  if (!entries.empty()) static_cast<void>(journal_->append(std::move(entries), {}));
}

void Ledger::row_acknowledged(std::string_view link_id) {
  if (!knows(link_id)) return;
  change(link_key(link_id), [](Account& account, Entries& entries) {
    account.row_acknowledged(entries);
    return 0;
  });
}

bool Ledger::row_gone(std::string_view link_id) {
  return knows(link_id) && change(link_key(link_id), [](Account& account, Entries& entries) {
           return account.row_gone(entries);
         });
}

bool Ledger::knows(std::string_view link_id) const {
  return spoken(link_id).has_value();
}

std::optional<AccountView> Ledger::view(std::string_view link_id) const {
  const LinkKey key = link_key(link_id);
  const Shard& s = shard(key);
  const std::lock_guard lock(s.mutex);
  const auto it = s.accounts.find(key);
  if (it == s.accounts.end()) return std::nullopt;
  return it->second->view();
}

void Ledger::each(const std::function<void(const AccountView&)>& visit) const {
  for (const Shard& s : shards_) {
    const std::lock_guard lock(s.mutex);
    for (const auto& [key, account] : s.accounts) visit(account->view());
  }
}

std::size_t Ledger::links() const {
  std::size_t count = 0;
  for (const Shard& s : shards_) {
    const std::lock_guard lock(s.mutex);
    count += s.accounts.size();
  }
  return count;
}

}  // namespace tallygate::ledger
