// The folder below which all files lie, and the only way to open one of them.
//
// Immutable; any thread. Opening may block on the disk.
#pragma once
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "server/net/descriptor.h"

namespace tallygate::content {

class ContentRoot {
 public:
  // The error is for the operator: no such folder, or a kernel without openat2.
  [[nodiscard]] static Result<ContentRoot, std::string> open(const std::string& folder);

  // Opens the regular file at a decoded path ("/music/a.flac"), read-only and without following any
  // symbolic link or leaving the root: openat2(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS |
  // RESOLVE_NO_SYMLINKS). Whatever is not a regular file is `no_such_file_or_directory`.
  [[nodiscard]] Result<Descriptor> open_file(std::string_view path) const;

 private:
  explicit ContentRoot(Descriptor folder) : folder_(std::move(folder)) {}
  Descriptor folder_;
};

}  // namespace tallygate::content
