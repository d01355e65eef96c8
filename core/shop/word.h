// The shop's word on a link: what its row says, and what that makes of a signed URL.
//
// Values only; callable from any thread. The ledger keeps the last word of every link it knows, so
// that a restart without the database forgets no revocation.
#pragma once
#include <cstdint>
#include <optional>

namespace tallygate::shop {

// The column tg_link.state.
enum class State : std::uint8_t { active = 0, held = 1, refunded = 2, revoked = 3 };

inline constexpr std::int32_t kUnlimited = -1;  // tg_link.max_copies

// One row of the shop, as far as a download depends on it.
struct Word {
  std::optional<std::int32_t> max_copies;  // nullopt: as signed; -1: unlimited; 0: none
  std::optional<std::int64_t> not_before;  // unix seconds; first second at which it is honoured
  std::optional<std::int64_t> expires_at;  // unix seconds; first second at which it is refused
  State state = State::active;
  std::uint32_t reset_gen = 0;             // grows with each reset by the merchant
  std::uint64_t used_elsewhere = 0;        // copies in the row that other edges delivered
  friend bool operator==(const Word&, const Word&) = default;
};

}  // namespace tallygate::shop
