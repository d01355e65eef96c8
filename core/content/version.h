// The version of a file: what changes when its bytes do.
//
// From size and modification time, never from the inode, so that a copy on another edge, or one
// restored from a backup, is the same version and a download resumes there. Values only.
#pragma once
#include <cstdint>
#include <string_view>

#include "core/base/fixed_string.h"

namespace tallygate::content {

struct FileVersion {
  std::uint64_t size = 0;
  std::int64_t mtime_seconds = 0;  // since 1970; may be negative
  std::uint32_t mtime_nanoseconds = 0;

  friend constexpr bool operator==(const FileVersion&, const FileVersion&) = default;
};

// A strong entity tag with its quotes: "<size>-<mtime seconds><nanoseconds, 8 digits>" in hex.
// Different versions have different tags.
using EtagText = FixedString<48>;
[[nodiscard]] EtagText etag(const FileVersion& version) noexcept;

// The value of Last-Modified, unix seconds: the mtime, but never after `now` (RFC 9110 §8.8.2.1).
[[nodiscard]] std::int64_t last_modified(const FileVersion& version, std::int64_t now) noexcept;

// Names the meters of one version of one path. Stored on disk: the same on every machine. Only keys
// of one link are ever compared, so that 64 bits tell its few versions apart.
struct VersionKey {
  std::uint64_t hash = 0;

  friend constexpr auto operator<=>(const VersionKey&, const VersionKey&) = default;
};

// XXH3-64 over the decoded path, a NUL (no path has one) and the tag. No allocation; not meant to
// withstand anyone who chooses file names on the server.
[[nodiscard]] VersionKey version_key(std::string_view path, std::string_view etag) noexcept;

}  // namespace tallygate::content
