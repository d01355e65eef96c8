#include "core/config/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/locale/utf.hpp>
#include <optional>
#include <utility>

#include "core/config/toml.h"
#include "core/config/wrong.h"

namespace tallygate::config {
namespace {

std::uint32_t line_of(const toml::source_region& region) {
  return region.begin.line;
}

std::string_view kind_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::date:
      return "a date";
    case toml::node_type::time:
      return "a time of day";
    case toml::node_type::date_time:
      return "a date and time";
    default:
      return "something else";
  }
}

Value value_of(const toml::node& node);

// Of a list, where alone a table is looked into.
Value item_of(const toml::node& node) {
  const auto* table = node.as_table();
  if (table == nullptr) return value_of(node);
  Value::Table members;
  for (const auto& [key, value] : *table) {
    members.members.push_back({std::string(key.str()), line_of(key.source()), value_of(value)});
  }
  return Value{std::move(members), line_of(node.source())};
}

Value value_of(const toml::node& node) {
  Value value{Value::Other{std::string(kind_of(node))}, line_of(node.source())};
  if (const auto* text = node.as_string()) {
    value.is = text->get();
  } else if (const auto* whole = node.as_integer()) {
    value.is = std::int64_t{whole->get()};
  } else if (const auto* fraction = node.as_floating_point()) {
    value.is = fraction->get();
  } else if (const auto* truth = node.as_boolean()) {
    value.is = truth->get();
  } else if (const auto* array = node.as_array()) {
    std::vector<Value> items;
    for (const auto& item : *array) items.push_back(item_of(item));
    value.is = std::move(items);
  }
  return value;
}

Document document_of(const toml::table& root) {
  Document document;
  for (const auto& [name, node] : root) {
    Document::Section section{std::string(name.str()), line_of(name.source()), node.is_table(), {}};
    if (const auto* table = node.as_table()) {
      for (const auto& [key, value] : *table) {
        section.settings.push_back(
            {std::string(key.str()), line_of(key.source()), value_of(value)});
      }
    }
    document.sections.push_back(std::move(section));
  }
  return document;
}

// toml++ finds text that is not UTF-8 as well, but tells its place only to 32 bytes.
std::optional<std::uint32_t> line_that_is_not_utf8(std::string_view text) {
  using Utf8 = boost::locale::utf::utf_traits<char>;
  std::uint32_t line = 1;
  for (const auto* at = text.begin(); at != text.end();) {
    const auto code_point = Utf8::decode(at, text.end());
    if (!boost::locale::utf::is_valid_codepoint(code_point)) return line;
    if (code_point == '\n') ++line;
  }
  return std::nullopt;
}

}  // namespace

Result<Document, SyntaxError> parse_document(std::string_view toml_text) {
  if (toml_text.size() > kDocumentBytesMax) {
    return SyntaxError{
        1, fmt::format("is larger than {} bytes, which no settings file is", kDocumentBytesMax)};
  }
  if (const auto line = line_that_is_not_utf8(toml_text)) {
    return SyntaxError{*line, "not valid TOML: text that is not UTF-8"};
  }
  const auto result = toml::parse(toml_text);
  if (!result) {
    const auto& error = result.error();
    return SyntaxError{std::max(1U, line_of(error.source())),
                       fmt::format("not valid TOML: {}", on_one_line(error.description()))};
  }
  return document_of(result.table());
}

}  // namespace tallygate::config
