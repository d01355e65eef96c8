// Under which id a link is counted.
#pragma once
#include <string_view>

#include "core/base/fixed_string.h"
#include "core/link/signed_bytes.h"

namespace tallygate::link {

using LinkId = FixedString<96>;  // as wide as the shop's column

// For a token without a link id: "h." and XXH3-128 of the signed bytes in hex. The dot keeps it
// apart from every id that a shop can sign. Equal URLs share it; another file, expiry or key does
// not.
[[nodiscard]] LinkId hashed_link_id(const SignedBytes& bytes) noexcept;

// For one file under a folder token: "<id>:<XXH3-64 of the decoded path, 16 hex digits>".
[[nodiscard]] LinkId file_link_id(const LinkId& folder_id, std::string_view path) noexcept;

// The folder's id of such an id; empty: it is none.
[[nodiscard]] std::string_view folder_of(std::string_view link_id) noexcept;

}  // namespace tallygate::link
