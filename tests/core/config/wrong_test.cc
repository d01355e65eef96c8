#include "core/config/wrong.h"

#include <gtest/gtest.h>

namespace tallygate::config {
namespace {

TEST(OnOneLine, EscapesControlCharactersAlone) {
  EXPECT_EQ(on_one_line("Größe \"XL\""), "Größe \"XL\"");
  EXPECT_EQ(on_one_line(std::string_view("a\0b\n\x1b[2J\x7f", 9)), "a\\x00b\\x0a\\x1b[2J\\x7f");
}

TEST(InQuotes, StaysOnOneLine) {
  EXPECT_EQ(in_quotes("Größe"), "\"Größe\"");
  EXPECT_EQ(in_quotes("a\nb\x1b[2J\x7f"), "\"a\\x0ab\\x1b[2J\\x7f\"");
}

TEST(InQuotes, CutsWhatIsLongerThanEightyBytesBetweenCharacters) {
  EXPECT_EQ(in_quotes(std::string(80, 'a')), '"' + std::string(80, 'a') + '"');
  EXPECT_EQ(in_quotes(std::string(81, 'a')), '"' + std::string(80, 'a') + "…\"");
  EXPECT_EQ(in_quotes(std::string(79, 'a') + "ö"), '"' + std::string(79, 'a') + "…\"");
}

}  // namespace
}  // namespace tallygate::config
