// The token of a signed URL: where a request target carries it, and what its fields say.
//
// Wire form: "1." and fields of one letter and a value, joined by dots, in the order
// k e b i n p a f r d s. Each token has one spelling: no repeated, unknown or empty field, no
// leading zero, no padding, no spare bits.
//
// Pure, allocates nothing; callable from any thread. Results are views into the target and `name`.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/base/result.h"
#include "core/link/hmac_sha256.h"
#include "core/link/ip_block.h"

namespace tallygate::link {

inline constexpr std::size_t kKeyIdBytesMax = 16;
inline constexpr std::size_t kLinkIdBytesMax = 64;
// Longer names do not fit into the file systems of customers, nor their header into proxies.
inline constexpr std::size_t kFileNameBytesMax = 1024;
inline constexpr std::uint32_t kLimitMax = 0x7fffffff;  // also of `r` and `p`

// Where a decoded file name lives. Not cleared before use.
struct FileNameBuffer {
  std::array<std::uint8_t, kFileNameBytesMax> bytes;
};

// A request target taken apart.
struct CarriedToken {
  std::string_view path;  // still percent-encoded, without the token
  std::string_view token;
  bool in_path = false;  // was the first path segment
};

enum class CarrierFault : std::uint8_t { absent, repeated };

[[nodiscard]] std::string_view describe(CarrierFault fault) noexcept;

// Finds the token of an origin-form target: the query parameter "tg", or a first path segment
// "tg=<token>". Other parameters are ignored.
[[nodiscard]] Result<CarriedToken, CarrierFault> find_token(std::string_view target) noexcept;

struct Token {
  std::string_view signed_text;  // up to but without ".s…"
  std::string_view key_id;
  std::optional<std::int64_t> expires_at;  // unix seconds; first second at which it is refused
  std::optional<std::int64_t> not_before;  // unix seconds; first second at which it is honoured
  std::string_view link_id;                // empty: none
  std::uint32_t limit = 0;                 // 0: unlimited
  std::uint32_t folder_segments = 0;       // 0: the exact path is signed
  std::optional<IpBlock> client;
  std::string_view file_name;     // decoded; empty: none
  std::uint32_t rate_kbytes = 0;  // 1000 bytes per second; 0: unlimited
  std::string_view data;          // empty: none
  Mac mac{};
};

struct TokenFault {
  enum class Kind : std::uint8_t {
    version,
    empty_field,
    unknown_field,
    out_of_order,  // or repeated
    bad_value,
    missing_field,
    limit_without_id,
  };
  Kind kind;
  char field = 0;  // the letter it is about; 0: none
  friend bool operator==(const TokenFault&, const TokenFault&) = default;
};

// A clause for people: "field 'e' must be …".
[[nodiscard]] std::string_view describe(TokenFault fault) noexcept;

// Checks the shape, not the MAC. `name` receives the decoded field `f`.
[[nodiscard]] Result<Token, TokenFault> parse_token(std::string_view text,
                                                    FileNameBuffer& name) noexcept;

// Whether a customer may be offered this name: printable UTF-8, not empty, no separators, neither
// "." nor "..", within kFileNameBytesMax.
[[nodiscard]] bool is_file_name(std::string_view name) noexcept;

// Whether `text` may be a key's or a link's id.
[[nodiscard]] bool is_key_id(std::string_view text) noexcept;
[[nodiscard]] bool is_link_id(std::string_view text) noexcept;

}  // namespace tallygate::link
