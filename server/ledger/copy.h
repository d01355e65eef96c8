// Copies a ledger's files into another directory, also beside a running server, which is not held
// up and notices nothing.
//
// The copy is the ledger as it stood at one moment: a snapshot and the whole batches since, as far
// as they were acknowledged. It is synced, and read back as a start would read it. Blocking.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "core/base/result.h"
#include "server/ledger/chronicle.h"
#include "server/ledger/storage.h"

namespace tallygate::ledger {

struct CopyOptions {
  std::uint32_t waste_permille = 2000;
  // The follower's store was copied before and has taken the events up to this one: the copy has
  // the others.
  std::optional<std::uint64_t> cursor;
  // `what`: "reading", "copying" or "verifying"; bytes. May be empty.
  std::function<void(const char* what, std::uint64_t done, std::uint64_t total)> progress;
};

struct CopyError {
  std::string text;    // for a person
  bool again = false;  // the server removed files meanwhile: begin anew
};

// Into `to`, which is empty. What the copy says, as read back.
[[nodiscard]] Result<Chronicle, CopyError> copy_ledger(Directory& from, Directory& to,
                                                       const CopyOptions& options);

}  // namespace tallygate::ledger
