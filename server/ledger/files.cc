#include "server/ledger/files.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <random>
#include <utility>

namespace tallygate::ledger {
namespace {

constexpr std::string_view kSegmentPrefix = "journal-";
constexpr std::string_view kSegmentSuffix = ".tgj";
constexpr std::string_view kSnapshotPrefix = "snapshot-";
constexpr std::string_view kSnapshotSuffix = ".tgs";

std::optional<std::uint64_t> number_of(std::string_view name, std::string_view prefix,
                                       std::string_view suffix) {
  if (name.size() != prefix.size() + 16 + suffix.size() || !name.starts_with(prefix) ||
      !name.ends_with(suffix)) {
    return std::nullopt;
  }
  std::uint64_t number = 0;
  for (const char c : name.substr(prefix.size(), 16)) {
    const auto digit = std::string_view("0123456789abcdef").find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    number = number << 4 | digit;
  }
  return number;
}

}  // namespace

std::string segment_name(std::uint64_t number) {
  return fmt::format("{}{:016x}{}", kSegmentPrefix, number, kSegmentSuffix);
}
std::string snapshot_name(std::uint64_t number) {
  return fmt::format("{}{:016x}{}", kSnapshotPrefix, number, kSnapshotSuffix);
}

Result<Listing> list_files(Directory& directory) {
  const auto names = directory.list();
  if (!names) return names.error();
  Listing listing;
  for (const std::string& name : *names) {
    if (const auto segment = number_of(name, kSegmentPrefix, kSegmentSuffix)) {
      listing.segments.push_back(*segment);
    } else if (const auto snapshot = number_of(name, kSnapshotPrefix, kSnapshotSuffix)) {
      listing.snapshots.push_back(*snapshot);
    } else if (name.ends_with(".tgj.new") || name.ends_with(".tgs.new")) {
      listing.unfinished.push_back(name);
    }
  }
  std::sort(listing.segments.begin(), listing.segments.end());
  std::sort(listing.snapshots.begin(), listing.snapshots.end());
  return listing;
}

std::uint64_t random_number() {
  static thread_local std::random_device device;  // getrandom(2)
  return std::uint64_t{device()} << 32 | device();
}

Result<Segment> make_segment(Directory& directory, SegmentHead head) {
  head.nonce = {random_number(), random_number()};
  const std::string name = segment_name(head.number);
  const std::string temporary = name + ".new";
  auto file = directory.create(temporary);
  if (!file) return file.error();
  const auto made = [&]() -> error_code {
    if (const error_code ec = (*file)->allocate(head.length)) return ec;
    if (const error_code ec = (*file)->write_at(0, encode_segment_head(head))) return ec;
    if (const error_code ec = (*file)->sync()) return ec;
    return directory.rename(temporary, name);
  }();
  if (made) {
    static_cast<void>(directory.remove(temporary));
    return made;
  }
  if (const error_code ec = directory.sync()) return ec;
  return Segment{std::move(*file), head};
}

Result<std::string_view> WindowedReader::view(std::uint64_t offset, std::size_t bytes) {
  const bool inside = offset >= window_at_ && offset + bytes <= window_at_ + window_bytes_;
  if (!inside) {
    // However long somebody says that something is: no more memory than there is file.
    const auto size = file_.size();
    if (!size) return size.error();
    const std::uint64_t left = *size - std::min(*size, offset);
    window_.resize(
        static_cast<std::size_t>(std::min<std::uint64_t>(std::max(bytes, kWindowBytes), left)));
    window_at_ = offset;
    window_bytes_ = 0;
    const auto got = file_.read_at(offset, window_);
    if (!got) return got.error();
    window_bytes_ = *got;
  }
  const auto begin = static_cast<std::size_t>(offset - window_at_);
  return std::string_view(window_).substr(begin, std::min(bytes, window_bytes_ - begin));
}

}  // namespace tallygate::ledger
