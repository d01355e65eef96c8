#include "server/ledger/ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "core/link/link_id.h"
#include "server/ledger/chronicle.h"
#include "server/ledger/files.h"
#include "server/ledger/find_use.h"

namespace tallygate::ledger {
namespace {

constexpr unsigned kRecoveryThreadsMax = 4;
constexpr std::chrono::seconds kFlushTimeout{10};

// Reads what the files have into `links`. A damaged snapshot is passed over for the one before it,
// if the journal reaches back so far: nothing is lost then, and the operator hears of it.
Result<Chronicle, std::string> recover(Directory& directory, ChronicleOptions& options,
                                       const VisitLink& visit, Links& links,
                                       const std::function<void(const std::string&)>& note) {
  std::string first_error;
  for (;;) {
    auto read = read_chronicle(directory, options, visit);
    if (read) {
      if (!first_error.empty()) {
        note(
            fmt::format("{}; an older snapshot and the journal since have replaced it, nothing "
                        "is lost",
                        first_error));
      }
      return std::move(*read);
    }
    if (first_error.empty()) first_error = read.error().text;
    if (read.error().snapshot == 0) return first_error;
    options.before_snapshot = read.error().snapshot;
    links.clear();
  }
}

}  // namespace

// -- PendingLease -------------------------------------------------------------------------------

Task<PendingLease::Outcome> PendingLease::outcome() {
  if (!decided_ && journal_->durable() < ticket_) {
    const bool durable = co_await room_->wait(*journal_, ticket_);
    if (!durable) decided_ = Outcome::unavailable;
  }
  co_return decided_.value_or(Outcome::granted);
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
  std::unique_ptr<Ledger> ledger(
      new Ledger(std::move(directory), options, static_cast<bool>(follower)));
  Directory& files = *ledger->directory_;

  ChronicleOptions reading;
  reading.waste_permille = options.waste_permille;
  reading.from_disk = true;
  reading.new_run = !options.continues;
  reading.verify_images = true;  // from here on they are taken for good
  if (follower) reading.cursor = options.follower_cursor ? options.follower_cursor() : 0;
  reading.threads = options.recovery_threads != 0
                        ? options.recovery_threads
                        : std::clamp(std::thread::hardware_concurrency(), 1u, kRecoveryThreadsMax);
  Ledger* self = ledger.get();
  auto found = recover(
      files, reading,
      [self](const StoredLink& link) {
        self->links_.lock(link.key).put(link.key, link.image);
        if (self->options_.continues) self->inherit(link);
      },
      ledger->links_, note);
  if (!found) return found.error();
  if (reading.cursor && *reading.cursor >= found->place.next_seq) {
    return fmt::format(
        "the ledger ends with record {}, and the shop's outbox has taken {}: the ledger is older "
        "than its outbox. Restore both together, or run `tallygate ledger adopt`",
        found->place.next_seq - 1, *reading.cursor);
  }
  if (found->torn_bytes != 0) {
    note(fmt::format("{}: cut {} bytes of an unfinished last write", found->torn_file,
                     found->torn_bytes));
  }
  if (found->in_flight != 0 && !options.continues) {
    note(
        fmt::format("{} transfers were in flight at the last stop; what was leased to them "
                    "counts as delivered",
                    found->in_flight));
  }
  // It was read from the disk: nothing of it can be taken back by a power cut.
  if (!found->events.empty()) follower(std::move(found->events));

  SegmentHead head;
  head.number = found->next_segment;
  head.ledger_id = found->place.ledger_id;
  while (head.ledger_id == 0) head.ledger_id = random_number();
  head.run = options.continues ? found->place.run : found->run_max + 1;
  head.length = options.segment_bytes_min;
  if (found->place.ledger_id == 0) found->place.chain = head.ledger_id;
  found->place.ledger_id = head.ledger_id;
  found->place.run = head.run;
  // What an earlier run made ahead of need, and what it had not finished.
  const auto listing = list_files(files);
  if (!listing) return "cannot list the directory: " + listing.error().message();
  for (const std::string& name : listing->unfinished) static_cast<void>(files.remove(name));
  for (const std::uint64_t number : listing->segments) {
    if (number <= head.number) continue;
    if (const error_code ec = files.remove(segment_name(number))) {
      return fmt::format("cannot remove {}: {}", segment_name(number), ec.message());
    }
  }
  auto segment = make_segment(files, head);
  if (!segment) {
    return fmt::format("cannot make {}: {}", segment_name(head.number), segment.error().message());
  }

  ledger->journal_ =
      std::make_unique<Journal>(std::move(*segment), found->place, options.segment_bytes_max, clock,
                                std::move(follower), [self] { self->keeper_->wake(); });
  Keeper::Options keeping;
  keeping.waste_permille = options.waste_permille;
  keeping.keep_expired = options.keep_expired;
  keeping.segment_bytes_min = options.segment_bytes_min;
  keeping.snapshot_after_min = options.snapshot_after_min;
  keeping.snapshot_after_max = options.snapshot_after_max;
  if (reading.cursor) keeping.follower_cursor = options.follower_cursor;
  ledger->keeper_ = std::make_unique<Keeper>(
      files, *ledger->journal_, clock, keeping,
      Keeper::Found{found->snapshot_bytes, found->segment_bytes, found->place.clock},
      [self](const StoredLink& link) { return self->forget(link); }, std::move(note));
  if (options.background) {
    ledger->journal_->start();
    ledger->keeper_->start();
  }
  return ledger;
}

Ledger::Ledger(std::unique_ptr<Directory> directory, const Options& options, bool has_follower)
    : options_(options),
      has_follower_(has_follower),
      directory_(std::move(directory)),
      links_(options.waste_permille) {}

Ledger::~Ledger() {
  if (keeper_) keeper_->stop();
  if (journal_) journal_->stop();
}

void Ledger::use(std::uint32_t waste_permille, std::chrono::seconds keep_expired) {
  links_.set_waste(waste_permille);
  keeper_->use(waste_permille, keep_expired);
}

bool Ledger::flush() {
  return journal_->flush(kFlushTimeout);
}

bool Ledger::turn() {
  keeper_->turn();
  return journal_->turn();
}

Entries& Ledger::scratch() const {
  static thread_local Entries entries;
  entries.clear();
  entries.wants_events = has_follower_;
  return entries;
}

// A journal that refuses has failed: what it does not have, recovery will put in doubt. That it is
// appended to under the shard's lock keeps the records of a link in their order.

// -- a download ---------------------------------------------------------------------------------

PendingAdmission Ledger::ask(const AdmitRequest& request, WaitingRoom& room) noexcept {
  const auto ranges = static_cast<std::uint32_t>(request.ranges.size());
  Admission admission;
  admission.link = link_key(request.link_id);
  auto links = links_.lock(admission.link);
  Entries& entries = scratch();
  Account& account = links.find_or_make(admission.link, request.link_id);
  const auto admitted = account.admit(request, entries);
  const bool refused =
      !admitted || (admitted->counted && (handing_over_ || journal_->is_unavailable()));
  if (admitted && refused) {
    // What was decided is taken back, and recorded as such.
    for (std::uint32_t i = 0; i < ranges; ++i) {
      account.close(admitted->first_flight + i, 0, 0, false, entries);
    }
  }
  const bool waits = !refused && admitted->counted;
  const Ticket ticket = record(entries, &room, waits ? Urgency::awaited : Urgency::rides_along);
  if (refused) {
    links.rest(admission.link);
    return PendingAdmission(admitted ? Refusal::unavailable : admitted.error());
  }
  admission.first_flight = admitted->first_flight;
  admission.upto = admitted->upto;
  PendingAdmission pending(admission);
  if (admitted->counted) {
    pending.ledger_ = this;
    pending.room_ = &room;
    pending.ticket_ = ticket;
    pending.ranges_ = ranges;
  }
  return pending;
}

PendingAdmission::PendingAdmission(PendingAdmission&& other) noexcept
    : decided_(std::move(other.decided_)),
      ledger_(std::exchange(other.ledger_, nullptr)),
      room_(other.room_),
      ticket_(other.ticket_),
      ranges_(other.ranges_) {}

PendingAdmission& PendingAdmission::operator=(PendingAdmission&& other) noexcept {
  if (this == &other) return *this;
  if (ledger_ != nullptr) take_back(*ledger_, nullptr);
  decided_ = std::move(other.decided_);
  ledger_ = std::exchange(other.ledger_, nullptr);
  room_ = other.room_;
  ticket_ = other.ticket_;
  ranges_ = other.ranges_;
  return *this;
}

// The room may be at its own end.
PendingAdmission::~PendingAdmission() {
  if (ledger_ != nullptr) take_back(*ledger_, nullptr);
}

void PendingAdmission::take_back(Ledger& ledger, WaitingRoom* room) noexcept {
  for (std::uint32_t i = 0; i < ranges_; ++i) {
    ledger.close({decided_->link, decided_->first_flight + i}, 0, 0, false, room);
  }
}

Task<Result<Admission, Refusal>> PendingAdmission::outcome() {
  Ledger* const ledger = ledger_;
  if (ledger == nullptr) co_return decided_;
  bool durable = false;
  if (ticket_ != 0) durable = co_await room_->wait(*ledger->journal_, ticket_);
  ledger_ = nullptr;
  if (!durable) {
    take_back(*ledger, room_);
    decided_ = Refusal::unavailable;
  }
  co_return decided_;
}

Task<Result<Admission, Refusal>> Ledger::admit(AdmitRequest request, WaitingRoom& room) {
  PendingAdmission pending = ask(request, room);
  auto outcome = co_await pending.outcome();
  co_return outcome;
}

std::optional<Refusal> Ledger::peek(const AdmitRequest& request) noexcept {
  const LinkKey key = link_key(request.link_id);
  auto links = links_.lock(key);
  const auto refusal = links.find_or_make(key, request.link_id).peek(request);
  links.rest(key);
  return refusal;
}

// 0: the journal has failed, or there is nothing to record.
Ticket Ledger::record(Entries& entries, WaitingRoom* room, Urgency urgency) {
  if (entries.empty()) return 0;
  const Ticket ticket = journal_->append(entries, room == nullptr);
  if (room != nullptr && urgency == Urgency::awaited) room->kick_soon(*journal_);
  if (room != nullptr && urgency == Urgency::rides_along) room->kick_in_tick(*journal_);
  return ticket;
}

// Runs `f(account, entries)` for a link with a transfer in flight.
template <class F>
auto Ledger::change(FlightRef flight, WaitingRoom* room, F&& f) {
  auto links = links_.lock(flight.link);
  Entries& entries = scratch();
  const auto result = f(links.awake(flight.link), entries);
  record(entries, room, Urgency::rides_along);
  links.rest(flight.link);
  return result;
}

PendingLease Ledger::lease(FlightRef flight, std::uint64_t upto, WaitingRoom& room) noexcept {
  auto links = links_.lock(flight.link);
  Entries& entries = scratch();
  Account& account = links.awake(flight.link);
  // What a hand-over has leased, it has also made durable, or is about to. Before it comes by, this
  // goes its usual way; behind it, nothing more becomes durable here.
  if (handing_over_ && account.leased_upto(flight.flight) >= upto) {
    return PendingLease(*journal_, room, journal_->last());
  }
  const LeaseAnswer answer = account.lease(flight.flight, upto, entries);
  if (answer == LeaseAnswer::refused) return PendingLease(PendingLease::Outcome::refused);
  const Ticket ticket = record(entries, &room, Urgency::awaited);
  if (answer == LeaseAnswer::free) return PendingLease(PendingLease::Outcome::granted);
  return ticket == 0 ? PendingLease(PendingLease::Outcome::unavailable)
                     : PendingLease(*journal_, room, ticket);
}

std::uint32_t Ledger::settle(FlightRef flight, std::uint64_t acked, WaitingRoom* room) noexcept {
  return change(flight, room, [&](Account& account, Entries& entries) {
    return account.settle(flight.flight, acked, entries);
  });
}

std::uint32_t Ledger::close(FlightRef flight, std::uint64_t acked, std::uint64_t left,
                            bool completed, WaitingRoom* room) noexcept {
  return change(flight, room, [&](Account& account, Entries& entries) {
    return account.close(flight.flight, acked, left, completed, entries);
  });
}

void Ledger::ended(std::string_view link_id, TransferEnded transfer, WaitingRoom* room) noexcept {
  if (!has_follower_) return;
  const auto links = links_.lock(link_key(link_id));  // behind what the transfer recorded
  Entries& entries = scratch();
  record_ended(link_id, std::move(transfer), entries);
  record(entries, room, Urgency::rides_along);
}

// -- from one process to the next ---------------------------------------------------------------

bool Ledger::hand_over(Journal::Successor successor) {
  handing_over_ = true;  // before the first shard is looked at: none gets another transfer then
  for (std::size_t i = 0; i < Links::kShards; ++i) {
    auto links = links_.lock_shard(i);
    links.each_awake([this](Account& account) {
      Entries& entries = scratch();
      account.lease_all(entries);
      record(entries, nullptr, Urgency::rides_along);
    });
  }
  const bool durable = flush();
  keeper_->stop();
  return journal_->hand_over(std::move(successor)) && durable;
}

// A link that the process before has transfers of.
void Ledger::inherit(const StoredLink& link) {
  const auto terms = image_terms(link.image);
  if (!terms || !terms->in_flight) return;
  auto links = links_.lock(link.key);
  Account* const account = links.find(link.key, link.id);
  TALLYGATE_ASSERT(account != nullptr);
  Inherited inherited{std::string(link.id), {}};
  for (const Flight& flight : account->flights()) inherited.flights.push_back(flight.id);
  const std::lock_guard lock(inherited_mutex_);  // of several threads that read
  inherited_.push_back(std::move(inherited));
}

bool Ledger::take(std::string_view records) {
  while (!records.empty()) {
    const auto taken = take_record(records);
    if (!taken) return false;
    const LinkKey key = link_key(taken->link_id);
    auto links = links_.lock(key);
    Entries& entries = scratch();
    Account& account = links.find_or_make(key, taken->link_id);
    std::visit([&](const auto& change) { append(entries, taken->link_id, change); }, taken->what);
    const bool makes_sense = account.replay(taken->what, entries);
    if (makes_sense) record(entries, nullptr, Urgency::rides_along);
    links.rest(key);
    if (!makes_sense) return false;
  }
  return true;
}

std::size_t Ledger::lose_inherited() {
  std::vector<Inherited> inherited;
  {
    const std::lock_guard lock(inherited_mutex_);
    inherited.swap(inherited_);
  }
  std::size_t lost = 0;
  for (const Inherited& link : inherited) {
    change_known(link.link_id, [&](Account& account, Entries& entries) {
      for (const std::uint32_t flight : link.flights) {
        if (account.leased_upto(flight) == 0) continue;
        account.lose(flight, entries);
        ++lost;
      }
      return true;
    });
  }
  return lost;
}

// -- the shop and the operator ------------------------------------------------------------------

std::optional<Spoken> Ledger::spoken(std::string_view link_id) const {
  const LinkKey key = link_key(link_id);
  const auto glance = links_.lock(key).glance(key);
  return glance ? std::optional(glance->spoken) : std::nullopt;
}

Look Ledger::look(std::string_view link_id, std::string_view parent_id) const {
  Look look;
  std::optional<Spoken> parent;
  if (!parent_id.empty()) parent = spoken(parent_id);
  const LinkKey key = link_key(link_id);
  if (const auto glance = links_.lock(key).glance(key)) {
    look.known = parent_id.empty() || parent.has_value();
    look.row_known = glance->spoken.row_known;
    look.word = glance->spoken.word;
    look.unfinished_copy = glance->unfinished_copy;
  }
  if (parent) {
    look.row_known |= parent->row_known;
    look.word = shop::combine(look.word, parent->word);
  }
  return look;
}

void Ledger::hear(std::string_view link_id, const shop::Word& word, bool create) noexcept {
  shop::Word in_force = word;
  if (const std::string_view parent_id = link::folder_of(link_id); !parent_id.empty()) {
    if (const auto parent = spoken(parent_id)) in_force = shop::combine(word, parent->word);
  }
  const LinkKey key = link_key(link_id);
  auto links = links_.lock(key);
  Account* account = create ? &links.find_or_make(key, link_id) : links.find(key, link_id);
  if (account == nullptr) return;
  Entries& entries = scratch();
  account->hear(word, in_force, entries);
  if (!entries.empty()) static_cast<void>(journal_->append(entries));
  links.rest(key);
}

// The same for a link that may rest, or not be known: then false.
template <class F>
bool Ledger::change_known(std::string_view link_id, F&& f) {
  const LinkKey key = link_key(link_id);
  auto links = links_.lock(key);
  Account* account = links.find(key, link_id);
  if (account == nullptr) return false;
  Entries& entries = scratch();
  const bool result = f(*account, entries);
  if (!entries.empty()) static_cast<void>(journal_->append(entries));
  links.rest(key);
  return result;
}

void Ledger::row_acknowledged(std::string_view link_id) noexcept {
  change_known(link_id, [](Account& account, Entries& entries) {
    account.row_acknowledged(entries);
    return true;
  });
}

bool Ledger::row_gone(std::string_view link_id) noexcept {
  return change_known(link_id,
                      [](Account& account, Entries& entries) { return account.row_gone(entries); });
}

void Ledger::resolve_doubt(std::string_view link_id) noexcept {
  change_known(link_id, [](Account& account, Entries& entries) {
    account.resolve_doubt(entries);
    return true;
  });
}

bool Ledger::knows(std::string_view link_id) const {
  return spoken(link_id).has_value();
}

std::optional<AccountView> Ledger::view(std::string_view link_id) const {
  const LinkKey key = link_key(link_id);
  const auto links = links_.lock(key);
  std::optional<Account> space;
  const Account* account = links.look(key, link_id, space);
  return account != nullptr ? std::optional(account->view()) : std::nullopt;
}

std::optional<Used> Ledger::find_use(std::string_view link_id) const {
  journal_->flush(kFlushTimeout);
  return ledger::find_use(*directory_, link_id);
}

// Asked by whoever takes a snapshot, of a link that had expired long before. It may have been used,
// or given a new expiry, since.
bool Ledger::forget(const StoredLink& link) {
  auto links = links_.lock(link.key);
  if (links.is_awake(link.key)) return false;
  std::optional<Account> space;
  const Account* account = links.look(link.key, link.id, space);
  if (account == nullptr) return true;
  std::string image;
  account->write_image(image);
  if (image != link.image) return false;
  Entries& entries = scratch();
  append(entries, link.id, Forgotten{});
  if (journal_->append(entries) == 0) return false;
  links.erase(link.key);
  return true;
}

}  // namespace tallygate::ledger
