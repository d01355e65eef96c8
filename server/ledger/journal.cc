#include "server/ledger/journal.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <utility>

namespace tallygate::ledger {
namespace {

using namespace std::chrono_literals;

// About 200,000 leases; beyond, requests that need one get 503.
constexpr std::size_t kCrowdedBytes = 16 << 20;
// Unlimited links go on while the disk is full or stalls, and what they record waits here.
constexpr std::size_t kPendingBytesMax = 256 << 20;
// A group is closed at this size: the longest single write.
constexpr std::size_t kGroupBytes = 1 << 20;
// A write or sync that takes longer: nobody new is let in to wait for it.
constexpr std::chrono::nanoseconds kStalledAfter = 5s;
constexpr std::chrono::milliseconds kRetrySpace = 100ms;
constexpr std::chrono::milliseconds kRotateTimeout = 5s;

std::size_t group_bytes_max(std::uint64_t segment_bytes) {
  return static_cast<std::size_t>(std::min<std::uint64_t>(kGroupBytes, segment_bytes / 4));
}

std::int64_t steady_ns() {
  return std::chrono::steady_clock::now().time_since_epoch() / 1ns;
}

bool is_full(const error_code& ec) {
  return ec == boost::system::errc::no_space_on_device ||
         (ec.category() == boost::system::system_category() && ec.value() == EDQUOT);
}

}  // namespace

Journal::Journal(Segment segment, JournalPlace place, std::uint64_t segment_bytes_max,
                 const Clock& clock, Follower follower, NeedSegment need_segment)
    : segment_bytes_max_(segment_bytes_max),
      clock_(clock),
      follower_(std::move(follower)),
      need_segment_(std::move(need_segment)),
      segment_(std::move(segment)),
      place_(place),
      durable_(place.next_seq),
      next_seq_(place.next_seq),
      next_length_(segment_.head.length),
      segment_number_(segment_.head.number),
      group_bytes_max_(group_bytes_max(segment_.head.length)) {}

Journal::~Journal() {
  stop();
  const std::lock_guard lock(rooms_mutex_);
  for (WaitingRoom* room : rooms_) room->forget_journal();
}

void Journal::start() {
  has_thread_ = true;
  thread_ = std::thread([this] {
    static_cast<void>(::pthread_setname_np(::pthread_self(), "journal"));
    run();
  });
}

void Journal::end_thread() {
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  while (turn()) {
  }
}

void Journal::stop() {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
  }
  end_thread();
  if (has_failed()) return;
  if (stuck_) return fail(make_error_code(boost::system::errc::no_space_on_device));
  // What stands before this mark can be told from a torn end for ever.
  if (bytes_written_ == 0) return;
  Group nothing;
  nothing.bytes.assign(kBatchHeadBytes, '\0');
  static_cast<void>(write(nothing, true));
}

bool Journal::hand_over(Successor successor) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return false;
    stopping_ = true;
    successor_ = std::move(successor);
  }
  end_thread();
  return !has_failed() && !stuck_;
}

// -- any thread ---------------------------------------------------------------------------------

Ticket Journal::last() const {
  const std::lock_guard lock(mutex_);
  return next_seq_;
}

Ticket Journal::append(Entries& entries, bool kick_now) {
  Ticket ticket = 0;
  {
    const std::lock_guard lock(mutex_);
    if (successor_) {
      successor_(entries.bytes);
    } else if (!has_failed() && !stopping_) {
      if (pending_.empty()) untaken_since_ = steady_ns();
      if (pending_.empty() || pending_.back().bytes.size() >= group_bytes_max_) {
        if (empty_.empty()) {
          pending_.emplace_back();
        } else {
          pending_.push_back(std::move(empty_.back()));
          empty_.pop_back();
        }
        pending_.back().bytes.assign(kBatchHeadBytes, '\0');
      }
      Group& group = pending_.back();
      for (Event& event : entries.events) {
        event.seq += next_seq_;
        group.events.push_back(std::move(event));
      }
      next_seq_ += entries.records;
      group.bytes += entries.bytes;
      group.records += entries.records;
      pending_bytes_ += entries.bytes.size();
      if (pending_bytes_ >= kPendingBytesMax) {
        trouble_ = "the journal gave up: more than 256 MiB waited for its disk";
        failed_ = true;
      }
      if (pending_bytes_ >= kCrowdedBytes) crowded_ = true;
      ticket = next_seq_;
    }
  }
  entries.clear();
  if (kick_now && ticket != 0) kick();
  return ticket;
}

