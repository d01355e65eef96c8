// The files that a worker has open, with what is said about them in every answer.
//
// One cache for each worker, used on its thread only. The worker never waits for a disk here: what
// is not in memory, and everything on a network file system, is opened and checked on a thread of
// the blocking pool. A file that was replaced, by rename or in place, is noticed at the first
// request that comes more than kRevalidate after the last check; transfers keep the version that
// they began with.
//
//   auto file = files.try_open(path);
//   if (!file) file = co_await files.open_slowly(path);
#pragma once
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/content/version.h"
#include "core/http/content_disposition.h"
#include "core/http/date.h"
#include "core/http/mime.h"
#include "server/content/root.h"
#include "server/disk/off_loop.h"
#include "server/disk/residency.h"
#include "server/metrics/counter.h"
#include "server/net/clock.h"

namespace tallygate::content {

// One version of one file. Immutable; closed when the last transfer of it ends (where closing may
// hang, on a thread of the pool).
struct OpenFile {
  std::string path;  // decoded
  Descriptor descriptor;
  FileVersion version;
  EtagText etag;
  VersionKey key;
  std::int64_t last_modified = 0;  // unix seconds, as sent
  http::DateText last_modified_text;
  std::string_view content_type;  // lives as long as the table of media types
  FileStatus status;
  disk::FileSystem file_system;  // how to ask whether it is in memory; its device
  // Its worker's: until then its pages are not believed to be in memory.
  mutable std::chrono::steady_clock::time_point cold_until{};
};

class OpenFiles {
 public:
  static constexpr std::chrono::milliseconds kRevalidate{500};
  static constexpr std::chrono::milliseconds kOpenTimeout{5'000};

  using Opened = Result<std::shared_ptr<const OpenFile>>;

  // All must outlive the cache, and the pool of `off_loop` every file of it; `files_max` ≥ 1 bounds
  // the descriptors that it holds.
  OpenFiles(const ContentRoot& root, const http::MediaTypes& types, const Clock& clock,
            std::size_t files_max, disk::OffLoop& off_loop,
            std::chrono::milliseconds open_timeout = kOpenTimeout);

  // The current version of the file at the decoded path, or why there is none. nullopt: that cannot
  // be told without waiting; ask open_slowly(). A hit allocates nothing and calls nobody.
  [[nodiscard]] std::optional<Opened> try_open(std::string_view path);
  // Waits for the disk or the network, together with whoever else waits for this path. Errors
  // besides those of opening: timed_out; resource_unavailable_try_again, too many wait.
  [[nodiscard]] Task<Opened> open_slowly(std::string_view path);
  // Forgets a file that turned out to be damaged (it shrank under a transfer, it cannot be read).
  void forget(std::string_view path);
  void forget(const OpenFile& file);
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

  // Any thread may read them.
  struct Counters {
    metrics::Counter hits;    // try_open() answered with a file that was open
    metrics::Counter misses;  // or did not
    metrics::Level open;      // size()
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  struct Entry {
    std::string path;
    std::shared_ptr<const OpenFile> file;
    std::chrono::steady_clock::time_point checked_at;
  };
  using Entries = std::list<Entry>;  // most recently used first
  // What a slow look has found.
  struct Found {
    error_code error;
    Descriptor descriptor;  // none: it is still the file that was known
    FileStatus status;
    disk::FileSystem file_system;
  };
  // A slow look, and those who wait for it.
  struct Opening {
    std::vector<std::shared_ptr<disk::Awaited<Opened>>> waiters;
  };

  // Any thread; blocks.
  [[nodiscard]] static Found look(const ContentRoot& root, std::string_view path,
                                  const OpenFile* known);
  [[nodiscard]] bool start(std::string_view path);
  void finish(std::string_view path, std::shared_ptr<const OpenFile> known, Found found);
  [[nodiscard]] Opened take_in(std::string_view path, std::shared_ptr<const OpenFile> known,
                               Found found);
  [[nodiscard]] std::shared_ptr<const OpenFile> make(std::string_view path, Descriptor descriptor,
                                                     const FileStatus& status,
                                                     const disk::FileSystem& on) const;
  [[nodiscard]] Entry* find(std::string_view path);
  void remember(std::string_view path, std::shared_ptr<const OpenFile> file);
  // The answer to a look in memory that failed.
  [[nodiscard]] std::optional<Opened> refuse(std::string_view path, error_code why);

  const ContentRoot& root_;
  const http::MediaTypes& types_;
  const Clock& clock_;
  const std::size_t files_max_;
  disk::OffLoop& off_loop_;
  const std::chrono::milliseconds open_timeout_;
  disk::FileSystems file_systems_;
  Entries entries_;
  std::unordered_map<std::string_view, Entries::iterator> by_path_;  // keys view Entry::path
  std::unordered_map<std::string, Opening> openings_;
  Counters counters_;
};

}  // namespace tallygate::content
