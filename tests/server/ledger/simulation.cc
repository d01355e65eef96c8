#include "tests/server/ledger/simulation.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <utility>
#include <vector>

#include "core/ledger/segment_format.h"
#include "server/ledger/files.h"

namespace tallygate::ledger {

// -- chance -------------------------------------------------------------------------------------

Simulation::Simulation(std::uint64_t seed, LedgerTally& tally) : LedgerWorld(seed, tally) {
  draw_character();
  for (std::uint64_t links = 1 + pick(4); links != 0; --links) draw_link();
}

void Simulation::draw_character() {
  options_.segment_bytes_min = (1 + pick(2)) * (16 << 10);
  options_.segment_bytes_max = options_.segment_bytes_min * (1 + pick(2));
  options_.snapshot_after_min = (1 + pick(4)) * (16 << 10);
  options_.snapshot_after_max = options_.snapshot_after_min * 2;
  does_.lives = 8 + pick(16);
  does_.steps = 4 + pick(24);
  for (bool* flag : {&does_.kills,     &does_.power_cuts,     &does_.torn,       &does_.in_calls,
                     &does_.in_starts, &does_.stops,          &does_.snapshots,  &does_.interleaves,
                     &does_.resets,    &does_.limits,         &does_.rows,       &does_.versions,
                     &does_.ranges,    &does_.lags,           &does_.time,       &does_.clock_steps,
                     &does_.eviction,  &does_.gives_up,       &does_.long_notes, &does_.cuts_lines,
                     &does_.damages,   &does_.sets_clock_back}) {
    *flag = one_in(2);
  }
  if (does_.eviction) options_.keep_expired = std::chrono::seconds(2 * kDay);
  if (one_in(3)) return;  // a disk that never fails
  static constexpr std::uint64_t kRates[] = {10, 50, 300};
  for (std::uint64_t& in : does_.fault_in) in = one_in(3) ? kRates[pick(3)] : 0;
}

void Simulation::draw_link() {
  static constexpr std::uint64_t kSizes[] = {1000, 5000, 100'000, 1, 0, 40 << 20};
  const Limit limit = one_in(4) ? Limit() : Limit(static_cast<std::uint32_t>(1 + pick(3)));
  const std::uint64_t first = kSizes[pick(6)];
  const std::uint64_t second = kSizes[pick(6)];
  std::optional<std::int64_t> expires_at;
  if (does_.eviction) expires_at = clock_.unix_now() + static_cast<std::int64_t>(pick(6)) * kDay;
  add_link(limit, {first, second}, expires_at);
}

Crash Simulation::draw_crash() {
  if (!does_.power_cuts || (does_.kills && one_in(2))) return Crash::process;
  return does_.torn && !one_in(4) ? Crash::sectors : Crash::all_lost;
}

error_code Simulation::draw_error(DiskCall call) {
  static constexpr int kOfNames[] = {EIO, ENOSPC, EROFS, EDQUOT};
  static constexpr int kOfWrites[] = {ENOSPC, EIO, ENOSPC, EDQUOT, EROFS};
  static constexpr int kOfSyncs[] = {EIO, ENOSPC, EDQUOT, EINTR};
  int number = EIO;
  switch (call) {
    case DiskCall::open:
    case DiskCall::list:
      number = one_in(2) ? EIO : EMFILE;
      break;
    case DiskCall::read:
    case DiskCall::size:
      break;
    case DiskCall::create:
    case DiskCall::rename:
    case DiskCall::remove:
      number = kOfNames[pick(4)];
      break;
    case DiskCall::write:
    case DiskCall::allocate:
      number = kOfWrites[pick(5)];
      break;
    case DiskCall::sync:
    case DiskCall::sync_names:
      number = kOfSyncs[pick(4)];
      break;
  }
  return {number, boost::system::system_category()};
}

FakeDisk::Fault Simulation::judge(DiskCall call, const std::string& name) {
  // The journal neither reads nor touches snapshots: it is the keeper who calls.
  const bool is_keeper = call == DiskCall::read || call == DiskCall::open ||
                         call == DiskCall::list || name.starts_with("snapshot-");
  if (does_.interleaves && is_keeper && ledger_ && !is_beside_ && !dead_ && one_in(8)) {
    beside_the_keeper();
  }
  const auto kind = static_cast<std::size_t>(call);
  if (!faults_ || does_.fault_in[kind] == 0) return {};
  if (sticky_[kind] != 0) {
    --sticky_[kind];
  } else if (one_in(does_.fault_in[kind])) {
    sticky_error_ = draw_error(call);
    if (one_in(3)) sticky_[kind] = pick(20);
  } else {
    return {};
  }
  trace("fault {}", sticky_error_.message());
  ++tally_.faults;
  faulted_ = true;
  return {sticky_error_, static_cast<unsigned>(pick(9))};
}

// -- lives --------------------------------------------------------------------------------------

std::string Simulation::run() {
  for (std::uint64_t life = 0; life < does_.lives && wrong_.empty(); ++life) {
    live();
    if (!wrong_.empty()) wrong_ = fmt::format("life {}: {}", life, wrong_);
  }
  if (!wrong_.empty()) return wrong_;
  converge();
  return wrong_.empty() ? wrong_ : "in the end: " + wrong_;
}

void Simulation::live() {
  start();
  if (!wrong_.empty()) return;
  if (does_.in_calls && one_in(2)) disk_.crash_at_call(1 + pick(3 * does_.steps));
  for (std::uint64_t i = 0; i < does_.steps && is_running(); ++i) step();
  if (!wrong_.empty()) return;
  if (does_.stops && !disk_.failed() && one_in(3)) return stop(draw_crash());
  die();
}

// Until it serves; meanwhile it may die, and the disk may fail.
void Simulation::start() {
  repair();
  if (does_.damages && one_in(3)) damage_something();
  if (!wrong_.empty()) return;
  for (int attempt = 0;; ++attempt) {
    faults_ = attempt < 4;
    if (does_.in_starts && attempt < 3 && one_in(3)) disk_.crash_at_call(1 + pick(25));
    const std::string error = open();
    if (!wrong_.empty()) return;
    if (error.empty() && !disk_.failed()) break;
    if (!error.empty() && !faulted_ && !disk_.failed()) return wrong("it does not start: " + error);
    ++tally_.failed_starts;
    die();
    if (!wrong_.empty()) return;
  }
  disk_.fail_nothing();
  check_recovery();
}

void Simulation::die() {
  if (does_.lags && one_in(4)) follower_.keep(pick(1000));
  crash(draw_crash());
  sticky_ = {};
}

// The disk loses what it had acknowledged.
void Simulation::damage_something() {
  faults_ = false;
  return one_in(2) ? damage_a_batch() : damage_the_newest_snapshot();
}

// A batch with others behind it: the start is refused, and changes nothing.
void Simulation::damage_a_batch() {
  std::string from = segment_name(1);
  for (const std::string& name : disk_.names()) {
    if (name.ends_with(".tgs")) from = "journal-" + name.substr(9, 16) + ".tgj";
  }
  std::vector<std::pair<std::string, std::size_t>> batches;
  for (const std::string& name : disk_.names()) {
    if (!name.ends_with(".tgj") || name < from) continue;
    const std::string content = disk_.content(name);
    const auto segment = parse_segment_head(content);
    for (std::size_t at = kBlockBytes; segment && at < content.size(); at += kBlockBytes) {
      const auto rest = std::string_view(content).substr(at);
      const auto head = parse_batch_head(rest);
      if (!head || rest.size() < kBatchHeadBytes + head->payload_bytes) continue;
      const auto payload = rest.substr(kBatchHeadBytes, head->payload_bytes);
      if (batch_intact(*segment, rest, *head, payload)) batches.emplace_back(name, at);
    }
  }
  // The last one may not be on the disk: a sync of it had failed.
  if (batches.size() < 3) return;
  const auto& [name, at] = batches[pick(batches.size() - 2)];
  const std::string content = disk_.content(name);
  std::string damaged = content;
  damaged[at + pick(kBatchHeadBytes)] ^= static_cast<char>(1 << pick(8));
  disk_.put(name, damaged);
  trace("{} is damaged in the batch at byte {}", name, at);
  const auto names = disk_.names();
  if (open().empty()) return wrong("a damaged batch was passed over");
  if (disk_.names() != names || disk_.content(name) != damaged)
    wrong("a refused start changed files");
  crash(Crash::process);
  disk_.put(name, content);
}

// The one before it, and the journal since, do as well.
void Simulation::damage_the_newest_snapshot() {
  std::string newest;
  bool dispensable = false;
  for (const std::string& name : disk_.names()) {
    dispensable |= name == segment_name(1);
    if (!name.ends_with(".tgs")) continue;
    dispensable |= !newest.empty();
    newest = name;
  }
  if (newest.empty() || !dispensable) return;
  std::string content = disk_.content(newest);
  if (content.empty()) return wrong(newest + " is empty");
  damaged_ = {newest, content};
  content[pick(content.size())] ^= static_cast<char>(1 << pick(8));
  disk_.put(newest, content);
  trace("{} is damaged", newest);
}

// One damage at a time: of two, neither of which anybody has noticed, none could be made good.
void Simulation::repair() {
  const auto names = disk_.names();
  if (std::find(names.begin(), names.end(), damaged_.first) != names.end()) {
    disk_.put(damaged_.first, damaged_.second);
  }
  damaged_ = {};
}

// The faults are over: everything works again, by itself.
void Simulation::converge() {
  does_.in_starts = does_.interleaves = does_.damages = false;
  does_.fault_in = {};
  start();
  if (!wrong_.empty()) return;
  for (int i = 0; i < 8 && wrong_.empty(); ++i) act();
  for (int i = 0; i < 2 && wrong_.empty(); ++i) {
    note(0);
    turn();
    turn();
    snapshot();
    follower_.keep(1000);
  }
  turn();
  if (!ledger_->failure().empty()) return wrong("it stays unavailable: " + ledger_->failure());
  if (!ledger_->warning().empty()) return wrong("there is trouble: " + ledger_->warning());
  stop(Crash::all_lost);
  if (!wrong_.empty()) return;
  if (const std::string error = open(); !error.empty()) return wrong("no start: " + error);
  check_recovery();
  ledger_.reset();
}

// -- what is done -------------------------------------------------------------------------------

void Simulation::step() {
  if (does_.time) pass_time();
  act();
  if (one_in(3)) turn();
  if (one_in(20)) flush();
  if (does_.snapshots && one_in(16)) snapshot();
  if (!does_.lags) follower_.keep(1000);
  if (does_.lags && one_in(4)) follower_.keep(pick(4));
  if (does_.gives_up && one_in(24)) give_up(pick(kWorkers));
  if (one_in(6)) check_link(pick(links_.size()));
}

void Simulation::act() {
  // One batch takes it all: so a line of the history and what it is about share their fate.
  constexpr std::size_t kBytesMax = 2000;
  if (unwritten_bytes_ > kBytesMax || !is_running()) return turn();
  poll();  // so that what is asked is decided by what is known here
  const std::size_t before = happened_.size();
  const std::uint64_t choice = pick(10);
  if (choice < 3) {
    ask_something();
  } else if (choice == 9) {
    say_something();
  } else if (!transfers_.empty()) {
    static constexpr void (Simulation::*kDeeds[])() = {
        &Simulation::send_some,  &Simulation::send_some, &Simulation::settle_some,
        &Simulation::lease_more, &Simulation::end_one,   &Simulation::end_one,
    };
    (this->*kDeeds[choice - 3])();
  }
  if (happened_.size() == before) return;
  note(happened_.back().link, does_.long_notes && one_in(8) ? pick(6000) : 0);
  if (unwritten_bytes_ > kBytesMax) turn();
}

void Simulation::ask_something() {
  const std::size_t number = pick(links_.size());
  Link& link = links_[number];
  if (does_.versions && one_in(8)) link.version ^= 1;
  const std::uint64_t size = link.sizes[link.version];
  std::vector<Span> ranges{{0, size}};
  if (one_in(3)) ranges.front().first = std::min(size, link.resume_at);
  if (does_.ranges && size > 100 && one_in(3)) {
    const std::uint64_t a = pick(size / 2);
    const std::uint64_t b = size / 2 + pick(size / 2);
    ranges = one_in(2) ? std::vector<Span>{{a, b}} : std::vector<Span>{{0, a + 1}, {b, size}};
  }
  const std::uint64_t window = 1 + size / (1 + pick(4));
  ask(number, ranges, window, pick(kWorkers));
}

void Simulation::lease_more() {
  const std::size_t number = pick(transfers_.size());
  const Transfer& t = transfers_[number];
  if (!t.asking && t.upto != t.last) lease(number, t.upto + 1 + pick(t.last - t.upto));
}

void Simulation::send_some() {
  const std::size_t number = pick(transfers_.size());
  const Transfer& t = transfers_[number];
  send(number, one_in(3) ? pick(t.upto - t.sent + 1) : t.upto - t.sent);
}

void Simulation::settle_some() {
  const std::size_t number = pick(transfers_.size());
  const Transfer& t = transfers_[number];
  settle(number, one_in(3) ? pick(t.sent - t.settled + 1) : t.sent - t.settled);
}

void Simulation::end_one() {
  const std::size_t number = pick(transfers_.size());
  const Transfer& t = transfers_[number];
  if (t.asking) return;
  const std::uint64_t sent = t.sent - t.settled;
  const bool cut = does_.cuts_lines && one_in(2);
  end(number, cut ? pick(sent + 1) : sent, !cut && t.sent == t.last);
}

// The merchant.
void Simulation::say_something() {
  const std::size_t number = pick(links_.size());
  if (does_.rows && one_in(3)) return one_in(2) ? acknowledge_row(number) : lose_row(number);
  shop::Word word = live_[number].word();
  if (does_.limits && one_in(2)) {
    word.max_copies = std::nullopt;
    if (!one_in(4)) word.max_copies = static_cast<std::int32_t>(pick(6)) - 1;
  }
  if (does_.limits && one_in(6)) word.used_elsewhere = pick(3);
  if (does_.rows) word.state = static_cast<shop::State>(pick(4));
  if (does_.eviction && one_in(4)) {
    word.expires_at = clock_.unix_now() + static_cast<std::int64_t>(pick(4)) * kDay;
  }
  if (does_.resets && one_in(3)) word.reset_gen += 1;
  hear(number, word);
}

void Simulation::pass_time() {
  const auto by = does_.eviction && one_in(6) ? std::chrono::milliseconds(std::chrono::hours(12))
                                              : std::chrono::milliseconds(pick(20'000));
  const std::int64_t before = clock_.unix_now();
  clock_.advance(by);
  true_time_ += clock_.unix_now() - before;
  // A ledger that has nothing on the disk yet knows of no other time.
  if (does_.clock_steps && follower_.cursor() != 0 && one_in(100)) {
    // Always to the same side: two that cancel each other leave no trace, and need none.
    const auto days = static_cast<std::int64_t>(30 + pick(300));
    clock_.set_unix(clock_.unix_now() + (does_.sets_clock_back ? -days : days) * kDay);
    stepped_at_ = true_time_;
    trace("the clock is set to {}", clock_.unix_now());
  }
}

// Workers and the journal do something while the keeper reads or writes a snapshot.
void Simulation::beside_the_keeper() {
  is_beside_ = true;
  ++tally_.interleaved;
  trace("beside the keeper");
  look_for_evicted();
  act();
  if (one_in(2)) flush();
  is_beside_ = false;
}

}  // namespace tallygate::ledger