void Journal::kick() {
  wake_.notify_one();
}

bool Journal::is_unavailable() const {
  return failed_ || crowded_ || refusing_ || busy_for() > kStalledAfter;
}

std::chrono::nanoseconds Journal::busy_for() const {
  const auto since = [](std::int64_t begin) {
    return begin == 0 ? 0ns : std::chrono::nanoseconds(steady_ns() - begin);
  };
  const bool takes = has_thread_ && !no_room_;
  return std::max(since(busy_since_), takes ? since(untaken_since_) : 0ns);
}

std::string Journal::trouble() const {
  {
    const std::lock_guard lock(mutex_);
    if (failed_ || refusing_) return trouble_;
  }
  if (const auto busy = busy_for(); busy > kStalledAfter) {
    return fmt::format("{} for {} s",
                       busy_since_ != 0 ? "the disk has not answered the journal"
                                        : "the journal has taken nothing",
                       busy / 1s);
  }
  return crowded_ ? "too much waits for the journal's disk" : "";
}

bool Journal::flush(std::chrono::milliseconds timeout) {
  kick();
  std::unique_lock lock(mutex_);
  const Ticket target = next_seq_;
  const auto is_over = [&] { return durable() >= target || has_failed(); };
  if (thread_.joinable()) {
    progress_.wait_for(lock, timeout, is_over);
  } else {
    lock.unlock();
    while (turn()) {
    }
  }
  return durable() >= target;
}

// -- segments -----------------------------------------------------------------------------------

std::optional<SegmentHead> Journal::wanted_segment() const {
  const std::lock_guard lock(mutex_);
  if (next_segment_ || has_failed()) return std::nullopt;
  SegmentHead head;
  head.number = segment_number_ + 1;
  head.ledger_id = place_.ledger_id;
  head.run = place_.run;
  head.length = next_length_;
  return head;
}

void Journal::give_segment(Segment segment) {
  {
    const std::lock_guard lock(mutex_);
    next_segment_ = std::move(segment);
    cannot_make_segment_ = false;
    if (!failed_ && !no_room_) trouble_.clear();
  }
  wake_.notify_all();
}

void Journal::no_segment(std::string why) {
  const std::lock_guard lock(mutex_);
  if (has_failed()) return;
  trouble_ = std::move(why);
  cannot_make_segment_ = true;
  if (no_room_) refusing_ = true;
}

std::uint64_t Journal::rotate() {
  std::unique_lock lock(mutex_);
  rotate_ = true;
  if (!thread_.joinable()) {
    lock.unlock();
    turn();
    lock.lock();
  } else {
    wake_.notify_all();
    progress_.wait_for(lock, kRotateTimeout, [&] { return !rotate_ || stopping_ || has_failed(); });
  }
  const bool done = !rotate_;
  rotate_ = false;
  return done ? segment_number_ : 0;
}

std::size_t Journal::bytes_waiting() const {
  const std::lock_guard lock(mutex_);
  return pending_bytes_;
}

std::uint64_t Journal::segment_number() const {
  const std::lock_guard lock(mutex_);
  return segment_number_;
}

bool Journal::take_next_segment(bool filled) {
  {
    const std::lock_guard lock(mutex_);
    if (!next_segment_) return false;
    segment_ = std::move(*next_segment_);
    next_segment_.reset();
    segment_number_ = segment_.head.number;
    if (filled) next_length_ = std::min(segment_bytes_max_, segment_.head.length * 2);
    group_bytes_max_ = group_bytes_max(segment_.head.length);
    rotate_ = false;
  }
  offset_ = kBlockBytes;
  progress_.notify_all();
  if (need_segment_) need_segment_();
  return true;
}

// A rotation that somebody has asked for. False: it waits for its segment.
bool Journal::turn_page() {
  if (offset_ != kBlockBytes) return take_next_segment(false);
  {
    const std::lock_guard lock(mutex_);
    rotate_ = false;  // nothing stands in this one yet
  }
  progress_.notify_all();
  return true;
}

// -- the journal's thread -----------------------------------------------------------------------

void Journal::run() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      const auto has_work = [this] { return !pending_.empty() || (rotate_ && next_segment_); };
      if (stuck_) {
        wake_.wait_for(lock, kRetrySpace,
                       [this] { return stopping_ || (lacks_segment_ && next_segment_); });
      } else {
        wake_.wait(lock, [&] { return stopping_ || has_work(); });
      }
      if (stopping_) return;  // stop() does the rest
    }
    turn();
  }
}

