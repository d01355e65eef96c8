// The files of a ledger's directory: segments of the journal, and snapshots of all links.
//
//   journal-<number>.tgj    records, in segments of 4 to 64 MiB, made ahead of need
//   snapshot-<number>.tgs   all links as they stood when that segment began
//   *.new                   being made; removed at the next start
//
// Numbers are 16 hex digits. Blocking; any thread.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/ledger/segment_format.h"
#include "server/ledger/storage.h"

namespace tallygate::ledger {

[[nodiscard]] std::string segment_name(std::uint64_t number);
[[nodiscard]] std::string snapshot_name(std::uint64_t number);

struct Listing {
  std::vector<std::uint64_t> segments;   // ascending
  std::vector<std::uint64_t> snapshots;  // ascending
  std::vector<std::string> unfinished;   // *.new
};
[[nodiscard]] Result<Listing> list_files(Directory& directory);

// A segment that records can be written to.
struct Segment {
  std::unique_ptr<File> file;
  SegmentHead head;
};
// Makes the file, whole and synced, under its name; one that has this name already is replaced.
// `head.nonce` is filled in. What was made of it before a failure is removed.
[[nodiscard]] Result<Segment> make_segment(Directory& directory, SegmentHead head);

[[nodiscard]] std::uint64_t random_number();

// Reads a file front to back in large steps.
class WindowedReader {
 public:
  explicit WindowedReader(File& file) : file_(file) {}
  // `bytes` from `offset`, fewer at the end of the file. Valid until the next call.
  [[nodiscard]] Result<std::string_view> view(std::uint64_t offset, std::size_t bytes);
  // The file may have changed: the next view reads it anew.
  void forget() { window_bytes_ = 0; }

 private:
  static constexpr std::size_t kWindowBytes = 1 << 20;
  File& file_;
  std::string window_;
  std::uint64_t window_at_ = 0;
  std::size_t window_bytes_ = 0;
};

}  // namespace tallygate::ledger
