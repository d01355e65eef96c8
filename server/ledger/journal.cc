#include "server/ledger/journal.h"

#include <utility>

namespace tallygate::ledger {
namespace {

// About 200,000 leases; beyond, requests that need one get 503.
constexpr std::size_t kCrowdedBytes = 16 << 20;
// A group is closed at this size: the longest single write.
constexpr std::size_t kGroupBytes = 4 << 20;
static_assert(kGroupBytes * 4 <= kBatchBytesMax);

}  // namespace

Journal::Journal(std::unique_ptr<File> file, JournalEnd end, const Clock& clock, Follower follower)
    : clock_(clock),
      follower_(std::move(follower)),
      file_(std::move(file)),
      end_(end),
      next_seq_(end.next_seq),
      written_seq_(end.next_seq),
      thread_([this] { run(); }) {}

Journal::~Journal() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

bool Journal::append(Entries entries, Done done) {
  {
    const std::lock_guard lock(mutex_);
    if (!failure_.empty() || stopping_) return false;
    Pending& group = open_group();
    for (Event& event : entries.events) {
      event.seq += next_seq_;
      group.events.push_back(std::move(event));
    }
    next_seq_ += entries.records;
    group.payload += entries.bytes;
    group.records += entries.records;
    if (done) group.waiters.push_back(std::move(done));
    pending_bytes_ += entries.bytes.size();
  }
  wake_.notify_one();
  return true;
}

Journal::Pending& Journal::open_group() {
  if (pending_.empty() || pending_.back().payload.size() >= kGroupBytes) pending_.emplace_back();
  return pending_.back();
}

bool Journal::crowded() const {
  const std::lock_guard lock(mutex_);
  return pending_bytes_ >= kCrowdedBytes;
}

std::string Journal::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void Journal::flush() {
  std::unique_lock lock(mutex_);
  const std::uint64_t target = next_seq_;
  idle_.wait(lock, [&] { return written_seq_ >= target; });
}

void Journal::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !pending_.empty(); });
    if (pending_.empty()) return;  // stopping
    Pending batch = std::move(pending_.front());
    pending_.pop_front();
    pending_bytes_ -= batch.payload.size();
    bool ok = failure_.empty();
    lock.unlock();
    if (ok && batch.records != 0) {
      if (const error_code ec = write(batch)) {
        ok = false;
        const std::lock_guard relock(mutex_);
        failure_ = "the journal could not be written: " + ec.message();
      }
    }
    if (ok && follower_ && !batch.events.empty()) follower_(std::move(batch.events));
    for (const Done& done : batch.waiters) done(ok);
    lock.lock();
    written_seq_ += batch.records;
    idle_.notify_all();
  }
}

error_code Journal::write(const Pending& batch) {
  BatchHead head;
  head.number = end_.batches + 1;
  head.records = batch.records;
  head.first_seq = end_.next_seq;
  head.written_at = clock_.unix_now();
  head.chain = end_.chain;
  const std::string bytes = encode_batch(end_.head, head, batch.payload);
  if (const error_code ec = file_->write_at(end_.offset, bytes)) return ec;
  if (const error_code ec = file_->sync()) return ec;
  end_.offset += bytes.size();
  end_.batches = head.number;
  end_.chain = head.check;
  end_.next_seq += batch.records;
  return {};
}

}  // namespace tallygate::ledger
