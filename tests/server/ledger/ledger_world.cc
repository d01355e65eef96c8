#include "tests/server/ledger/ledger_world.h"

#include <boost/asio/co_spawn.hpp>
#include <exception>

namespace tallygate::ledger {

LedgerWorld::LedgerWorld(std::uint64_t seed, LedgerTally& tally) : random_(seed), tally_(tally) {
  true_time_ = clock_.unix_now();
  options_.background = false;
  options_.recovery_threads = 1;
  options_.follower_cursor = [this] { return follower_.cursor(); };
  disk_.set_judge([this](DiskCall call, const std::string& name) {
    trace("    call {} of {}", static_cast<int>(call), name);
    return judge(call, name);
  });
}

void LedgerWorld::add_link(Limit signed_limit, std::array<std::uint64_t, 2> sizes,
                           std::optional<std::int64_t> expires_at) {
  Link link;
  link.id = "l" + std::to_string(links_.size());
  link.signed_limit = signed_limit;
  link.sizes = sizes;
  link.expires_at = expires_at;
  links_.push_back(std::move(link));
  base_.emplace_back();
  live_.emplace_back();
}

// -- lives --------------------------------------------------------------------------------------

std::string LedgerWorld::open() {
  ++tally_.starts;
  faulted_ = dead_ = gave_up_ = false;
  trace("start, cursor {}", follower_.cursor());
  follower_.begin();
  auto opened = Ledger::open(
      disk_.directory(), options_, clock_,
      [this](const std::vector<Event>& events) { follower_.take(events); },
      [](const std::string&) {});
  follower_.started();
  if (!follower_.wrong().empty()) wrong(follower_.wrong());
  if (!opened) {
    trace("{}", opened.error());
    return opened.error();
  }
  trace("serves, cursor {}", follower_.cursor());
  ledger_ = std::move(*opened);
  return {};
}

void LedgerWorld::crash(Crash how) {
  ++tally_.crashes;
  trace("crash {}", static_cast<int>(how));
  follower_.die();
  for (const Transfer& t : transfers_) receive(t, t.sent - t.settled);
  dead_ = true;
  disk_.crash(how, random_);
  // The coroutines end with their process: what they do now reaches nothing.
  for (Worker& worker : workers_) worker.room.give_up();
  poll();
  ledger_.reset();
  if (disk_.repeated_syncs() != 0) wrong("a sync that had failed was repeated");
  transfers_.clear();
  pending_.clear();
  answered_.clear();
}

void LedgerWorld::stop(Crash how) {
  ++tally_.stops;
  turn();
  flush();
  // Whoever still waits for the disk is told that it takes too long.
  for (std::size_t worker = 0; worker < kWorkers; ++worker) give_up(worker);
  while (!transfers_.empty() && wrong_.empty()) {
    const Transfer& t = transfers_.back();
    end(transfers_.size() - 1, t.sent - t.settled, t.sent == t.last);
  }
  if (!happened_.empty()) note(happened_.back().link);
  ledger_.reset();
  if (!faulted_ && !disk_.failed()) know_durable(happened_.size(), "stopped");
  crash(how);
}

void LedgerWorld::check_recovery() {
  // The last line of the history says how much of the last life there is.
  std::size_t left = 0;
  const std::int64_t last = follower_.last_note();
  for (std::size_t i = happened_.size(); i != 0 && left == 0; --i) {
    const auto* noted = std::get_if<Noted>(&happened_[i - 1].what);
    if (noted == nullptr) continue;
    if (noted->number == last) left = i;
    if (noted->number == follower_.last_told_before()) know_durable(i, "told");
  }
  if (left < durable_) {
    return wrong(fmt::format("of {} changes {} are left, and {} were durable", happened_.size(),
                             left, durable_));
  }
  tally_.lost += happened_.size() - left;
  for (std::size_t i = 0; i < left; ++i) {
    const Happened& h = happened_[i];
    std::visit([&](const auto& what) { base_[h.link].apply(what); }, h.what);
    if (const auto* noted = std::get_if<Noted>(&h.what)) notes_.push_back(noted->number);
  }
  std::vector<bool> was_evicted(links_.size());
  for (std::size_t i = left; i < happened_.size(); ++i) {
    if (std::holds_alternative<Evicted>(happened_[i].what)) was_evicted[happened_[i].link] = true;
  }
  happened_.clear();
  durable_ = 0;
  is_noted_ = true;
  unwritten_bytes_ = 0;
  for (std::size_t i = 0; i < links_.size() && wrong_.empty(); ++i) {
    base_[i].crash();
    // The keeper had forgotten it, and the line that says so is lost.
    if (base_[i].known() && base_[i].expires_at() && !ledger_->knows(links_[i].id)) {
      if (!was_evicted[i]) check_evicted(i, base_[i]);
      base_[i].apply(Evicted{});
    }
    live_[i] = base_[i].clone();
    links_[i].resume_at = 0;
    check_link(i);
  }
  if (wrong_.empty()) check_told();
}

void LedgerWorld::check_link(std::size_t number) {
  const auto view = ledger_->view(links_[number].id);
  const std::string difference = live_[number].compare(view);
  if (!difference.empty()) return wrong(links_[number].id + ": " + difference);
  if (view && view->in_flight == 0) check_books(number, *view);
}

// By what customers hold alone: no copy forgotten, no limit exceeded.
void LedgerWorld::check_books(std::size_t number, const AccountView& view) {
  const Link& link = links_[number];
  if (view.traffic_bytes < link.received_bytes) return wrong(link.id + ": bytes were forgotten");
  if (link.limit_max && view.copies > *link.limit_max) return wrong(link.id + ": too many copies");
  std::uint64_t copies = 0;
  for (const auto& [version, spans] : link.received) {
    const std::uint64_t size = link.sizes[version];
    if (size != 0) copies += min_depth(size, {}, spans);
  }
  if (view.copies < copies) return wrong(link.id + ": a copy was forgotten");
}

void LedgerWorld::check_told() {
  if (follower_.notes() != notes_) return wrong("the history is not what happened");
  for (std::size_t i = 0; i < links_.size(); ++i) {
    const SlowFollower::Row& row = follower_.row(links_[i].id);
    const ShadowLink& link = base_[i];
    if (row.copies != link.told_copies) return wrong(links_[i].id + ": other counts were told");
    if (row.used != link.told_used) return wrong(links_[i].id + ": use was told twice or never");
    if (row.blocked != link.told_blocked) return wrong(links_[i].id + ": blocked was told wrongly");
  }
}

void LedgerWorld::look_for_evicted() {
  if (dead_) return;
  for (std::size_t i = 0; i < links_.size(); ++i) {
    if (!live_[i].expires_at() || !live_[i].known() || live_[i].flights() != 0) continue;
    if (ledger_->knows(links_[i].id)) continue;
    check_evicted(i, live_[i]);
    happen(i, Evicted{});
    note(i);
  }
}

// Only what has expired long ago, and only by a clock that may be believed.
void LedgerWorld::check_evicted(std::size_t number, const ShadowLink& shadow) {
  constexpr std::int64_t kDoubtFor = 7 * kDay - 3600;
  const bool due = *shadow.expires_at() + options_.keep_expired.count() < true_time_;
  const bool doubted = stepped_at_ && true_time_ - *stepped_at_ < kDoubtFor;
  Link& link = links_[number];
  if (!due && (!stepped_at_ || doubted)) {
    wrong(fmt::format("{}, that expires at {}, was evicted at {}, which is {}; set {} s ago",
                      link.id, *shadow.expires_at(), clock_.unix_now(), true_time_,
                      stepped_at_ ? true_time_ - *stepped_at_ : 0));
  }
  ++tally_.evicted;
  ++link.book;
  link.received.clear();
  link.received_bytes = 0;
}

// -- what is done -------------------------------------------------------------------------------

void LedgerWorld::note(std::size_t link, std::size_t agent_bytes) {
  TransferEnded ended;
  ended.started_at = next_note_++;
  ended.user_agent.assign(agent_bytes, 'a');
  unwritten_bytes_ += 300 + agent_bytes;
  ledger_->ended(links_[link].id, ended);
  happen(link, Noted{ended.started_at});
  is_noted_ = true;
}

void LedgerWorld::ask(std::size_t number, const std::vector<Span>& ranges, std::uint64_t window,
                      std::size_t worker_number) {
  Link& link = links_[number];
  Worker& worker = workers_[worker_number];
  Asked asked{link.signed_limit, link.expires_at, {link.version + 1}, link.sizes[link.version], {}};
  AdmitRequest request;
  request.link_id = link.id;
  request.path = link.version == 0 ? "/f" : "/g";
  request.signed_limit = link.signed_limit;
  request.expires_at = link.expires_at;
  request.word = live_[number].word();
  request.version = asked.version;
  request.size = asked.size;
  request.ranges = ranges;
  request.window_bytes = window;
  const auto expected = live_[number].would_admit(asked, ranges, window, asked.flights);
  for (Flight& f : asked.flights) f.id = next_flight_++;

  auto pending = std::make_unique<Pending>();
  const auto admitted = [this, p = pending.get()](const std::exception_ptr&,
                                                  Result<Admission, Refusal> result) {
    p->admission = result;
    answered_.push_back(p);
  };
  asio::co_spawn(worker.context.get_executor(), ledger_->admit(request, worker.room), admitted);
  worker.context.restart();
  worker.context.poll();
  const bool refused = pending->admission && !*pending->admission;
  const auto number_of = [](Refusal refusal) { return static_cast<int>(refusal); };
  const int ruled = expected ? -1 : number_of(expected.error());
  const int answered = refused ? number_of(pending->admission->error()) : -1;
  if (answered != ruled && (!expected || answered != number_of(Refusal::unavailable))) {
    answered_.clear();
    return wrong(fmt::format("{}: the rule says {}, the ledger {}", link.id, ruled, answered));
  }
  happen(number, asked);
  const Limit limit = live_[number].limit();
  if (!limit || !link.limit_max) {
    link.limit_max = std::nullopt;
  } else if (expected) {
    link.limit_max = std::max(*link.limit_max, *limit);
  }
  if (!expected) {
    std::erase(answered_, pending.get());
    return;
  }
  for (const Flight& f : asked.flights) {
    Transfer t;
    t.link = number;
    t.worker = worker_number;
    t.flight = f.id;
    t.version = link.version;
    t.sent = t.settled = t.upto = f.first;
    t.last = f.last;
    t.book = link.book;
    t.counted = limit.has_value();
    pending->transfers.push_back(t);
  }
  pending->counted = limit.has_value();
  pending->happened = happened_.size();
  pending_.push_back(std::move(pending));
  take_answers();
}

void LedgerWorld::lease(std::size_t transfer, std::uint64_t upto) {
  Transfer& t = transfers_[transfer];
  Worker& worker = workers_[t.worker];
  const bool allowed = live_[t.link].would_lease(t.flight, upto);
  auto pending = std::make_unique<Pending>();
  pending->transfers.push_back(t);
  pending->upto = upto;
  pending->counted = live_[t.link].limit().has_value();
  pending->lease.emplace(ledger_->lease(t.ref, upto, worker.room));
  t.asking = true;
  if (allowed) happen(t.link, AskedMore{t.flight, upto});
  pending->happened = happened_.size();
  const auto leased = [this, p = pending.get()](const std::exception_ptr&,
                                                PendingLease::Outcome result) {
    p->outcome = result;
    answered_.push_back(p);
  };
  asio::co_spawn(worker.context.get_executor(), pending->lease->outcome(), leased);
  worker.context.restart();
  worker.context.poll();
  const bool refused = pending->outcome == PendingLease::Outcome::refused;
  if (refused == allowed) {
    answered_.clear();
    return wrong(links_[t.link].id + ": the lease is not by the rule");
  }
  pending_.push_back(std::move(pending));
  take_answers();
}

void LedgerWorld::send(std::size_t transfer, std::uint64_t bytes) {
  Transfer& t = transfers_[transfer];
  if (t.counted && t.book == links_[t.link].book) links_[t.link].received_bytes += bytes;
  t.sent += bytes;
}

// The customer has so many more of the bytes that were sent.
void LedgerWorld::receive(const Transfer& t, std::uint64_t bytes) {
  Link& link = links_[t.link];
  if (bytes == 0 || !t.counted || t.book != link.book || live_[t.link].is_late(t.flight)) return;
  link.received[t.version].push_back({t.settled, t.settled + bytes});
}

void LedgerWorld::settle(std::size_t transfer, std::uint64_t bytes) {
  Transfer& t = transfers_[transfer];
  ledger_->settle(t.ref, bytes);
  receive(t, bytes);
  happen(t.link, Arrived{t.flight, bytes});
  t.settled += bytes;
}

void LedgerWorld::end(std::size_t transfer, std::uint64_t acked, bool completed) {
  const Transfer t = transfers_[transfer];
  const std::uint64_t left = t.sent - t.settled - acked;
  receive(t, acked);
  ledger_->close(t.ref, acked, left, completed);
  happen(t.link, Ended{t.flight, acked, left, completed});
  links_[t.link].resume_at = t.settled + acked;
  transfers_.erase(transfers_.begin() + static_cast<std::ptrdiff_t>(transfer));
}

void LedgerWorld::hear(std::size_t number, const shop::Word& word) {
  Link& link = links_[number];
  if (word.reset_gen > live_[number].word().reset_gen) {
    ++link.book;
    link.received.clear();
    link.received_bytes = 0;
  }
  ledger_->hear(link.id, word, true);
  happen(number, Heard{word});
  if (!live_[number].limit()) link.limit_max = std::nullopt;
}

void LedgerWorld::acknowledge_row(std::size_t link) {
  ledger_->row_acknowledged(links_[link].id);
  if (live_[link].known()) happen(link, RowAcknowledged{});
}

void LedgerWorld::lose_row(std::size_t link) {
  ledger_->row_gone(links_[link].id);
  if (live_[link].known()) happen(link, RowGone{});
}

void LedgerWorld::turn() {
  if (is_beside_) return flush();  // the keeper is busy
  // One batch is written; where one had waited for room before, it was that one.
  const bool waited = !ledger_->failure().empty();
  ledger_->turn();
  if (!waited && ledger_->failure().empty()) unwritten_bytes_ = 0;
  look_for_evicted();
  poll();
}

void LedgerWorld::flush() {
  const std::size_t all = happened_.size();
  if (ledger_->flush()) {
    unwritten_bytes_ = 0;
    know_durable(all, "flushed");
  }
  poll();
}

void LedgerWorld::snapshot() {
  if (is_beside_) return;
  const std::string error = ledger_->take_snapshot();
  trace("snapshot: {}", error);
  look_for_evicted();
  if (error.empty()) ++tally_.snapshots;
  const bool may_fail = faulted_ || disk_.failed() || error == "the journal has no next segment";
  if (!error.empty() && !may_fail) wrong("no snapshot: " + error);
  poll();
}

void LedgerWorld::give_up(std::size_t worker) {
  gave_up_ = true;
  workers_[worker].room.give_up();
  poll();
}

// -- answers ------------------------------------------------------------------------------------

void LedgerWorld::poll() {
  for (Worker& worker : workers_) {
    worker.context.restart();
    worker.context.poll();
  }
  if (dead_ || !wrong_.empty()) return;
  take_answers();
  if (!is_noted_) note(happened_.back().link);
  if (!follower_.wrong().empty()) wrong(follower_.wrong());
}

void LedgerWorld::take_answers() {
  if (answered_.empty()) return;
  std::vector<Pending*> answered;
  answered.swap(answered_);
  for (Pending* p : answered) {
    answer(*p);
    std::erase_if(pending_, [p](const auto& owner) { return owner.get() == p; });
  }
}

void LedgerWorld::answer(Pending& pending) {
  const bool granted = pending.lease ? *pending.outcome == PendingLease::Outcome::granted
                                     : pending.admission->has_value();
  const bool unavailable =
      pending.lease ? *pending.outcome == PendingLease::Outcome::unavailable : !granted;
  if (granted) {
    ++tally_.granted;
    if (pending.counted) know_durable(pending.happened, "granted");
  } else if (unavailable) {
    ++tally_.unavailable;
    if (ledger_->failure().empty() && !faulted_ && !gave_up_ && !disk_.failed()) {
      wrong("it is not available, and does not say why");
    }
  }
  return pending.lease ? answer_lease(pending) : answer_admission(pending);
}

void LedgerWorld::answer_admission(Pending& pending) {
  std::uint32_t range = 0;
  for (Transfer& t : pending.transfers) {
    if (!*pending.admission) {
      happen(t.link, Ended{t.flight, 0, 0, false});  // the ledger has closed it
      continue;
    }
    const Admission& admission = **pending.admission;
    t.ref = {admission.link, admission.first_flight + range};
    if (range == 0) t.upto = admission.upto;
    ++range;
    transfers_.push_back(t);
  }
}

void LedgerWorld::answer_lease(Pending& pending) {
  const std::uint32_t flight = pending.transfers.front().flight;
  const auto it = std::find_if(transfers_.begin(), transfers_.end(),
                               [&](const Transfer& t) { return t.flight == flight; });
  if (it == transfers_.end()) return;
  it->asking = false;
  if (*pending.outcome == PendingLease::Outcome::granted) {
    it->upto = pending.upto;
    it->counted &= pending.counted;  // unlimited meanwhile: a crash may forget its bytes
    return;
  }
  // As a transfer does that gets no lease.
  end(static_cast<std::size_t>(it - transfers_.begin()), it->sent - it->settled, false);
}

}  // namespace tallygate::ledger
