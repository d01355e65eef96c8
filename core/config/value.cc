#include "core/config/value.h"

#include <fmt/format.h>

#include "core/config/wrong.h"

namespace tallygate::config {
namespace {

struct Describe {
  std::string operator()(const std::string& text) const {
    return fmt::format("the text {}", in_quotes(text));
  }
  std::string operator()(std::int64_t number) const { return fmt::format("the number {}", number); }
  std::string operator()(double number) const { return fmt::format("the number {}", number); }
  std::string operator()(bool truth) const { return truth ? "true" : "false"; }
  std::string operator()(const std::vector<Value>&) const { return "a list"; }
  std::string operator()(const Value::Table&) const { return "a table"; }
  std::string operator()(const Value::Other& other) const { return other.kind; }
};

}  // namespace

std::string describe(const Value& value) {
  return std::visit(Describe{}, value.is);
}

}  // namespace tallygate::config
