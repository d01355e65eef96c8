#include "core/http/content_disposition.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>

namespace tallygate::http {
namespace {

std::string attachment(std::string_view name) {
  std::array<char, kContentDispositionBytesMax> buffer;
  return std::string(write_content_disposition(buffer, Disposition::attachment, name));
}

TEST(ContentDisposition, APlainNameStandsInQuotes) {
  EXPECT_EQ(attachment("album.zip"), R"(attachment; filename="album.zip")");
  EXPECT_EQ(attachment("My album; (2024), part 1's.zip"),
            R"(attachment; filename="My album; (2024), part 1's.zip")");
}

TEST(ContentDisposition, CanAskTheBrowserToShowTheFile) {
  std::array<char, kContentDispositionBytesMax> buffer;
  EXPECT_EQ(write_content_disposition(buffer, Disposition::inline_, "a.pdf"),
            R"(inline; filename="a.pdf")");
}

TEST(ContentDisposition, ANameBeyondAsciiIsSaidTwice) {
  EXPECT_EQ(attachment("Größe XL.flac"),
            "attachment; filename=\"Gr__e XL.flac\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%20XL.flac");
  EXPECT_EQ(attachment("€ rates"),
            "attachment; filename=\"_ rates\"; filename*=UTF-8''%E2%82%AC%20rates");
  EXPECT_EQ(attachment("\U0001F3B5.mp3"),
            "attachment; filename=\"_.mp3\"; filename*=UTF-8''%F0%9F%8E%B5.mp3");
}

TEST(ContentDisposition, QuotesAndPercentSignsAreSaidInTheEncodedFormOnly) {  // F14
  EXPECT_EQ(attachment("a\"b.zip"), "attachment; filename=\"a_b.zip\"; filename*=UTF-8''a%22b.zip");
  EXPECT_EQ(attachment("100%.zip"),
            "attachment; filename=\"100_.zip\"; filename*=UTF-8''100%25.zip");
  EXPECT_EQ(attachment("a%22.zip"),
            "attachment; filename=\"a_22.zip\"; filename*=UTF-8''a%2522.zip");
}

TEST(ContentDisposition, PathSeparatorsAndControlsAreGoneFromBothForms) {  // F14
  EXPECT_EQ(attachment("../../etc/passwd"), R"(attachment; filename=".._.._etc_passwd")");
  EXPECT_EQ(attachment("C:\\x.exe"), R"(attachment; filename="C:_x.exe")");
  EXPECT_EQ(attachment("a\r\nSet-Cookie: b"), R"(attachment; filename="a__Set-Cookie: b")");
  EXPECT_EQ(attachment(std::string_view("a\0b\x1b\x7f", 5)), R"(attachment; filename="a_b__")");
  EXPECT_EQ(attachment("a\u0085b"), R"(attachment; filename="a_b")");  // a C1 control
}

TEST(ContentDisposition, TextThatTurnsAroundIsGoneFromBothForms) {  // F14
  for (const auto* mark : {"\u061c", "\u200b", "\u200e", "\u200f", "\u2028", "\u2029", "\u202a",
                           "\u202e", "\u2060", "\u2066", "\u2069", "\ufeff"}) {
    EXPECT_EQ(attachment(std::string("a") + mark + "gpj.exe"),
              R"(attachment; filename="a_gpj.exe")");
  }
  // Their neighbours are ordinary.
  EXPECT_NE(attachment("a\u2027b").find("%E2%80%A7"), std::string::npos);
  EXPECT_NE(attachment("a\u202fb").find("%E2%80%AF"), std::string::npos);
  EXPECT_NE(attachment("\u0645\u06cc\u200c\u062e").find("%E2%80%8C"), std::string::npos);
}

TEST(ContentDisposition, InvalidUtf8IsReplacedByteByByte) {
  EXPECT_EQ(attachment("a\xff.zip"), R"(attachment; filename="a_.zip")");
  EXPECT_EQ(attachment("a\xc3"), R"(attachment; filename="a_")");
  EXPECT_EQ(attachment("a\xc3.zip"), R"(attachment; filename="a_.zip")");
  EXPECT_EQ(attachment("\xc0\xaf"), R"(attachment; filename="__")");            // overlong "/"
  EXPECT_EQ(attachment("\xe0\x80\xaf"), R"(attachment; filename="___")");       // overlong "/"
  EXPECT_EQ(attachment("\xed\xa0\x80"), R"(attachment; filename="___")");       // surrogate
  EXPECT_EQ(attachment("\xf4\x90\x80\x80"), R"(attachment; filename="____")");  // beyond Unicode
  EXPECT_EQ(attachment("\x80"), R"(attachment; filename="_")");
}

TEST(ContentDisposition, NoNameIsDownload) {
  for (const auto* name : {"", ".", ".."}) {
    EXPECT_EQ(attachment(name), R"(attachment; filename="download")");
  }
  EXPECT_EQ(attachment("..."), R"(attachment; filename="...")");
}

TEST(ContentDisposition, ALongNameIsCutBeforeItsExtension) {
  const auto fitting = std::string(251, 'a') + ".zip";
  EXPECT_EQ(attachment(fitting), "attachment; filename=\"" + fitting + "\"");
  EXPECT_EQ(attachment("b" + fitting),
            "attachment; filename=\"b" + std::string(250, 'a') + ".zip\"");
  EXPECT_EQ(attachment(std::string(300, 'a')),
            "attachment; filename=\"" + std::string(255, 'a') + "\"");
  // 128 two-byte letters: the cut never leaves half of one.
  std::string umlauts;
  for (int i = 0; i < 128; ++i) umlauts += "ä";
  EXPECT_EQ(attachment(umlauts).substr(0, 150),
            "attachment; filename=\"" + std::string(127, '_') + "\"");
}

TEST(ContentDisposition, AnyBytesGiveOneBoundedAsciiLine) {  // F14, H12
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20'000; ++round) {
    std::string name(random() % 400, '\0');
    for (auto& c : name) c = static_cast<char>(random());
    const auto text = attachment(name);
    ASSERT_FALSE(text.empty()) << "larger than kContentDispositionBytesMax";
    ASSERT_TRUE(std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; }));
    const auto quoted = text.substr(22, text.find('"', 22) - 22);
    ASSERT_EQ(quoted.find_first_of("\"\\/%"), std::string::npos);
    const auto after = text.substr(22 + quoted.size() + 1);
    ASSERT_TRUE(after.empty() || after.starts_with("; filename*=UTF-8''")) << text;
  }
}

TEST(ContentDisposition, SaysNothingRatherThanHalf) {
  std::array<char, 20> small;
  EXPECT_EQ(write_content_disposition(small, Disposition::attachment, "album.zip"), "");
}

}  // namespace
}  // namespace tallygate::http
