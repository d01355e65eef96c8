// What is wrong with a value that a person wrote.
#pragma once
#include <string>
#include <string_view>

namespace tallygate::config {

// The rest of a sentence that begins with the name of the setting or option, for instance
// `"10" has no unit`. Written for the person who wrote the value.
struct Wrong {
  std::string what;
};

// `text` with its control characters escaped: fit for one line of a terminal.
[[nodiscard]] std::string on_one_line(std::string_view text);

// `text` in quotation marks, fit for one line of a terminal: control characters are escaped, and
// what is longer than 80 bytes is cut.
[[nodiscard]] std::string in_quotes(std::string_view text);

}  // namespace tallygate::config
