// The folder below which all files lie, and the only way to open one of them.
//
// Immutable; any thread.
#pragma once
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/content/version.h"
#include "server/net/descriptor.h"

namespace tallygate::content {

// What tells one version of a file from another.
struct FileStatus {
  FileVersion version;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t changed_at_ns = 0;  // ctime: tells a change that kept size and mtime

  friend bool operator==(const FileStatus&, const FileStatus&) = default;
};
// Of an open file. On a network file system it may block.
[[nodiscard]] Result<FileStatus> status_of(int file);

class ContentRoot {
 public:
  // The error is for the operator: no such folder, or a kernel without openat2. A file that gets a
  // descriptor not below `descriptors_below` is `too_many_files_open`: the others are not for files
  // (core/net/capacity.h).
  [[nodiscard]] static Result<ContentRoot, std::string> open(
      const std::string& folder, int descriptors_below = std::numeric_limits<int>::max());

  // Opens the regular file at a decoded path ("/music/a.flac"), read-only and without following any
  // symbolic link or leaving the root: openat2(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS |
  // RESOLVE_NO_SYMLINKS). Whatever is not a regular file is `no_such_file_or_directory`. May block.
  [[nodiscard]] Result<Descriptor> open_file(std::string_view path) const;
  // The same if it can be done without a disk (RESOLVE_CACHED); else, and before Linux 5.12 always,
  // `resource_unavailable_try_again`. On a network file system it may block all the same: look
  // first.
  [[nodiscard]] Result<Descriptor> open_cached(std::string_view path) const;
  // What is there, as far as is known without asking a disk or a network. Errors as above. Never
  // blocks.
  [[nodiscard]] Result<FileStatus> look_cached(std::string_view path) const;

 private:
  ContentRoot(Descriptor folder, int descriptors_below)
      : folder_(std::move(folder)), descriptors_below_(descriptors_below) {}
  // Of a file that was opened: if it is one, and there is room for it.
  [[nodiscard]] Result<Descriptor> check(Descriptor fd) const;
  // None: errno says why.
  [[nodiscard]] Descriptor cached(const char* relative, std::uint64_t flags) const;

  Descriptor folder_;
  int descriptors_below_;
};

}  // namespace tallygate::content
