#include "server/ledger/chronicle_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/system/errc.hpp>
#include <utility>

#include "server/ledger/files.h"

namespace tallygate::ledger {
namespace {

// nullopt: a file vanished between the listing and its opening; ask again.
using Opened = Result<std::optional<LedgerFiles>, ChronicleError>;

Opened open_from(Directory& directory, const Listing& listing, std::uint64_t snapshot,
                 std::uint64_t until_segment) {
  LedgerFiles files;
  if (snapshot != 0) {
    auto file = SnapshotFile::open(directory, snapshot);
    if (!file) {
      const auto again = list_files(directory);
      const bool gone =
          again && !std::binary_search(again->snapshots.begin(), again->snapshots.end(), snapshot);
      if (gone) return std::optional<LedgerFiles>();
      return ChronicleError{file.error(), snapshot};
    }
    files.snapshot.emplace(std::move(*file));
  }
  const std::uint64_t first = std::max<std::uint64_t>(snapshot, 1);
  std::uint64_t expected = first;
  for (const std::uint64_t number : listing.segments) {
    if (number < first || number >= until_segment) continue;
    if (number != expected) break;
    auto file = directory.open(segment_name(number));
    if (!file) {
      if (file.error() == boost::system::errc::no_such_file_or_directory) {
        return std::optional<LedgerFiles>();
      }
      return ChronicleError{segment_name(number) + " cannot be opened: " + file.error().message(),
                            0};
    }
    files.segments.push_back({number, std::move(*file)});
    ++expected;
  }
  const bool more = !listing.segments.empty() && listing.segments.back() >= expected;
  if (more && expected < until_segment) {
    return ChronicleError{fmt::format("{} is missing, and {} is there", segment_name(expected),
                                      segment_name(listing.segments.back())),
                          0};
  }
  if (snapshot != 0 && files.segments.empty() && until_segment > snapshot) {
    return ChronicleError{
        fmt::format("{} is missing: it follows {}", segment_name(first), snapshot_name(snapshot)),
        0};
  }
  return std::optional<LedgerFiles>(std::move(files));
}

// The newest snapshot, or an older one if the follower lacks events from before the newest.
Result<std::uint64_t, ChronicleError> choose_snapshot(Directory& directory, const Listing& listing,
                                                      const ChronicleOptions& options) {
  std::vector<std::uint64_t> candidates;
  for (const std::uint64_t n : listing.snapshots) {
    if (n < options.before_snapshot && n <= options.until_segment) candidates.push_back(n);
  }
  const auto has_segment = [&](std::uint64_t number) {
    return std::binary_search(listing.segments.begin(), listing.segments.end(), number);
  };
  if (candidates.empty()) {
    if (listing.snapshots.empty() || has_segment(1)) return std::uint64_t{0};
    return ChronicleError{
        "no snapshot is left that could be read, and the journal does not reach back to "
        "the beginning",
        0};
  }
  if (!options.cursor) return candidates.back();
  for (auto it = candidates.rbegin(); it != candidates.rend(); ++it) {
    const auto snapshot = SnapshotFile::open(directory, *it);
    if (!snapshot) return ChronicleError{snapshot.error(), *it};
    if (snapshot->head().place.next_seq <= *options.cursor + 1) return *it;
  }
  if (has_segment(1)) return std::uint64_t{0};
  return candidates.back();
}

}  // namespace

Result<LedgerFiles, ChronicleError> open_files(Directory& directory,
                                               const ChronicleOptions& options) {
  constexpr int kAttempts = 5;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const auto listing = list_files(directory);
    if (!listing)
      return ChronicleError{"cannot list the directory: " + listing.error().message(), 0};
    const auto snapshot = choose_snapshot(directory, *listing, options);
    if (!snapshot) return snapshot.error();
    auto opened = open_from(directory, *listing, *snapshot, options.until_segment);
    if (!opened) return opened.error();
    if (*opened) return std::move(**opened);
  }
  return ChronicleError{"the files changed while they were opened; try again", 0};
}

}  // namespace tallygate::ledger
