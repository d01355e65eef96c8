#include "server/ledger/keeper.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "core/ledger/account.h"
#include "server/ledger/chronicle.h"
#include "server/ledger/files.h"
#include "server/ledger/snapshot_file.h"

namespace tallygate::ledger {
namespace {

using namespace std::chrono_literals;

// A segment that could not be made is tried again, and whether a snapshot is due is looked at.
constexpr std::chrono::milliseconds kTurn = 1s;
constexpr std::chrono::seconds kRetrySnapshot = 60s;

// Behind everybody who serves.
void lower_priority() {
  static_cast<void>(::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), 10));
}

}  // namespace

Keeper::Keeper(Directory& directory, Journal& journal, const Clock& clock, Options options,
               const Found& found, Forget forget, Note note)
    : directory_(directory),
      journal_(journal),
      clock_(clock),
      options_(std::move(options)),
      waste_permille_(options_.waste_permille),
      keep_expired_(options_.keep_expired),
      forget_(std::move(forget)),
      note_(std::move(note)),
      watch_(found.clock),
      watched_at_(clock.steady_now()),
      snapshot_bytes_(found.snapshot_bytes),
      journal_bytes_before_(found.segment_bytes) {
  watch_.observe(clock.unix_now(), std::nullopt);
}

Keeper::~Keeper() {
  stop();
}

void Keeper::start() {
  segments_thread_ = std::thread([this] { look_after_segments(); });
  snapshots_thread_ = std::thread([this] {
    lower_priority();
    look_after_snapshots();
  });
}

void Keeper::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (segments_thread_.joinable()) segments_thread_.join();
  if (snapshots_thread_.joinable()) snapshots_thread_.join();
  ended_ = true;
  make_segment_if_wanted();
}

void Keeper::use(std::uint32_t waste_permille, std::chrono::seconds keep_expired) {
  waste_permille_ = waste_permille;
  keep_expired_ = keep_expired;
}

void Keeper::wake() {
  if (ended_) return make_segment_if_wanted();
  {
    const std::lock_guard lock(mutex_);
    woken_ = true;
  }
  wake_.notify_all();
}

void Keeper::look_after_segments() {
  for (;;) {
    make_segment_if_wanted();
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, kTurn, [this] { return woken_ || stopping_; });
    woken_ = false;
    if (stopping_) return;
  }
}

void Keeper::look_after_snapshots() {
  for (;;) {
    take_snapshot_if_due();
    std::unique_lock lock(mutex_);
    if (wake_.wait_for(lock, kTurn, [this] { return stopping_.load(); })) return;
  }
}

void Keeper::watch_the_clock() {
  const auto now = clock_.steady_now();
  watch_.observe(clock_.unix_now(), (now - watched_at_) / 1s);
  watched_at_ = now;
}

void Keeper::turn() {
  make_segment_if_wanted();
  take_snapshot_if_due();
}

void Keeper::take_snapshot_if_due() {
  const std::lock_guard one_at_a_time(snapshot_mutex_);
  watch_the_clock();
  if (!snapshot_is_due() || watched_at_ < retry_snapshot_at_) return;
  if (!take_snapshot_locked().empty()) retry_snapshot_at_ = watched_at_ + kRetrySnapshot;
}

std::string Keeper::trouble() const {
  const std::lock_guard lock(mutex_);
  return segment_trouble_.empty() ? snapshot_trouble_ : segment_trouble_;
}

// Said once, not at every attempt.
void Keeper::set_trouble(std::string& which, std::string text) {
  {
    const std::lock_guard lock(mutex_);
    if (which == text) return;
    which = text;
  }
  if (text.empty()) return;
  const std::lock_guard lock(note_mutex_);
  note_(text);
}

void Keeper::make_segment_if_wanted() {
  const std::lock_guard lock(making_mutex_);
  auto wanted = journal_.wanted_segment();
  if (!wanted) return;
  auto segment = make_segment(directory_, *wanted);
  while (!segment && segment.error() == boost::system::errc::no_space_on_device &&
         wanted->length / 2 >= options_.segment_bytes_min) {
    wanted->length /= 2;
    segment = make_segment(directory_, *wanted);
  }
  if (!segment) {
    std::string text = "the journal's next segment cannot be made: " + segment.error().message();
    journal_.no_segment(text);
    return set_trouble(segment_trouble_, std::move(text));
  }
  set_trouble(segment_trouble_, {});
  journal_.give_segment(std::move(*segment));
}

