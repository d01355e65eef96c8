// A settings file as it was written: settings in sections, free of the library that read it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/config/value.h"

namespace tallygate::config {

// Lines are counted from 1.
struct Document {
  struct Setting {
    std::string key;
    std::uint32_t line;
    Value value;
  };
  // What stands at the top of the file: a table, or a setting outside of any.
  struct Section {
    std::string name;
    std::uint32_t line;
    bool is_table;
    std::vector<Setting> settings;  // of a table
  };
  std::vector<Section> sections;
};

struct SyntaxError {
  std::uint32_t line;
  std::string description;
};

// toml++ takes tables within tables down recursively. As many as this has room for, 8 Ki, need half
// of a usual stack; the example with every setting and sentence has less than half of this.
inline constexpr std::size_t kDocumentBytesMax = 16'384;

// The first fault of a text that is not TOML 1.0 in UTF-8. A key that stands twice is one.
[[nodiscard]] Result<Document, SyntaxError> parse_document(std::string_view toml_text);

}  // namespace tallygate::config
