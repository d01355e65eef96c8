// What text from outside must be before it may name a file or stand in a header.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace tallygate::link {

enum class TextFault : std::uint8_t { control_character, backslash, invalid_utf8 };

// The first thing wrong with `text`: a C0 control character, NUL or DEL; a backslash; or UTF-8 that
// is overlong, cut short, a surrogate or beyond U+10FFFF. C1 controls are let through: names that
// were once encoded twice have them.
[[nodiscard]] std::optional<TextFault> find_text_fault(std::string_view text) noexcept;

// Letters, digits, '-' and '_': what ids and opaque data are made of.
[[nodiscard]] bool is_id_text(std::string_view text) noexcept;

}  // namespace tallygate::link
