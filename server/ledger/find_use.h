// One link, looked up in the files: for people's questions.
#pragma once
#include <optional>
#include <string_view>

#include "core/ledger/record.h"
#include "server/ledger/storage.h"

namespace tallygate::ledger {

// Parent and path of a link as the files have them; nullopt: they do not know it as used. Reads the
// journal since the newest snapshot, and one block of that.
[[nodiscard]] std::optional<Used> find_use(Directory& directory, std::string_view link_id);

}  // namespace tallygate::ledger
