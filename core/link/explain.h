// Says field by field why a signed URL would be served or not; what `tallygate verify` prints.
//
// Shows what a link says and which bytes are signed; never a key, nor the MAC that would be right.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/link/verify.h"

namespace tallygate::link {

enum class Verdict : std::uint8_t {
  ok,
  failed,
  depends,  // on something that is not known here: the client, the shop's row
};

struct Finding {
  std::string field;  // "path", "e expiry", …
  std::string value;  // as decoded; may hold whatever was in the URL
  Verdict verdict;
  std::string explanation;
};

struct Explanation {
  std::vector<Finding> findings;
  std::optional<Refusal> refusal;  // the server's answer, as far as the URL decides it
};

// `url` may be a whole URL or a request target. Without `client` the binding to one is left open.
// After a wrong shape there are no further findings; after a wrong key or MAC the rest follows, so
// that a shop's developer sees everything at once. A link without an expiry is left open: the
// shop's row may have one.
[[nodiscard]] Explanation explain(std::string_view url, const Keyring& keys,
                                  const std::optional<IpAddress>& client, std::int64_t now);

}  // namespace tallygate::link
