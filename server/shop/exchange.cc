#include "server/shop/exchange.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace tallygate::shop {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kPauseMin = 100ms;
constexpr std::chrono::milliseconds kPauseMax = 1s;
constexpr std::size_t kBatchesPerTurn = 8;
constexpr std::size_t kMarksPerPage = 2000;
constexpr std::size_t kScanRowsPerPage = 1000;
constexpr std::chrono::milliseconds kScanPageEvery = 250ms;
constexpr std::chrono::seconds kScanWithoutTriggersEvery = 30s;
constexpr std::chrono::seconds kLookedUpFor = 5s;
// A page of the history is a short transaction, and there are pauses between them.
constexpr std::size_t kPruneRowsPerPage = 500;
constexpr std::chrono::milliseconds kPrunePageEvery = 250ms;
constexpr std::chrono::minutes kPruneEvery = 10min;
// Of event_id: which edge's stream of events it is of.
constexpr std::size_t kStreamBytes = 7;

}  // namespace

Exchange::Exchange(Outbox& outbox, Database& database, LedgerPort& ledger, const Clock& clock,
                   ExchangeOptions options)
    : outbox_(outbox),
      database_(database),
      ledger_(ledger),
      clock_(clock),
      options_(std::move(options)),
      sent_seq_(outbox.sealed_seq()) {}

bool Exchange::turn() {
  const auto now = clock_.steady_now();
  if (now < retry_at_) return false;
  connect(now);
  if (!connected_) return false;
  const auto pushed = push_some(kBatchesPerTurn);
  if (!connected_) return false;
  const auto pulled = pull(now);
  if (!connected_) return false;
  const auto scanned = scan(now);
  // Whoever has counts to push or changes to read has no time for that.
  if (pushed == Step::idle && pulled == Step::idle) prune(now);
  const Step steps[] = {pushed, pulled, scanned};
  if (std::ranges::find(steps, Step::failed) != std::end(steps)) return false;
  pause_ = {};
  status_.last_error.clear();
  return std::ranges::find(steps, Step::progress) != std::end(steps);
}

Exchange::TimePoint Exchange::next_turn() const {
  if (!connected_ || database_.has_news()) return retry_at_;
  const auto due = std::min(poll_at_, scan_at_);
  return std::max(retry_at_, options_.keep_history.count() == 0 ? due : std::min(due, prune_at_));
}

int Exchange::wake_descriptor() const noexcept {
  const bool is_waiting = connected_ && clock_.steady_now() >= retry_at_;
  return is_waiting ? database_.wake_descriptor() : -1;
}

void Exchange::on_wake() noexcept {
  poll_at_ = {};
}

void Exchange::connect(TimePoint now) {
  if (connected_) return;
  // A file may be made where there never was one. Where there was, it may be about to come back,
  // and SQLite would take the log of a new one for its.
  if (const auto opened = database_.open(!outbox_.has_met_database()); !opened) {
    reading_failed(opened.error());
    return;
  }
  const auto last_seq = database_.register_edge({options_.edge_id, outbox_.epoch()});
  if (!last_seq) {
    reading_failed(last_seq.error());
    return;
  }
  if (const auto met = outbox_.meet_database(); !met) {
    reading_failed(met.error());
    return;
  }
  connected_ = true;
  status_.reachable = true;
  locate(*last_seq);
  // The database may be another one than before: look at everything.
  stamp_.reset();
  poll_at_ = now;
  start_scan(now);
  pruned_to_ = {};
  prune_at_ = now;
}

// Takes the database's word for what it has. False: that cannot be (alarm).
bool Exchange::locate(std::uint64_t last_seq) {
  status_.alarm.clear();
  if (last_seq > sent_seq_ || outbox_.lineage() == Lineage::overtaken) {
    note_overtaken(last_seq);
    return false;
  }
  next_seq_ = std::min(last_seq, outbox_.acknowledged_seq()) + 1;
  return true;
}

// Another server sends batches in this one's name, or did before this one was restored. For good:
// this edge goes on making batches, which would take the places of the others. Where the disk does
// not take the note, the same is found out next time.
void Exchange::note_overtaken(std::uint64_t last_seq) {
  static_cast<void>(outbox_.note_overtaken());
  status_.overtaken = true;
  status_.alarm = fmt::format(
      "{} has batch {} of edge {}, which this server never sent ({} is its last): the ledger's "
      "directory was restored from a backup, or another server has a copy of it. Nothing is "
      "pushed, and links with a limit are refused, until the server is stopped and `tallygate "
      "ledger adopt` has run",
      database_.name(), last_seq, options_.edge_id, sent_seq_);
}

