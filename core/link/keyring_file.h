// The keyring's file: its text, its permissions, a new entry for it. Reading it is the caller's.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/link/keyring.h"

namespace tallygate::link {

struct KeyringMistake {
  std::uint32_t line = 0;  // from 1; 0: the file as a whole
  std::string message;     // never holds a secret
  friend bool operator==(const KeyringMistake&, const KeyringMistake&) = default;
};

// Makes a keyring from TOML: [[key]] tables with id, secret (see secret.h), and optionally use
// ("sign" or "verify"), scope, not_after (a date-time, UTC unless it has an offset, or unix
// seconds) and ids. Otherwise all mistakes, in the order of their lines. Wipes the copies of
// secrets that it makes; `text` is the caller's to wipe.
[[nodiscard]] Result<Keyring, std::vector<KeyringMistake>> parse_keyring(std::string_view text);

// Why a file with this st_mode may not hold secrets: others can read or write it, or its group can
// write it.
[[nodiscard]] std::optional<std::string> find_keyring_mode_error(unsigned mode);

// An entry for a new key. Entries in one file, one after the other, are a keyring.
// `id` must be a key id; `secret` comes from a cryptographic random generator.
[[nodiscard]] std::string format_keyring_entry(std::string_view id,
                                               std::span<const std::uint8_t, 32> secret);

}  // namespace tallygate::link