bool Keeper::snapshot_is_due() const {
  if (journal_.has_failed()) return false;
  const std::uint64_t grown =
      journal_bytes_before_ + journal_.bytes_written() - written_at_snapshot_;
  return grown >=
         std::clamp(snapshot_bytes_ / 2, options_.snapshot_after_min, options_.snapshot_after_max);
}

std::string Keeper::take_snapshot() {
  const std::lock_guard one_at_a_time(snapshot_mutex_);
  return take_snapshot_locked();
}

std::string Keeper::take_snapshot_locked() {
  const std::uint64_t written = journal_.bytes_written();
  const std::uint64_t number = journal_.rotate();
  std::string wrong =
      number == 0 ? std::string("the journal has no next segment") : write_snapshot(number);
  if (stopping_) return wrong.empty() ? "it stops" : wrong;
  set_trouble(snapshot_trouble_,
              wrong.empty() ? wrong : "no snapshot could be taken, the journal grows: " + wrong);
  if (!wrong.empty()) return wrong;
  written_at_snapshot_ = written;
  journal_bytes_before_ = 0;
  remove_outdated();
  return {};
}

bool Keeper::outlived(const StoredLink& link, std::int64_t unix_now) const {
  const auto terms = image_terms(link.image);
  return terms && !terms->in_flight && terms->expires_at &&
         *terms->expires_at < unix_now - keep_expired_.load().count();
}

std::string Keeper::write_snapshot(std::uint64_t number) {
  watch_the_clock();  // it may have been set a moment ago
  const std::int64_t now = clock_.unix_now();
  const bool may_forget = watch_.believes(now);
  ChronicleOptions options;
  options.waste_permille = waste_permille_;
  options.until_segment = number;
  options.before_snapshot = number;
  options.cancel = &stopping_;
  // However long this takes, the journal goes on.
  options.progress = [this](std::uint64_t, std::uint64_t) { make_segment_if_wanted(); };
  std::string first_error;
  for (;;) {
    SnapshotWriter writer(directory_, number);
    const auto read = read_chronicle(directory_, options, [&](const StoredLink& link) {
      // It goes with the next snapshot, by its record: this one a crash may still take away.
      if (may_forget && outlived(link, now)) static_cast<void>(forget_(link));
      writer.add(link);
    });
    if (!read) {
      if (first_error.empty()) first_error = read.error().text;
      if (read.error().snapshot == 0) return first_error;
      // It is damaged: the one before it, and the journal since, do as well.
      options.before_snapshot = read.error().snapshot;
      continue;
    }
    JournalPlace place = read->place;
    place.clock = watch_;
    if (std::string wrong = writer.finish(place, now); !wrong.empty()) return wrong;
    good_snapshot_ = read->snapshot;
    break;
  }
  // What it replaces is removed only behind one that is good.
  std::string wrong = read_back(number);
  if (!wrong.empty()) static_cast<void>(directory_.remove(snapshot_name(number)));
  return wrong;
}

// From the disk: the writer has had the system forget it.
std::string Keeper::read_back(std::uint64_t number) {
  const auto snapshot = SnapshotFile::open(directory_, number);
  if (!snapshot) return snapshot.error();
  std::string space;
  for (std::size_t block = 0; block < snapshot->blocks(); ++block) {
    if (const auto good = snapshot->read(block, space); !good) return good.error();
    make_segment_if_wanted();
  }
  snapshot_bytes_ = snapshot->bytes();
  return {};
}

// What the newest was made of stays, and whatever the follower has not taken.
void Keeper::remove_outdated() {
  const auto listing = list_files(directory_);
  if (!listing) return;
  std::uint64_t keep_from = 0;
  for (const std::uint64_t number : listing->snapshots) {
    if (number > good_snapshot_) break;
    if (options_.follower_cursor) {
      const auto snapshot = SnapshotFile::open(directory_, number);
      if (!snapshot || snapshot->head().place.next_seq > options_.follower_cursor() + 1) break;
    }
    keep_from = number;
  }
  // A failure to tidy up harms nothing; the next snapshot tries again.
  for (const std::uint64_t number : listing->segments) {
    if (number < keep_from) static_cast<void>(directory_.remove(segment_name(number)));
  }
  for (const std::uint64_t number : listing->snapshots) {
    if (number < keep_from) static_cast<void>(directory_.remove(snapshot_name(number)));
  }
}

}  // namespace tallygate::ledger