Exchange::Step Exchange::push_some(std::size_t batches_max) {
  if (!status_.alarm.empty()) {
    // An operator may have put it right.
    const auto last_seq = database_.last_seq();
    if (!last_seq) return reading_failed(last_seq.error());
    if (!locate(*last_seq)) return Step::idle;
  }
  for (std::size_t i = 0; i < batches_max; ++i) {
    const auto step = push_next();
    if (step != Step::progress) return step;
  }
  return Step::progress;
}

Exchange::Step Exchange::push_next() {
  if (next_seq_ > outbox_.sealed_seq()) {
    if (!outbox_.has_open_items()) return Step::idle;
    if (const auto sealed = outbox_.seal(); !sealed) return back_off(sealed.error().text);
  }
  const auto batch = outbox_.read(next_seq_);
  if (!batch) return back_off(batch.error().text);
  if (!*batch) {
    status_.alarm = fmt::format(
        "{} lacks batch {} of edge {}, which is not kept any more; nothing is pushed until the "
        "server is stopped and `tallygate ledger adopt` has run, which tells all counts anew",
        database_.name(), next_seq_, options_.edge_id);
    return Step::idle;
  }
  const bool is_first = next_seq_ > sent_seq_;
  const auto sent_before = std::exchange(sent_seq_, std::max(sent_seq_, next_seq_));
  const auto pushed = database_.push(**batch);
  if (!pushed) return writing_failed(pushed.error());
  if (pushed->outcome == Pushed::already_applied && is_first) {
    sent_seq_ = sent_before;
    note_overtaken(next_seq_);
    return Step::idle;
  }
  if (pushed->outcome == Pushed::gap) {
    const auto last_seq = database_.last_seq();
    if (!last_seq) return reading_failed(last_seq.error());
    return locate(*last_seq) ? Step::progress : Step::idle;
  }
  for (const auto& item : pushed->parked) {
    ++status_.parked;
    status_.last_parked = fmt::format("{}: {}", item.link_id, item.reason);
  }
  if (next_seq_ > outbox_.acknowledged_seq()) {
    if (const auto step = settle(**batch); step == Step::failed) return step;
  }
  ++next_seq_;
  status_.last_push_at = clock_.unix_now();
  return Step::progress;
}

// The batch is in the database. The ledger hears of its rows before the outbox forgets, so that a
// crash in between repeats this and loses nothing.
Exchange::Step Exchange::settle(const Batch& batch) {
  if (!batch.created.empty()) {
    std::vector<std::string> link_ids;
    for (const auto& row : batch.created) link_ids.push_back(row.link_id);
    // A row that was there already may say something: no look-up need have come before.
    const auto rows = database_.load(link_ids);
    if (!rows) return reading_failed(rows.error());
    if (database_.makes_rows()) {
      for (const auto& link_id : link_ids) ledger_.row_acknowledged(link_id);
    } else {
      for (const auto& row : *rows) ledger_.row_acknowledged(row.link_id);
    }
    for (const auto& row : *rows) apply(row);
    if (!persist_words()) return Step::failed;
  }
  if (const auto done = outbox_.acknowledge(batch.seq); !done) {
    return back_off(done.error().text);
  }
  return Step::progress;
}

bool Exchange::push_all(std::chrono::milliseconds at_most) {
  const auto start = clock_.steady_now();
  connect(start);
  while (connected_ && status_.alarm.empty() && clock_.steady_now() - start < at_most) {
    const auto step = push_next();
    if (step == Step::idle) return status_.alarm.empty();
    if (step == Step::failed) return false;
  }
  return false;
}

Exchange::Step Exchange::pull(TimePoint now) {
  if (now < poll_at_ && !database_.has_news()) return Step::idle;
  poll_at_ = now + options_.poll;
  const auto stamp = database_.change_stamp();
  if (!stamp) return reading_failed(stamp.error());
  if (stamp_ == *stamp) return Step::idle;

  // Somebody wrote: an edit, or a backup that was put back.
  const auto last_seq = database_.last_seq();
  if (!last_seq) return reading_failed(last_seq.error());
  if (*last_seq + 1 != next_seq_ && status_.alarm.empty()) {
    locate(*last_seq);
    start_scan(now);
  }
  bool more = false;
  bool held = false;
  if (const auto step = take_page(now, more, held); step == Step::failed) return step;
  if (more) {
    poll_at_ = now;
    return Step::progress;
  }
  if (!held) stamp_ = *stamp;
  return Step::idle;
}

