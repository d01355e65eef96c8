// What a setting takes: one struct for each kind, holding where the value goes and its bounds.
//
// Everything is data, so that the help text, the example file and the tests follow from it.
#pragma once
#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/config/form.h"
#include "core/config/settings.h"
#include "core/config/value.h"

namespace tallygate::config {

// The member of Settings that a value is written to.
template <class T>
using Field = T& (*)(Settings&);

// `reason` completes the sentence "5000 is out of bounds, 0 to 1024: …".
struct Count {
  Field<std::uint32_t> field;
  std::uint32_t min;
  std::uint32_t max;
  std::string_view reason;
};

// In the file a text with unit, see duration.h.
struct Duration {
  Field<std::chrono::milliseconds> field;
  std::chrono::milliseconds min;
  std::chrono::milliseconds max;
  std::string_view reason;
  std::string_view zero = {};  // what 0 stands for where it is no length; else below `min`
};

// In the file a number with up to three decimals, in memory its thousandths.
struct Ratio {
  Field<std::uint32_t> field;
  std::uint32_t min_permille;
  std::uint32_t max_permille;
  std::string_view reason;
};

// One of some words; the index of the word is the value of the enumerator.
struct Choice {
  std::span<const std::string_view> words;
  std::size_t (*get)(const Settings&);
  void (*set)(Settings&, std::size_t);
};

struct Text {
  Field<std::string> field;
  const Form* form;
  std::string_view example = {};  // shown where the default is empty, which stands for none
};

struct TextList {
  Field<std::vector<std::string>> field;
  const Form* form;
  std::string_view example;
};

struct AddressList {
  Field<std::vector<ListenAddress>> field;
  std::string_view example = {};  // shown where the default is empty, which stands for none
};

// In the file a list of tables, [[tls.site]], each with a certificate and a key.
struct SiteList {
  Field<std::vector<TlsSite>> field;
};

using Rule = std::variant<Count, Duration, Ratio, Choice, Text, TextList, AddressList, SiteList>;

inline constexpr std::size_t kListMax = 64;  // entries; every request looks through such a list

// Something wrong with (a part of) a value. `wrong.what` follows the name of the setting.
struct Problem {
  std::uint32_t line;
  Wrong wrong;
};

// Writes `value` into its field, or says all that is wrong with it and leaves the field alone.
[[nodiscard]] std::vector<Problem> read(const Rule& rule, const Value& value, Settings& settings);

// Gives the field in `to` the value that it has in `from`.
void copy(const Rule& rule, const Settings& from, Settings& to);

// The field's present value in TOML, as `read` takes it.
[[nodiscard]] std::string toml_text(const Rule& rule, const Settings& settings);

// In TOML, what to write instead of an empty default; empty if there is nothing to show.
[[nodiscard]] std::string example_text(const Rule& rule);

// Type and bounds in words: "whole number, 0 to 1024".
[[nodiscard]] std::string type_text(const Rule& rule);

// Why the bounds are what they are; empty if they explain themselves.
[[nodiscard]] std::string_view reason(const Rule& rule);

}  // namespace tallygate::config
