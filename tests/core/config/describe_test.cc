#include "core/config/describe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>

#include "core/config/declarations.h"
#include "core/config/parse.h"

namespace tallygate::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// With the lines of the required settings in effect.
std::string filled_in(std::string text) {
  for (const std::string_view line : {"#root = ", "#keyring = "}) {
    const auto at = text.find(line);
    EXPECT_NE(at, std::string::npos) << line;
    if (at != std::string::npos) text.erase(at, 1);
  }
  return text;
}

TEST(ExampleToml, IsTheFileInTheTree) {
  std::ifstream file(TALLYGATE_EXAMPLE_TOML);
  ASSERT_TRUE(file) << TALLYGATE_EXAMPLE_TOML;
  const std::string in_tree{std::istreambuf_iterator<char>(file), {}};
  const auto wanted = example_toml();
  if (in_tree == wanted) return;
  const auto offer = testing::TempDir() + "tallygate.toml";
  std::ofstream(offer) << wanted;
  FAIL() << "the declarations have changed: cp " << offer << ' ' << TALLYGATE_EXAMPLE_TOML;
}

TEST(ExampleToml, NeedsOnlyRootAndKeyring) {
  EXPECT_THAT(parse_settings(filled_in(example_toml()), "x").mistakes, IsEmpty());
  std::vector<std::string> names;
  for (const auto& mistake : parse_settings(example_toml(), "x").mistakes) {
    names.push_back(mistake.message.substr(0, mistake.message.find(':')));
  }
  EXPECT_THAT(names, ElementsAre("content.root", "links.keyring"));
}

TEST(ExampleToml, ChangesNoDefault) {
  const auto settings = parse_settings(filled_in(example_toml()), "x").settings;
  for (const auto& declaration : declarations()) {
    if (declaration.presence == Presence::required) continue;
    EXPECT_EQ(toml_text(declaration.rule, settings), toml_text(declaration.rule, {}))
        << full_name(declaration);
  }
}

TEST(ExampleToml, PutsAnOptionalTableInWithOneMarkTakenFromEachLine) {
  for (const auto& table : tables()) {
    if (!table.optional) continue;
    const auto header = "#[" + std::string(table.name) + "]\n";
    bool inside = false;
    std::string text;
    std::istringstream lines(filled_in(example_toml()));
    for (std::string line; std::getline(lines, line);) {
      if (line + '\n' == header)
        inside = true;
      else if (line.starts_with("[") || line.starts_with("#["))
        inside = false;
      if (inside && !line.empty()) line.erase(0, 1);
      text += line + '\n';
    }
    std::vector<std::string> messages;
    for (const auto& mistake : parse_settings(text, "x").mistakes) {
      messages.push_back(mistake.text());
    }
    EXPECT_THAT(messages, IsEmpty()) << table.name;
  }
}

TEST(SettingsHelp, NamesEverySettingWithDefaultAndSentence) {
  const auto help = settings_help();
  for (const auto& declaration : declarations()) {
    EXPECT_THAT(help, HasSubstr("  " + std::string(declaration.key)));
    if (declaration.presence == Presence::optional) {
      EXPECT_THAT(help, HasSubstr(" = " + toml_text(declaration.rule, {}) + "\n"));
    }
    const auto beginning = declaration.sentence.substr(0, declaration.sentence.find(' '));
    EXPECT_THAT(help, HasSubstr("      " + std::string(beginning)));
  }
}

TEST(SettingsHelp, FitsIntoAHundredColumns) {
  for (const auto& text : {settings_help(), example_toml()}) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      const auto columns = std::count_if(line.begin(), line.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0) != 0x80;  // characters, not bytes, of UTF-8
      });
      EXPECT_LE(columns, 100) << line;
      EXPECT_FALSE(line.ends_with(' ')) << line;
    }
  }
}

}  // namespace
}  // namespace tallygate::config
