// The files that a ledger consists of, opened together, so that a server beside us may remove their
// names meanwhile.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "core/base/result.h"
#include "server/ledger/chronicle.h"
#include "server/ledger/snapshot_file.h"
#include "server/ledger/storage.h"

namespace tallygate::ledger {

struct OpenSegment {
  std::uint64_t number = 0;
  std::unique_ptr<File> file;
};

struct LedgerFiles {
  std::optional<SnapshotFile> snapshot;
  std::vector<OpenSegment> segments;  // consecutive
};

// The newest snapshot that `options` allow, or an older one if the follower lacks events from
// before it, and all segments behind that one.
[[nodiscard]] Result<LedgerFiles, ChronicleError> open_files(Directory& directory,
                                                             const ChronicleOptions& options);

}  // namespace tallygate::ledger
