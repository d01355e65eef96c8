// The shop's word on a link: what its row says, and what that makes of a signed URL.
//
// Values only; callable from any thread. The ledger keeps the last word of every link it knows, so
// that a restart without the database forgets no revocation.
#pragma once
#include <cstdint>
#include <optional>

namespace tallygate::shop {

// The column tg_link.state, in order of severity.
enum class State : std::uint8_t { active = 0, held = 1, refunded = 2, revoked = 3 };

inline constexpr std::int32_t kUnlimited = -1;  // tg_link.max_copies

// One row of the shop, as far as a download depends on it.
struct Word {
  std::optional<std::int32_t> max_copies{};  // nullopt: as signed; -1: unlimited; 0: none
  std::optional<std::int64_t> not_before{};  // unix seconds; first second at which it is honoured
  std::optional<std::int64_t> expires_at{};  // unix seconds; first second at which it is refused
  State state = State::active;
  std::uint32_t reset_gen = 0;       // grows with each reset by the merchant
  std::uint64_t used_elsewhere = 0;  // copies in the row that other edges delivered
  friend bool operator==(const Word&, const Word&) = default;
};

// The word on one file of a folder link: the row `<id>:<hash>` of the file goes first, and what it
// leaves open the row `<id>` of the folder decides. The more severe state holds. Counts and resets
// are the file's own, since the limit holds for each file by itself.
[[nodiscard]] Word combine(const Word& own, const Word& parent) noexcept;

// The copies that this edge may deliver in all, its own delivered ones included; nullopt:
// unlimited. The row overrides the signature both ways; copies of other edges are taken off.
[[nodiscard]] std::optional<std::uint32_t> effective_limit(
    const Word& word, std::optional<std::uint32_t> signed_limit) noexcept;

// First second at which the link is refused; nullopt: never, or the URL lacks one that it needs.
[[nodiscard]] std::optional<std::int64_t> effective_expiry(
    const Word& word, std::optional<std::int64_t> signed_expiry) noexcept;

// First second at which the link is honoured; nullopt: at once.
[[nodiscard]] std::optional<std::int64_t> effective_start(
    const Word& word, std::optional<std::int64_t> signed_start) noexcept;

// Neither held, refunded nor revoked.
[[nodiscard]] constexpr bool is_active(const Word& word) noexcept {
  return word.state == State::active;
}

}  // namespace tallygate::shop
