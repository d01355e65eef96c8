// The files that a worker has open, with what is said about them in every answer.
//
// One cache for each worker, used on its thread only; opening and checking may block on the disk.
// A file that was replaced, by rename or in place, is noticed at the first request that comes more
// than kRevalidate after the last check; transfers keep the version that they began with.
#pragma once
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/content/version.h"
#include "core/http/content_disposition.h"
#include "core/http/date.h"
#include "core/http/mime.h"
#include "server/content/root.h"
#include "server/net/clock.h"

namespace tallygate::content {

// One version of one file. Immutable; closed when the last transfer of it ends.
struct OpenFile {
  Descriptor descriptor;
  FileVersion version;
  EtagText etag;
  VersionKey key;
  std::int64_t last_modified = 0;  // unix seconds, as sent
  http::DateText last_modified_text;
  std::string_view content_type;  // lives as long as the table of media types
  std::uint64_t inode = 0;
  std::uint64_t device = 0;
  std::int64_t changed_at_ns = 0;  // ctime: tells a change that kept size and mtime
};

class OpenFiles {
 public:
  static constexpr std::chrono::milliseconds kRevalidate{500};

  // The first three must outlive the cache. `files_max` ≥ 1 bounds the descriptors that it holds.
  OpenFiles(const ContentRoot& root, const http::MediaTypes& types, const Clock& clock,
            std::size_t files_max);

  // The current version of the file at the decoded path, or why there is none.
  [[nodiscard]] Result<std::shared_ptr<const OpenFile>> open(std::string_view path);
  // Forgets a file that turned out to be damaged (it shrank under a transfer, it cannot be read).
  void forget(std::string_view path);
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::string path;
    std::shared_ptr<const OpenFile> file;
    std::chrono::steady_clock::time_point checked_at;
  };
  using Entries = std::list<Entry>;  // most recently used first

  [[nodiscard]] Result<std::shared_ptr<const OpenFile>> open_now(std::string_view path) const;

  const ContentRoot& root_;
  const http::MediaTypes& types_;
  const Clock& clock_;
  const std::size_t files_max_;
  Entries entries_;
  std::unordered_map<std::string_view, Entries::iterator> by_path_;  // keys view Entry::path
};

}  // namespace tallygate::content
