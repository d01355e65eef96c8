// A key's secret as it is written in a keyring: "hex:6a…", "base64:…" or "raw:…".
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/link/hmac_sha256.h"

namespace tallygate::link {

inline constexpr std::size_t kSecretBytesMin = 16;

// The key ready for use, or what is wrong, as a sentence without the secret. Base64 may have either
// alphabet, with padding or without: secrets come from many tools. Wipes the bytes in between;
// `text` is the caller's to wipe.
[[nodiscard]] Result<HmacSha256, std::string> key_from_secret(std::string_view text);

}  // namespace tallygate::link
