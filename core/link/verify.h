// Decides whether a signed URL may be honoured, and what it entitles its bearer to.
//
// Pure: reads no clock, opens nothing, allocates nothing, throws nothing. Callable from any thread.
// In two steps, because the shop's word on a link stands between them: `authenticate` says whether
// it is genuine, `check_times` whether it is in time.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/base/result.h"
#include "core/link/ip_block.h"
#include "core/link/keyring.h"
#include "core/link/link_id.h"
#include "core/link/path.h"
#include "core/link/token.h"

namespace tallygate::link {

// What a genuine link entitles its bearer to. The views end with the target and the Scratch.
struct Grant {
  std::string_view path;       // decoded; what was signed and what is to be opened
  std::string_view file_name;  // to offer to the customer: signed, or the path's last segment
  std::string_view key_id;
  std::string_view data;                   // opaque, for the logs; may be empty
  LinkId link_id;                          // whose copies are counted
  LinkId parent_id;                        // folder links: the id whose row holds state and expiry
  std::uint32_t limit = 0;                 // complete copies; 0: unlimited
  std::optional<std::int64_t> expires_at;  // unix seconds; first second at which it is refused
  std::optional<std::int64_t> not_before;  // unix seconds; first second at which it is honoured
  std::uint64_t bytes_per_second = 0;      // for each transfer; 0: unlimited

  [[nodiscard]] bool is_folder_link() const noexcept { return !parent_id.empty(); }
};

// Answers that a customer can cause. Which status each becomes is HTTP's business.
enum class Refusal : std::uint8_t {
  malformed,     // not a signed URL, or no expiry anywhere
  unknown_key,   // no key of that id, or it is retired
  bad_mac,       // altered, or not ours
  out_of_scope,  // the key may not sign that path or link id
  wrong_client,
  not_yet_valid,
  expired,
  revoked,  // by the shop's word; never from this folder
};

// For logs and metrics: "bad_mac".
[[nodiscard]] std::string_view to_string(Refusal refusal) noexcept;

// Where a request's decoded path and file name live. About 9 KiB, not cleared before use.
struct Scratch {
  PathBuffer path;
  FileNameBuffer file_name;
};

// Checks `target` (origin-form, still percent-encoded), in this order: shape, key, MAC, what the
// key may sign, client. A forged link learns nothing from a refusal: an unknown key costs the same
// HMAC, and the comparison takes the same time wherever the MACs differ.
//
// `now` is in unix seconds and serves the keys' `not_after`; the link's own times are left to
// `check_times`. Cost: one HMAC-SHA256 over the path and the token, one XXH3 where an id is
// derived.
[[nodiscard]] Result<Grant, Refusal> authenticate(std::string_view target, const Keyring& keys,
                                                  const IpAddress& client, std::int64_t now,
                                                  Scratch& scratch) noexcept;

// What the shop's row says about a link's times; each overrides the URL's, both ways.
struct RowTimes {
  std::optional<std::int64_t> not_before;  // unix seconds
  std::optional<std::int64_t> expires_at;  // unix seconds
};

// Within this time after its expiry a link with an unfinished copy is still honoured.
struct ResumeGrace {
  std::int64_t seconds = 0;
  bool has_unfinished_copy = false;
};

// The refusal, if the link is out of time at `now` (unix seconds, no leeway). A link without an
// expiry, neither signed nor in the row, is malformed.
[[nodiscard]] std::optional<Refusal> check_times(const Grant& grant, const RowTimes& row,
                                                 ResumeGrace grace, std::int64_t now) noexcept;

}  // namespace tallygate::link
