#include "server/ledger/recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <random>
#include <utility>

namespace tallygate::ledger {
namespace {

constexpr std::string_view kPrefix = "ledger-";
constexpr std::string_view kSuffix = ".tgl";
constexpr std::size_t kSnapshotBatchBytes = 4 << 20;

std::string file_name(std::uint64_t generation) {
  return fmt::format("{}{:016x}{}", kPrefix, generation, kSuffix);
}

std::optional<std::uint64_t> generation_of(std::string_view name) {
  if (name.size() != kPrefix.size() + 16 + kSuffix.size() || !name.starts_with(kPrefix) ||
      !name.ends_with(kSuffix)) {
    return std::nullopt;
  }
  std::uint64_t generation = 0;
  for (const char c : name.substr(kPrefix.size(), 16)) {
    const auto digit = std::string_view("0123456789abcdef").find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    generation = generation << 4 | digit;
  }
  return generation;
}

Result<std::vector<std::uint64_t>, std::string> generations(Directory& directory) {
  const auto names = directory.list();
  if (!names) return "cannot list the ledger's directory: " + names.error().message();
  std::vector<std::uint64_t> found;
  for (const std::string& name : *names) {
    if (const auto generation = generation_of(name)) found.push_back(*generation);
  }
  std::sort(found.begin(), found.end());
  return found;
}

// Of two times that may be anything.
std::int64_t distance(std::int64_t a, std::int64_t b) {
  std::int64_t difference = 0;
  if (__builtin_sub_overflow(std::max(a, b), std::min(a, b), &difference)) return INT64_MAX;
  return difference;
}

// Reads one file front to back.
class Replay {
 public:
  Replay(File& file, std::string name, std::uint32_t waste_permille, std::uint64_t cursor,
         std::vector<Event>& events)
      : file_(file),
        name_(std::move(name)),
        waste_permille_(waste_permille),
        cursor_(cursor),
        events_(events) {}

  // Empty: done. Else what is wrong.
  std::string run(Recovered& out);

 private:
  enum class Next : std::uint8_t { batch, end, torn, damaged, failed };
  Next next(BatchHead& head, std::string& payload);
  bool later_batch_behind(std::uint64_t offset);
  std::string apply(const BatchHead& head, std::string_view payload, Recovered& out);
  std::string at(std::uint64_t offset, std::string_view what) const {
    return fmt::format("{} at byte {}: {}", name_, offset, what);
  }

  File& file_;
  const std::string name_;
  const std::uint32_t waste_permille_;
  const std::uint64_t cursor_;
  std::vector<Event>& events_;

