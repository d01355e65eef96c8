// From the files of a ledger directory to its accounts, and to a fresh file.
//
// A directory holds one file for each start, ledger-<generation>.tgl: the snapshot of all links at
// that start, then the journal since. The newest one is the ledger; the one before it is kept.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/ledger/account.h"
#include "server/ledger/journal.h"
#include "server/ledger/storage.h"

namespace tallygate::ledger {

struct LinkKeyHash {
  std::size_t operator()(const LinkKey& key) const noexcept {
    return static_cast<std::size_t>(key.low);  // already a hash
  }
};
using Accounts = std::unordered_map<LinkKey, std::unique_ptr<Account>, LinkKeyHash>;

struct Recovered {
  Accounts accounts;
  std::string file;  // its name; empty: a new ledger
  std::uint64_t generation = 0;
  std::uint64_t next_seq = 1;
  std::uint64_t batches = 0;
  std::uint64_t records = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t torn_bytes = 0;  // of an unfinished last write: never acknowledged, cut off
  std::uint64_t in_doubt = 0;    // transfers that were in flight: settled as a crash leaves them
  std::int64_t written_at = 0;   // unix seconds of the newest batch
  // Longest time between two batches, or between one and an earlier time in the next: the server
  // was idle, or the clock was set.
  std::int64_t longest_pause = 0;
};

// Reads the newest generation. `events` gets those with a number above `cursor`. The error names
// file and offset; nothing was changed on disk. Recovery may read beside a running server.
[[nodiscard]] Result<Recovered, std::string> recover(Directory& directory,
                                                     std::uint32_t waste_permille,
                                                     std::uint64_t cursor,
                                                     std::vector<Event>& events);

// Writes the accounts as the next generation, synced and renamed into place, and removes all but
// the one before it. Returns where its journal begins.
struct FreshFile {
  std::unique_ptr<File> file;
  JournalEnd end;
};
[[nodiscard]] Result<FreshFile, std::string> write_generation(Directory& directory,
                                                              const Recovered& recovered,
                                                              std::int64_t unix_now);

}  // namespace tallygate::ledger
