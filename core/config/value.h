// A value as it stands in the file, free of the library that read it.
#pragma once
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace tallygate::config {

struct Value {
  // A date, a table: what no setting takes. `kind` is said to the operator: "a table".
  struct Other {
    std::string kind;
  };
  struct Member;
  // As an item of a list: [[table]]. Elsewhere a table is an Other.
  struct Table {
    std::vector<Member> members;
  };
  std::variant<std::string, std::int64_t, double, bool, std::vector<Value>, Table, Other> is;
  std::uint32_t line = 0;  // counted from 1
};

struct Value::Member {
  std::string key;
  std::uint32_t line;
  Value value;
};

// What it is, to say that it should be something else: `the text "x"`, `the number 3`, `a list`.
[[nodiscard]] std::string describe(const Value& value);

}  // namespace tallygate::config
