#include "server/top/text.h"

#include <gtest/gtest.h>

namespace tallygate::top {
namespace {

constexpr Glyphs kUnicode = Glyphs::unicode;
constexpr Glyphs kAscii = Glyphs::ascii;

TEST(TopText, SizesHaveThreeDigits) {
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(999), "999 B");
  EXPECT_EQ(bytes_text(1000), "1.00 kB");
  EXPECT_EQ(bytes_text(9'994), "9.99 kB");
  EXPECT_EQ(bytes_text(9'996), "10.0 kB");
  EXPECT_EQ(bytes_text(999'499), "999 kB");
  EXPECT_EQ(bytes_text(999'500), "1.00 MB");
  EXPECT_EQ(bytes_text(3.2e12), "3.20 TB");
  EXPECT_EQ(bytes_text(1.5e18), "1500 PB");
}

TEST(TopText, RatesAndTimes) {
  EXPECT_EQ(rate_text(0), "0 /s");
  EXPECT_EQ(rate_text(0.05), "0.05 /s");
  EXPECT_EQ(rate_text(9.94), "9.9 /s");
  EXPECT_EQ(rate_text(9.96), "10 /s");
  EXPECT_EQ(rate_text(12345.4), "12,345 /s");
  EXPECT_EQ(seconds_text(0.00012), "0.12 ms");
  EXPECT_EQ(seconds_text(0.0049), "4.9 ms");
  EXPECT_EQ(seconds_text(0.25), "250 ms");
  EXPECT_EQ(seconds_text(1.5), "1.50 s");
  EXPECT_EQ(duration_text(-3), "0 s");
  EXPECT_EQ(duration_text(59), "59 s");
  EXPECT_EQ(duration_text(60), "1 min");
  EXPECT_EQ(duration_text(3605), "1 h") << "no seconds beside hours";
  EXPECT_EQ(duration_text(93784), "1 d 2 h");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(1'236'061), "1,236,061");
}

TEST(TopText, NothingThatMovesTheCursorIsPrinted) {
  EXPECT_EQ(printable("a\x1b[2Jb\r\n\t\x7f", kUnicode), "a?[2Jb????");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m",
                      kUnicode),
            "?31m")
      << "CSI as one character";
  EXPECT_EQ(printable("a\u202e"
                      "fdp.exe\u2066\ufeff",
                      kUnicode),
            "a?fdp.exe??");
  EXPECT_EQ(printable("Größe 日本", kUnicode), "Größe 日本");
  EXPECT_EQ(printable("Größe", kAscii), "Gr??e");
  EXPECT_EQ(printable(std::string_view("\0", 1), kUnicode), "?");
}

TEST(TopText, WhatIsNotUtf8IsAQuestionMarkForEachByte) {
  EXPECT_EQ(printable("\xff", kUnicode), "?");
  EXPECT_EQ(printable("a\xc3", kUnicode), "a?") << "cut";
  EXPECT_EQ(printable("\xc0\x80", kUnicode), "??") << "too long a spelling";
  EXPECT_EQ(printable("\xe0\x80\x80", kUnicode), "???");
  EXPECT_EQ(printable("\xed\xa0\x80", kUnicode), "???") << "a surrogate";
  EXPECT_EQ(printable("\xf4\x90\x80\x80", kUnicode), "????") << "beyond the last";
  EXPECT_EQ(printable("\xc3(", kUnicode), "?(");
}

TEST(TopText, ColumnsAreThoseOfTheTerminal) {
  EXPECT_EQ(columns(""), 0u);
  EXPECT_EQ(columns("Größe"), 5u);
  EXPECT_EQ(columns("日本"), 4u);
  EXPECT_EQ(columns("e\u0301"), 1u) << "an accent on its letter";
}

TEST(TopText, FitsExactly) {
  EXPECT_EQ(fit("abc", 5, kUnicode), "abc  ");
  EXPECT_EQ(fit("abcde", 5, kUnicode), "abcde");
  EXPECT_EQ(fit("abcdef", 5, kUnicode), "abcd…");
  EXPECT_EQ(fit("abcdef", 5, kAscii), "abcd~");
  EXPECT_EQ(fit_right("abc", 5, kUnicode), "  abc");
  EXPECT_EQ(fit_right("abcdef", 5, kUnicode), "abcd…");
  EXPECT_EQ(fit("abc", 0, kUnicode), "");
  EXPECT_EQ(fit("abc", 1, kUnicode), "…");
  for (std::size_t width = 0; width < 12; ++width) {
    EXPECT_EQ(columns(fit("日本語 Größe", width, kUnicode)), width);
    EXPECT_EQ(columns(fit_right("日本語 Größe", width, kUnicode)), width);
  }
}

TEST(TopText, SparklinesGrowFromTheRight) {
  EXPECT_EQ(sparkline({}, 3, 1, kUnicode), "   ");
  EXPECT_EQ(sparkline({0, 7, 14}, 5, 1, kUnicode), "  ▁▅█");
  EXPECT_EQ(sparkline({0, 7, 14}, 2, 1, kUnicode), "▅█") << "the newest";
  EXPECT_EQ(sparkline({1, std::nullopt, 1}, 3, 1, kUnicode), "█ █") << "a hole";
  EXPECT_EQ(sparkline({0, 1}, 2, 100, kUnicode), "▁▁") << "little, measured by `least`";
  EXPECT_EQ(sparkline({0, 14}, 2, 1, kAscii), "_#");
  EXPECT_EQ(sparkline({-5, 1}, 2, 1, kUnicode), "▁█");
}

}  // namespace
}  // namespace tallygate::top
