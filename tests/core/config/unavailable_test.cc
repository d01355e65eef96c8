#include "core/config/unavailable.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/config/file_with.h"

namespace tallygate::config {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

std::vector<std::string> said(std::string_view file) {
  std::vector<std::string> out;
  for (const auto& mistake : parse_settings(file, "x.toml").mistakes) {
    out.push_back(mistake.message);
  }
  return out;
}

// A value of the setting that asks for what is not there: its example, or the last of its words.
std::string unavailable_value(const Declaration& setting) {
  if (const auto* choice = std::get_if<Choice>(&setting.rule)) {
    return '"' + std::string(choice->words.back()) + '"';
  }
  return example_text(setting.rule);
}

TEST(Unavailable, SettingsAreRefusedByNameAndWithAWayOut) {
  for (const auto& entry : unavailable()) {
    const auto* setting = find_declaration(entry.name);
    if (setting == nullptr) {
      // A whole table: what stands in it is not asked for besides.
      const std::string header = '[' + std::string(entry.name) + ']';
      EXPECT_THAT(said(file_with("server", "", "") + header + '\n'),
                  ElementsAre(header + ": " + refusal(entry)));
    } else {
      EXPECT_THAT(said(file_with(*setting, unavailable_value(*setting))),
                  ElementsAre(std::string(entry.name) + ": " + refusal(entry)));
    }
    EXPECT_FALSE(entry.instead.empty());
  }
}

TEST(Unavailable, SettingsMayStandAtTheirDefault) {
  for (const auto& entry : unavailable()) {
    const auto* setting = find_declaration(entry.name);
    if (setting == nullptr || setting->presence == Presence::required) continue;
    EXPECT_THAT(said(file_with(*setting, toml_text(setting->rule, {}))), IsEmpty()) << entry.name;
  }
}

TEST(Unavailable, NamesNothingThatIsNotDeclared) {
  for (const auto& entry : unavailable()) {
    bool known = find_declaration(entry.name) != nullptr;
    for (const auto& table : tables()) known = known || table.name == entry.name;
    EXPECT_TRUE(known) << entry.name;
  }
}

TEST(Unavailable, LeavesSqliteAlone) {
  EXPECT_THAT(said(file_with("shop", "")), IsEmpty());
}

}  // namespace
}  // namespace tallygate::config
