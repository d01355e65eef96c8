// Every setting, tried at and beyond each of its bounds. The cases follow from the declarations, so
// that a new setting is tested as soon as it is declared.
#include "core/config/declarations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "core/config/duration.h"
#include "tests/core/config/file_with.h"

namespace tallygate::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

// A value and what is to be said of it; an empty message: nothing.
struct Case {
  std::string value;
  std::string message;
};

struct BoundCases {
  std::vector<Case> operator()(const Count& rule) const {
    const auto above = std::to_string(std::int64_t{rule.max} + 1);
    const auto below = std::to_string(std::int64_t{rule.min} - 1);
    const auto bounds = " is out of bounds, " + std::to_string(rule.min) + " to " +
                        std::to_string(rule.max) + ": " + std::string(rule.reason);
    return {{std::to_string(rule.min), ""},
            {std::to_string(rule.max), ""},
            {below, below + bounds},
            {above, above + bounds},
            {"9223372036854775807", "is out of bounds"},
            {"1.0", "must be a whole number, not the number 1"},
            {"\"1\"", "must be a whole number, not the text \"1\""},
            {"true", "must be a whole number, not true"}};
  }

  std::vector<Case> operator()(const Duration& rule) const {
    using std::chrono::milliseconds;
    const auto text = [](milliseconds d) { return '"' + format_duration(d) + '"'; };
    const auto zero = rule.zero.empty() ? "" : ", or 0s: " + std::string(rule.zero);
    const auto bounds = " is out of bounds, " + format_duration(rule.min) + " to " +
                        format_duration(rule.max) + zero + ": " + std::string(rule.reason);
    const auto above = text(rule.max + milliseconds{1});
    std::vector<Case> cases{{text(rule.min), ""},
                            {text(rule.max), ""},
                            {above, above + bounds},
                            {"60", "60 has no unit: \"60s\" would be seconds"},
                            {"\"60\"", "\"60\" has no unit"},
                            {"1.5", "must be a duration with unit, such as \"10s\""},
                            {"[]", "must be a duration with unit, such as \"10s\", not a list"}};
    if (rule.min > milliseconds{0}) {
      const auto below = text(rule.min - milliseconds{1});
      cases.push_back({below, below + bounds});
    }
    if (!rule.zero.empty()) {
      cases.push_back({text(milliseconds{0}), ""});
      cases.push_back({text(milliseconds{1}), bounds});
    }
    return cases;
  }