// Takes one page of changes. `more`: another page may follow. `held`: some were left for later.
Exchange::Step Exchange::take_page(TimePoint now, bool& more, bool& held) {
  std::erase_if(looked_up_, [&](const auto& entry) { return entry.second <= now; });
  const auto changes = database_.take_changes(kMarksPerPage);
  if (!changes) return reading_failed(changes.error());
  std::vector<Mark> taken;
  for (const auto& change : *changes) {
    for (const auto& row : change.rows) apply(row);
    for (const auto& link_id : change.gone) {
      if (ledger_.knows(link_id)) ledger_.row_gone(link_id);
    }
    if (is_held(change)) {
      held = true;
    } else {
      taken.push_back(change.mark);
    }
  }
  if (!taken.empty() && !persist_words()) return Step::failed;
  if (const auto done = database_.acknowledge(taken); !done) return writing_failed(done.error());
  more = changes->size() == kMarksPerPage && !taken.empty();
  return Step::progress;
}

// A link was read for a customer a moment ago, and the ledger will hear of it only now.
bool Exchange::is_held(const Change& change) {
  const auto waits = [&](const std::string& link_id) {
    return looked_up_.contains(link_id) && !ledger_.knows(link_id);
  };
  return !looked_up_.empty() && (std::ranges::any_of(change.rows, waits, &Row::link_id) ||
                                 std::ranges::any_of(change.gone, waits));
}

Exchange::Step Exchange::scan(TimePoint now) {
  if (now < scan_at_) return Step::idle;
  if (!rows_scanned_ && scanned_to_.empty()) {
    if (const auto step = check_triggers(); step == Step::failed) return step;
  }
  return rows_scanned_ ? scan_lost(now) : scan_rows(now);
}

// Where there are none, the scan has to do their work.
Exchange::Step Exchange::check_triggers() {
  const auto missing = database_.missing_triggers();
  if (!missing) return reading_failed(missing.error());
  scan_every_ = options_.scan_every;
  triggers_warning_.clear();
  if (missing->empty()) return Step::progress;
  scan_every_ = std::min(scan_every_, kScanWithoutTriggersEvery);
  triggers_warning_ = fmt::format(
      "{}: missing: {}; until `tallygate shop init` makes them again, changes are found by a scan"
      " every {} s",
      database_.name(), fmt::join(*missing, ", "), scan_every_.count());
  return Step::progress;
}

Exchange::Step Exchange::scan_rows(TimePoint now) {
  const auto rows = database_.scan(scanned_to_, kScanRowsPerPage);
  if (!rows) return reading_failed(rows.error());
  for (const auto& row : *rows) apply(row);
  scanned_ += rows->size();
  if (first_scan_ && options_.on_first_scan && scanned_ >= kScanRowsPerPage) {
    options_.on_first_scan(scanned_);
  }
  if (rows->size() < kScanRowsPerPage) {
    rows_scanned_ = true;
    scanned_to_.clear();
    return Step::progress;
  }
  scanned_to_ = rows->back().link_id;
  if (first_scan_) return Step::progress;
  scan_at_ = now + kScanPageEvery;
  return Step::idle;
}

Exchange::Step Exchange::scan_lost(TimePoint now) {
  const auto lost = database_.scan_lost(scanned_to_, kScanRowsPerPage);
  if (!lost) return reading_failed(lost.error());
  for (const auto& link_id : lost->link_ids) {
    if (ledger_.knows(link_id)) ledger_.row_gone(link_id);
  }
  if (lost->is_end) {
    status_.last_scan_at = clock_.unix_now();
    if (first_scan_ && options_.on_first_scan) options_.on_first_scan(std::nullopt);
    start_scan(now + scan_every_);
    first_scan_ = false;
    return Step::idle;
  }
  scanned_to_ = lost->next;
  if (first_scan_) return Step::progress;
  scan_at_ = now + kScanPageEvery;
  return Step::idle;
}

void Exchange::start_scan(TimePoint now) {
  first_scan_ = true;
  rows_scanned_ = false;
  scanned_to_.clear();
  scanned_ = 0;
  scan_at_ = now;
}

