// `tallygate ledger backup`: the ledger and the shop's outbox beside it, copied together, also
// beside a running server.
#pragma once
#include <string>

namespace tallygate::command {

struct BackupOptions {
  std::string dir;  // the ledger's
  std::string to;   // absent, or an empty directory
  bool as_json = false;
};

// The exit code. A copy that could not be finished, or is not good, is removed.
[[nodiscard]] int backup_ledger(const BackupOptions& options);

}  // namespace tallygate::command