  std::vector<Case> operator()(const Ratio& rule) const {
    const auto text = [](std::int64_t permille) {
      auto digits = std::to_string(std::abs(permille));
      digits.insert(0, digits.size() < 4 ? 4 - digits.size() : 0, '0');
      digits.insert(digits.size() - 3, ".");
      return (permille < 0 ? "-" : "") + digits;
    };
    return {{text(rule.min_permille), ""},
            {text(rule.max_permille), ""},
            {std::to_string(rule.max_permille / 1'000), ""},
            {text(std::int64_t{rule.min_permille} - 1), std::string(rule.reason)},
            {text(std::int64_t{rule.max_permille} + 1), std::string(rule.reason)},
            {"1.0005", "more than three decimals"},
            {"nan", "is out of bounds"},
            {"inf", "is out of bounds"},
            {"\"2.0\"", "must be a number, not the text \"2.0\""}};
  }

  std::vector<Case> operator()(const Choice& rule) const {
    std::vector<Case> cases{{"true", "must be \"" + std::string(rule.words[0])},
                            {"\"\"", "\"\" is not \"" + std::string(rule.words[0])},
                            {"\"qqqqq\"", "\"qqqqq\" is not \"" + std::string(rule.words[0])}};
    for (const auto word : rule.words) {
      const auto quoted_word = '"' + std::string(word) + '"';
      cases.push_back({quoted_word, ""});
      cases.push_back({'"' + std::string(word) + "x\"", "did you mean " + quoted_word + "?"});
    }
    return cases;
  }

  std::vector<Case> operator()(const Text& rule) const {
    const auto right = example_text(rule).empty() ? toml_text(rule, {}) : example_text(rule);
    return {{right, ""},
            {"\"\\u0007 nonsense\"", rule.form->check("\a nonsense")->what},
            {"7", "must be a text in quotation marks, not the number 7"},
            {"{}", "must be a text in quotation marks, not a table"},
            {"2026-01-01", "must be a text in quotation marks, not a date"}};
  }

  std::vector<Case> operator()(const TextList& rule) const {
    const auto one = example_text(rule).substr(1, example_text(rule).size() - 2);
    return {{"[]", ""},
            {example_text(rule), ""},
            {repeated(one, kListMax), ""},
            {repeated(one, kListMax + 1), "has 65 entries: 64 at most"},
            {"[" + one + ", \"?\"]", rule.form->check("?")->what},
            {"[7]", "must list texts, not the number 7"},
            {one, "must be a list of texts in brackets, not the text"}};
  }

  std::vector<Case> operator()(const AddressList& rule) const {
    return {{"[\"127.0.0.1:0\", \"[::1]:0\"]", ""},
            {"[\"127.0.0.1:0\", \"127.0.0.1:0\"]", ""},
            {repeated("\"127.0.0.1:0\"", kListMax), ""},
            {repeated("\"127.0.0.1:0\"", kListMax + 1), "has 65 entries: 64 at most"},
            {"[\"127.0.0.1:80\", \"127.0.0.1:80\"]", "\"127.0.0.1:80\" is listed twice"},
            {"[]", rule.example.empty() ? "needs at least one address:port" : ""},
            {"[[\"127.0.0.1:80\"]]", "must list texts, not a list"},
            {"\"127.0.0.1:80\"", "must be a list of texts in brackets, not the text"}};
  }

  std::vector<Case> operator()(const SiteList&) const {
    const std::string one = R"({ certificate = "/c", key = "/k" })";
    return {{"[]", ""},
            {"[" + one + "]", ""},
            {repeated(one, kListMax), ""},
            {repeated(one, kListMax + 1), "has 65 entries: 64 at most"},
            {R"([{ key = "/k" }])", "certificate is missing"},
            {R"([{ certificate = "/c" }])", "key is missing"},
            {R"([{ certificate = "/c", key = "k" }])", "key \"k\" is not an absolute path"},
            {R"([{ certificate = 7, key = "/k" }])", "certificate must be a text in quotation"},
            {R"([{ certificate = "/c", kex = "/k" }])", "no such setting: \"kex\"; there are"},
            {R"([{ certificate = "/c", key = { a = 1 } }])", "not a table"},
            {"[7]", "must list tables, not the number 7"},
            {one, "must be tables, each below a [[tls.site]], not a table"},
            {"7", "must be tables, each below a [[tls.site]], not the number 7"}};
  }

  static std::string repeated(const std::string& item, std::size_t times) {
    std::string out = "[";
    for (std::size_t i = 0; i < times; ++i) out += item + ", ";
    return out + "]";
  }
};

TEST(Declarations, TakeEachValueWithinTheirBoundsAndSayWhatIsWrongWithOthers) {
  for (const auto& setting : declarations()) {
    for (const auto& c : std::visit(BoundCases{}, setting.rule)) {
      const auto said = messages(parse_settings(file_with(setting, c.value), "x.toml"));
      const auto where = full_name(setting) + " = " + c.value;
      if (c.message.empty()) {
        EXPECT_THAT(said, IsEmpty()) << where;
      } else {
        ASSERT_THAT(said, ElementsAre(HasSubstr(c.message))) << where;
        EXPECT_THAT(said[0], StartsWith(full_name(setting) + ": ")) << where;
      }
    }
  }
}

TEST(Declarations, AreNamedWhenMisspelt) {
  for (const auto& setting : declarations()) {
    const std::string key(setting.key);
    for (const auto& slip : {key + "x", key.substr(0, key.size() - 1), "x" + key.substr(1)}) {
      // The value is looked at all the same; that of a text without example is its default.
      const auto value = example_text(setting.rule).empty() ? toml_text(setting.rule, {})
                                                            : example_text(setting.rule);
      const auto file = file_with(setting.table, companions(setting) + slip + " = " + value, key);
      EXPECT_THAT(messages(parse_settings(file, "x.toml")),
                  ElementsAre(std::string(setting.table) + "." + slip +
                              ": no such setting; did you mean \"" + key + "\"?"));
    }
  }
}

TEST(Declarations, AreNamedWithTheirTableWhenTheyStandInAnother) {
  for (const auto& setting : declarations()) {
    for (const auto& table : tables()) {
      const auto near =
          parse_settings(file_with(table.name, std::string(setting.key) + " = []"), "x.toml");
      const bool at_home =
          std::any_of(declarations().begin(), declarations().end(), [&](const Declaration& other) {
            return other.table == table.name && other.key == setting.key;
          });
      if (at_home) continue;
      EXPECT_THAT(messages(near), ::testing::Not(IsEmpty()));
      if (messages(near)[0].find("did you mean") != std::string::npos) continue;  // nearer at home
      EXPECT_THAT(messages(near), ElementsAre(HasSubstr("[" + std::string(setting.table) + "]")));
    }
  }
}

TEST(Declarations, AreAsRightInTheirDefaultsAsInAFile) {
  for (const auto& setting : declarations()) {
    const auto value = toml_text(setting.rule, {});
    if (setting.presence == Presence::required) continue;
    EXPECT_THAT(messages(parse_settings(file_with(setting, value), "x.toml")), IsEmpty())
        << full_name(setting) << " = " << value;
  }
}

TEST(Declarations, AreUniqueCompleteAndInTheOrderOfTheirTables) {
  std::set<std::string> names;
  std::vector<std::string_view> order;
  for (const auto& setting : declarations()) {
    EXPECT_TRUE(names.insert(full_name(setting)).second) << full_name(setting);
    EXPECT_TRUE(setting.sentence.ends_with('.')) << full_name(setting);
    EXPECT_FALSE(type_text(setting.rule).empty()) << full_name(setting);
    if (order.empty() || order.back() != setting.table) order.push_back(setting.table);
    const auto shown = toml_text(setting.rule, {});
    EXPECT_TRUE((shown != "\"\"" && shown != "[]") || !example_text(setting.rule).empty())
        << full_name(setting) << " has neither a default nor an example";
  }
  std::vector<std::string_view> wanted;
  for (const auto& table : tables()) wanted.push_back(table.name);
  EXPECT_EQ(order, wanted);
}

TEST(Declarations, WriteEachIntoAFieldOfItsOwn) {
  for (const auto& setting : declarations()) {
    // Any value but the default.
    const auto usual = toml_text(setting.rule, {});
    std::string other;
    for (const auto& c : std::visit(BoundCases{}, setting.rule)) {
      if (c.message.empty() && c.value != usual) other = c.value;
    }
    if (other.empty()) other = "\"/elsewhere\"";
    if (setting.key == "edge_id" || setting.key == "table_prefix") other = "\"another\"";
    const auto before =
        parse_settings(file_with(setting.table, companions(setting)), "x.toml").settings;
    const auto after = parse_settings(file_with(setting, other), "x.toml").settings;
    for (const auto& any : declarations()) {
      const bool changed = toml_text(any.rule, before) != toml_text(any.rule, after);
      const bool may_change = full_name(any) == full_name(setting);
      EXPECT_TRUE(!changed || may_change)
          << full_name(setting) << " also writes " << full_name(any);
      if (may_change && setting.presence != Presence::required) {
        EXPECT_TRUE(changed) << full_name(setting) << " = " << other << " changes nothing";
      }
    }
  }
}

}  // namespace
}  // namespace tallygate::config