// Rows of one stream of events stand in the order in which they were begun. So behind a page of a
// stream that has nothing too old there is hardly anything else in it, and the walk goes on with
// the next stream: a pass reads what it deletes and little more, though there is no index by time.
//
// That it fails is no reason to push nothing: the operator is told, and the next pass tries again.
Exchange::Step Exchange::prune(TimePoint now) {
  if (options_.keep_history.count() == 0 || now < prune_at_) return Step::idle;
  const auto ended_before = clock_.unix_now() - options_.keep_history.count();
  const auto page = database_.prune_history(pruned_to_, ended_before, kPruneRowsPerPage);
  prune_at_ = now + kPrunePageEvery;
  if (!page) {
    if (page.error().retryable) return Step::idle;
    history_warning_ =
        fmt::format("the history is not pruned (shop.keep_history): {}", page.error().text);
    end_pass(now);
    return Step::idle;
  }
  history_warning_.clear();
  auto next = page->last;
  if (page->deleted == 0) std::fill(next.begin() + kStreamBytes, next.end(), std::uint8_t{0xff});
  if (page->rows < kPruneRowsPerPage || next <= pruned_to_) {
    end_pass(now);
  } else {
    pruned_to_ = next;
  }
  return Step::idle;
}

void Exchange::end_pass(TimePoint now) {
  pruned_to_ = {};
  prune_at_ = now + kPruneEvery;
}

void Exchange::apply(const Row& row) {
  if (ledger_.knows(row.link_id)) ledger_.apply_word(row.link_id, row.word);
}

std::vector<LookUp> Exchange::look_up(std::span<const std::string> link_ids) {
  std::vector<LookUp> answers(link_ids.size());
  if (!connected_) return answers;
  const auto rows = database_.load(link_ids);
  if (!rows) {
    reading_failed(rows.error());
    return answers;
  }
  const auto until = clock_.steady_now() + kLookedUpFor;
  auto row = rows->begin();
  for (std::size_t i = 0; i < link_ids.size(); ++i) {
    looked_up_[link_ids[i]] = until;
    const bool found = row != rows->end() && row->link_id == link_ids[i];
    answers[i].kind = found ? LookUp::Kind::found : LookUp::Kind::no_row;
    if (found) answers[i].word = row++->word;
  }
  return answers;
}

Answer<std::vector<HistoryRow>> Exchange::downloads_of(std::string_view link_id,
                                                       std::size_t rows_max) {
  if (!connected_) return Failure{true, status_.last_error};
  auto rows = database_.downloads_of(link_id, rows_max);
  if (!rows) reading_failed(rows.error());
  return rows;
}

Answer<bool> Exchange::edit(std::string_view link_id, const Edit& edit) {
  if (!connected_) return Failure{true, status_.last_error};
  if (auto elsewhere = database_.edited_elsewhere(); !elsewhere.empty()) {
    return Failure{true, "the link " + std::move(elsewhere)};
  }
  const auto found = database_.edit(link_id, edit);
  if (!found) {
    writing_failed(found.error());
    return found;
  }
  // Own writes do not move the stamp: look anyway, and at once.
  stamp_.reset();
  poll_at_ = clock_.steady_now();
  while (pull(poll_at_) == Step::progress) {
  }
  return found;
}

Status Exchange::status() {
  status_.engine = database_.engine();
  status_.warning = triggers_warning_;
  if (!history_warning_.empty()) {
    if (!status_.warning.empty()) status_.warning += "; ";
    status_.warning += history_warning_;
  }
  status_.history_dropped = outbox_.history_dropped();
  if (const auto backlog = outbox_.backlog()) {
    status_.batches_waiting = backlog->batches;
    status_.copies_waiting = backlog->copies;
    status_.oldest_waiting_at = backlog->oldest_at;
  }
  return status_;
}

bool Exchange::persist_words() {
  if (ledger_.make_durable()) return true;
  back_off("the ledger cannot write down what the shop says");
  return false;
}

Exchange::Step Exchange::reading_failed(const Failure& failure) {
  database_.close();
  connected_ = false;
  status_.reachable = false;
  return back_off(failure.text);
}

// Another writer's lock is no reason to stop answering look-ups.
Exchange::Step Exchange::writing_failed(const Failure& failure) {
  return failure.retryable ? back_off(failure.text) : reading_failed(failure);
}

Exchange::Step Exchange::back_off(std::string_view reason) {
  status_.last_error = reason;
  pause_ = std::clamp(pause_ * 2, kPauseMin, kPauseMax);
  retry_at_ = clock_.steady_now() + pause_;
  return Step::failed;
}

}  // namespace tallygate::shop
