// `tallygate ledger adopt`: a ledger that was restored from a backup, or lost its outbox, and the
// shop's database are brought to the same counts again. server/ledger/README.md says why it works.
#pragma once
#include <string>

namespace tallygate::command {

// `config`: the settings' file. The exit code; where it is not kDone, nothing is changed for good,
// and the command can be repeated.
[[nodiscard]] int adopt_ledger(const std::string& config);

}  // namespace tallygate::command
