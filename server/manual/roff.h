// Text for man(7).
#pragma once
#include <string>
#include <string_view>

namespace tallygate::manual {

// `text` as it is to be read: what roff would take for a command of its own is disarmed, and what
// stands in `backticks` is bold.
[[nodiscard]] std::string roff(std::string_view text);

// The same for what is typed: its hyphens stay hyphens when they are copied.
[[nodiscard]] std::string roff_literal(std::string_view text);

// The line that a page begins with.
[[nodiscard]] std::string roff_title(std::string_view name, int section, std::string_view date,
                                     std::string_view kind);

}  // namespace tallygate::manual