  FileHead head_;
  std::uint64_t offset_ = kBlockBytes;
  std::uint64_t number_ = 0;
  std::uint64_t chain_ = 0;
  std::string failure_;
};

Replay::Next Replay::next(BatchHead& head, std::string& payload) {
  std::string bytes(kBatchHeadBytes, '\0');
  const auto got = file_.read_at(offset_, bytes);
  if (!got) {
    failure_ = at(offset_, "cannot be read: " + got.error().message());
    return Next::failed;
  }
  if (*got == 0) return Next::end;
  bytes.resize(*got);
  const auto parsed = parse_batch_head(bytes);
  bool good = parsed && parsed->number == number_ + 1 && parsed->chain == chain_;
  if (good) {
    payload.resize(parsed->payload_bytes);
    const auto body = file_.read_at(offset_ + kBatchHeadBytes, payload);
    if (!body) {
      failure_ = at(offset_, "cannot be read: " + body.error().message());
      return Next::failed;
    }
    payload.resize(*body);
    good = batch_intact(head_, bytes, *parsed, payload);
  }
  if (good) {
    head = *parsed;
    return Next::batch;
  }
  return later_batch_behind(offset_) ? Next::damaged : Next::torn;
}

// One batch is written at a time, and the next only after it was synced. So whatever is valid
// behind a broken batch proves that the broken one had been acknowledged.
bool Replay::later_batch_behind(std::uint64_t offset) {
  std::string bytes(kBatchHeadBytes, '\0');
  std::string payload;
  for (offset += kBlockBytes;; offset += kBlockBytes) {
    const auto got = file_.read_at(offset, bytes);
    if (!got || *got < kBatchHeadBytes) return false;
    const auto head = parse_batch_head(bytes);
    if (!head || head->number <= number_ + 1) continue;
    payload.resize(head->payload_bytes);
    const auto body = file_.read_at(offset + kBatchHeadBytes, payload);
    if (body && *body == payload.size() && batch_intact(head_, bytes, *head, payload)) return true;
  }
}

std::string Replay::apply(const BatchHead& head, std::string_view payload, Recovered& out) {
  std::uint64_t seq = head.first_seq;
  Entries entries;
  for (std::uint32_t i = 0; i < head.records; ++i) {
    const auto record = take_record(payload);
    if (!record) return at(offset_, fmt::format("record {} of batch {} is unreadable", i, number_));
    auto& account = out.accounts[record->link];
    if (!account) account = std::make_unique<Account>(waste_permille_);
    entries.events.clear();
    if (!account->replay(record->what, entries)) {
      return at(offset_,
                fmt::format("record {} of batch {} contradicts those before it", i, number_));
    }
    for (Event& event : entries.events) {
      event.seq = seq;
      if (seq > cursor_) events_.push_back(std::move(event));
    }
    if (!head.snapshot) ++seq;
  }
  if (!payload.empty()) return at(offset_, "bytes behind the last record of the batch");
  if (!head.snapshot) {
    out.next_seq = seq;
    out.records += head.records;
  }
  return {};
}

std::string Replay::run(Recovered& out) {
  std::string block(kBlockBytes, '\0');
  const auto got = file_.read_at(0, block);
  if (!got) return name_ + " cannot be read: " + got.error().message();
  block.resize(*got);
  const auto parsed = parse_file_head(block);
  if (!parsed) return name_ + " " + parsed.error();
  head_ = *parsed;
  chain_ = first_chain(head_);
  out.next_seq = head_.first_seq;
  bool snapshot_complete = false;
  BatchHead head;
  std::string payload;
  for (;;) {
    switch (next(head, payload)) {
      case Next::failed:
        return failure_;
      case Next::damaged:
        return at(offset_, fmt::format("batch {} was acknowledged and is damaged; the counts since "
                                       "then cannot be trusted",
                                       number_ + 1));
      case Next::torn: {
        // How much hangs over is only told to a person; the file is never appended to again.
        std::string rest(kBlockBytes, '\0');
        for (std::uint64_t o = offset_;; o += kBlockBytes) {
          const auto n = file_.read_at(o, rest);
          if (!n || *n == 0) break;
          out.torn_bytes += *n;
        }
        [[fallthrough]];
      }
      case Next::end:
        if (!snapshot_complete) return at(offset_, "the snapshot is not complete");
        out.batches = number_;
        out.file_bytes = offset_;
        return {};
      case Next::batch:
        ++number_;
        if (head.snapshot != !snapshot_complete) {
          return at(offset_, "snapshot and journal are out of order");
        }
        if (std::string wrong = apply(head, payload, out); !wrong.empty()) return wrong;
        snapshot_complete |= head.snapshot_end;
        if (number_ > 1) {
          out.longest_pause =
              std::max(out.longest_pause, distance(out.written_at, head.written_at));
        }
        out.written_at = head.written_at;
        chain_ = head.check;
        offset_ += batch_extent(head);
    }
  }
}

// What a crash leaves: leased and not settled counts as delivered, and may be fetched once more.
void settle_doubt(Recovered& out, std::uint64_t cursor, std::vector<Event>& events) {
  Entries entries;
  for (auto& [key, account] : out.accounts) {
    const std::size_t in_flight = account->in_flight();
    if (in_flight == 0) continue;
    out.in_doubt += in_flight;
    entries.events.clear();
    if (!account->replay(Crashed{}, entries)) continue;
    for (Event& event : entries.events) {
      event.seq = out.next_seq;
      if (event.seq > cursor) events.push_back(std::move(event));
    }
  }
  ++out.next_seq;  // the crash is an event of its own, at a number that no record has
}

std::uint64_t random_64() {
  static std::random_device device;  // getrandom(2)
  return std::uint64_t{device()} << 32 | device();
}

}  // namespace

Result<Recovered, std::string> recover(Directory& directory, std::uint32_t waste_permille,
                                       std::uint64_t cursor, std::vector<Event>& events) {
  const auto found = generations(directory);
  if (!found) return found.error();
  Recovered out;
  if (found->empty()) return out;
  out.generation = found->back();
  out.file = file_name(out.generation);
  const auto file = directory.open(out.file);
  if (!file) return out.file + " cannot be opened: " + file.error().message();
  Replay replay(**file, out.file, waste_permille, cursor, events);
  if (std::string wrong = replay.run(out); !wrong.empty()) return wrong;
  settle_doubt(out, cursor, events);
  return out;
}

Result<FreshFile, std::string> write_generation(Directory& directory, const Recovered& recovered,
                                                std::int64_t unix_now) {
  FreshFile fresh;
  JournalEnd& end = fresh.end;
  end.head.generation = recovered.generation + 1;
  end.head.first_seq = recovered.next_seq;
  end.head.nonce = {random_64(), random_64()};
  end.chain = first_chain(end.head);
  end.next_seq = recovered.next_seq;
  const std::string name = file_name(end.head.generation);
  const std::string temporary = name + ".new";
  const auto failed = [&](const char* what, const error_code& ec) {
    return fmt::format("cannot {} {}: {}", what, temporary, ec.message());
  };
  auto file = directory.create(temporary);
  if (!file) return failed("create", file.error());
  fresh.file = std::move(*file);
  if (const error_code ec = fresh.file->write_at(0, encode_file_head(end.head))) {
    return failed("write", ec);
  }
  end.offset = kBlockBytes;

  Entries entries;
  const auto write_batch = [&](bool last) -> error_code {
    if (entries.bytes.size() > kBatchBytesMax) {  // nobody could read it
      return make_error_code(boost::system::errc::value_too_large);
    }
    BatchHead head;
    head.number = ++end.batches;
    head.records = entries.records;
    head.first_seq = end.next_seq;
    head.written_at = unix_now;
    head.chain = end.chain;
    head.snapshot = true;
    head.snapshot_end = last;
    const std::string bytes = encode_batch(end.head, head, entries.bytes);
    entries = {};
    const error_code ec = fresh.file->write_at(end.offset, bytes);
    end.offset += bytes.size();
    end.chain = head.check;
    return ec;
  };
  for (const auto& [key, account] : recovered.accounts) {
    account->snapshot(entries);
    if (entries.bytes.size() < kSnapshotBatchBytes) continue;
    if (const error_code ec = write_batch(false)) return failed("write", ec);
  }
  if (const error_code ec = write_batch(true)) return failed("write", ec);
  if (const error_code ec = fresh.file->sync()) return failed("sync", ec);
  if (const error_code ec = directory.rename(temporary, name)) return failed("rename", ec);
  if (const error_code ec = directory.sync()) return failed("sync the directory of", ec);

  // The generation before stays, for a person who needs it; a failure to tidy up harms nothing.
  if (const auto names = directory.list()) {
    for (const std::string& old : *names) {
      const auto generation = generation_of(old);
      const bool outdated = generation && *generation + 1 < end.head.generation;
      const bool abandoned = old.ends_with(".tgl.new");
      if (outdated || abandoned) static_cast<void>(directory.remove(old));
    }
  }
  return fresh;
}

}  // namespace tallygate::ledger