bool Journal::turn() {
  Group group;
  bool turn_over = false;
  {
    const std::lock_guard lock(mutex_);
    turn_over = rotate_ && !stuck_ && !has_failed();  // after a failure nothing is complete
    if (stuck_) {
      group = std::move(*stuck_);
      stuck_.reset();
    } else if (!pending_.empty()) {
      group = std::move(pending_.front());
      pending_.pop_front();
      pending_bytes_ -= group.bytes.size() - kBatchHeadBytes;
      untaken_since_ = pending_.empty() ? 0 : steady_ns();
      if (pending_bytes_ < kCrowdedBytes / 2) crowded_ = false;
    }
  }
  const bool turned = turn_over && turn_page();
  if (group.bytes.empty()) return turned;
  const Written written = has_failed() ? Written::failed : write(group, false);
  if (written == Written::no_room) {
    stuck_ = std::move(group);
    return false;
  }
  if (written == Written::done) {
    if (follower_ && !group.events.empty()) follower_(std::move(group.events));
    durable_ = place_.next_seq;
  }
  group.events.clear();
  group.records = 0;
  {
    const std::lock_guard lock(mutex_);
    constexpr std::size_t kKept = 4;
    if (empty_.size() < kKept) empty_.push_back(std::move(group));
  }
  progress_.notify_all();
  wake_rooms();
  return true;
}

Journal::Written Journal::write(Group& group, bool end) {
  const std::uint64_t extent = batch_extent(group.bytes.size() - kBatchHeadBytes);
  if (offset_ + extent > segment_.head.length && !take_next_segment(true)) {
    const std::lock_guard lock(mutex_);
    no_room_ = lacks_segment_ = true;
    refusing_ = cannot_make_segment_;  // else it is being made, and worth waiting for
    return Written::no_room;
  }
  if (offset_ + extent > segment_.head.length) {  // no group is that long
    fail(make_error_code(boost::system::errc::value_too_large));
    return Written::failed;
  }
  BatchHead head;
  head.number = place_.batches + 1;
  head.records = group.records;
  head.first_seq = place_.next_seq;
  head.written_at = clock_.unix_now();
  head.chain = place_.chain;
  head.end = end;
  const std::size_t unpadded = group.bytes.size();
  seal_batch(segment_.head, head, group.bytes);
  busy_since_ = steady_ns();
  error_code ec = segment_.file->write_at(offset_, group.bytes);
  const bool full = is_full(ec);
  if (!ec) ec = sync();
  busy_since_ = 0;
  if (full) {
    // Nothing of it was acknowledged: the same bytes are written once more when there is room.
    group.bytes.resize(unpadded);
    const std::lock_guard lock(mutex_);
    trouble_ = "the journal cannot be written: " + ec.message();
    no_room_ = refusing_ = true;
    lacks_segment_ = false;
    return Written::no_room;
  }
  if (ec) {
    fail(ec);
    return Written::failed;
  }
  offset_ += extent;
  bytes_written_ += extent;
  counters_.batch_records.add(group.records, metrics::kBatchRecordBounds);
  counters_.batch_bytes.add(extent, metrics::kBatchByteBounds);
  place_.batches = head.number;
  place_.chain = head.check;
  place_.next_seq += group.records;
  if (no_room_) {
    const std::lock_guard lock(mutex_);
    no_room_ = refusing_ = false;
    untaken_since_ = pending_.empty() ? 0 : steady_ns();
    trouble_.clear();
  }
  return Written::done;
}

error_code Journal::sync() {
  const auto begin = std::chrono::steady_clock::now();
  const error_code ec = segment_.file->sync();
  const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - begin;
  counters_.sync_ns.add(static_cast<std::uint64_t>(took.count()), metrics::kSyncBounds);
  if (ec) counters_.sync_failures.add();
  return ec;
}

void Journal::fail(const error_code& ec) {
  {
    const std::lock_guard lock(mutex_);
    trouble_ = "the journal could not be written: " + ec.message();
    failed_ = true;
  }
  progress_.notify_all();
  wake_rooms();
}

// -- rooms --------------------------------------------------------------------------------------

void Journal::enter(WaitingRoom& room) {
  const std::lock_guard lock(rooms_mutex_);
  rooms_.push_back(&room);
}
void Journal::leave(WaitingRoom& room) {
  const std::lock_guard lock(rooms_mutex_);
  std::erase(rooms_, &room);
}
void Journal::wake_rooms() {
  const std::lock_guard lock(rooms_mutex_);
  for (WaitingRoom* room : rooms_) room->wake();
}

}  // namespace tallygate::ledger
