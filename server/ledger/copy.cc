#include "server/ledger/copy.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/system/errc.hpp>
#include <utility>
#include <vector>

#include "server/ledger/files.h"
#include "server/ledger/snapshot_file.h"

namespace tallygate::ledger {
namespace {

constexpr std::size_t kChunkBytes = 1 << 20;

// A file of the source and how much of it is wanted; nullopt: all.
struct Wanted {
  std::string name;
  std::optional<std::uint64_t> bytes;
};

class Copying {
 public:
  Copying(Directory& from, Directory& to, const CopyOptions& options)
      : from_(from), to_(to), options_(options) {}

  Result<Chronicle, CopyError> run() {
    const auto found = read("reading", from_, false);
    if (!found) return CopyError{found.error().text, false};
    if (found->segments.empty()) return CopyError{"there is no ledger", false};
    std::vector<Wanted> files;
    if (found->snapshot != 0) files.push_back({snapshot_name(found->snapshot), std::nullopt});
    for (const SegmentExtent& segment : found->segments) {
      files.push_back({segment_name(segment.number), segment.bytes});
      total_ += segment.bytes;
    }
    total_ += found->snapshot_bytes;
    for (const Wanted& file : files) {
      if (auto error = copy(file)) return std::move(*error);
    }
    if (const error_code ec = to_.sync()) return CopyError{"cannot be synced: " + ec.message()};
    return verify(*found);
  }

 private:
  Result<Chronicle, ChronicleError> read(const char* what, Directory& directory, bool as_a_start) {
    ChronicleOptions options;
    options.waste_permille = options_.waste_permille;
    options.cursor = options_.cursor;
    options.verify_images = true;
    options.new_run = as_a_start;
    options.from_disk = as_a_start;
    if (options_.progress) {
      options.progress = [this, what](std::uint64_t done, std::uint64_t total) {
        options_.progress(what, done, total);
      };
    }
    return read_chronicle(directory, options, [](const StoredLink&) {});
  }

  std::optional<CopyError> copy(const Wanted& file) {
    const auto failed = [&](const char* what, const error_code& ec) {
      return CopyError{fmt::format("{} cannot be {}: {}", file.name, what, ec.message()), false};
    };
    const auto source = from_.open(file.name);
    if (!source) {
      CopyError error = failed("opened", source.error());
      error.again = source.error() == boost::system::errc::no_such_file_or_directory;
      return error;
    }
    const auto size = (*source)->size();
    if (!size) return failed("read", size.error());
    const auto target = to_.create(file.name);
    if (!target) return failed("made", target.error());
    const std::uint64_t bytes = file.bytes.value_or(*size);
    std::string chunk;
    for (std::uint64_t at = 0; at < bytes; at += chunk.size()) {
      chunk.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kChunkBytes, bytes - at)));
      const auto got = (*source)->read_at(at, chunk);
      if (!got) return failed("read", got.error());
      if (*got != chunk.size()) return CopyError{file.name + " has become shorter", true};
      if (const error_code ec = (*target)->write_at(at, chunk)) return failed("written", ec);
      done_ += chunk.size();
      if (options_.progress) options_.progress("copying", std::min(done_, total_), total_);
    }
    if (const error_code ec = (*target)->sync()) return failed("synced", ec);
    return std::nullopt;
  }

  // From the disk, as a start would: whole, the same, and with all that the follower lacks.
  Result<Chronicle, CopyError> verify(const Chronicle& source) {
    auto copied = read("verifying", to_, true);
    if (!copied) return CopyError{"the copy is not good: " + copied.error().text, false};
    if (copied->torn_bytes != 0 || copied->segments != source.segments ||
        copied->snapshot != source.snapshot) {
      return CopyError{"the copy is not what was read before", false};
    }
    if (!options_.cursor) return std::move(*copied);
    if (*options_.cursor >= copied->place.next_seq) {
      return CopyError{fmt::format("the ledger ends with record {}, and outbox.db has taken {}",
                                   copied->place.next_seq - 1, *options_.cursor),
                       false};
    }
    if (copied->snapshot == 0) return std::move(*copied);
    const auto snapshot = SnapshotFile::open(to_, copied->snapshot);
    if (!snapshot) return CopyError{snapshot.error(), false};
    if (snapshot->head().place.next_seq > *options_.cursor + 1) {
      return CopyError{"records that outbox.db has yet to take are gone", true};
    }
    return std::move(*copied);
  }

  Directory& from_;
  Directory& to_;
  const CopyOptions& options_;
  std::uint64_t done_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace

Result<Chronicle, CopyError> copy_ledger(Directory& from, Directory& to,
                                         const CopyOptions& options) {
  return Copying(from, to, options).run();
}

}  // namespace tallygate::ledger
