#include "core/link/path.h"

#include <gmock/gmock.h>

#include <optional>
#include <string>
#include <vector>

namespace tallygate::link {
namespace {

using namespace std::string_literals;

struct Decoded {
  std::string path;
  std::optional<PathFault> fault;
};

Decoded decode(std::string_view encoded) {
  PathBuffer buffer;
  const auto path = decode_path(encoded, buffer);
  if (!path) return {"", path.error()};
  return {std::string(*path), std::nullopt};
}

TEST(LinkPath, DecodesEverySpellingToTheSamePath) {
  for (const auto* encoded :
       {"/music/Gr%C3%B6%C3%9Fe%20XL.flac", "/music/Gr%c3%b6%c3%9fe%20XL.flac",
        "/%6dusic/Gr%C3%B6%C3%9Fe%20XL%2Eflac", "/music/Größe%20XL.flac", "/music/Größe XL.flac"}) {
    EXPECT_EQ(decode(encoded).path, "/music/Größe XL.flac") << encoded;
  }
}

TEST(LinkPath, KeepsWhatOnlyLooksEncoded) {  // F1
  EXPECT_EQ(decode("/a+b").path, "/a+b");
  EXPECT_EQ(decode("/100%25").path, "/100%");
  EXPECT_EQ(decode("/%252F").path, "/%2F");
  EXPECT_EQ(decode("/%252e%252e/x").path, "/%2e%2e/x");
  EXPECT_EQ(decode("/a%3Fb%23c%3Bd").path, "/a?b#c;d");
  EXPECT_EQ(decode("/a;b=c&d").path, "/a;b=c&d");
}

TEST(LinkPath, TakesDotsThatAreNotAWholeSegment) {
  for (const auto* path : {"/...", "/.a", "/a.", "/..a", "/a..", "/.a/..b/c."}) {
    EXPECT_EQ(decode(path).path, path);
  }
}

TEST(LinkPath, RefusesWhatCouldMeanAnotherFile) {  // F1
  const std::vector<std::pair<std::string, PathFault>> kCases = {
      {"", PathFault::not_absolute},
      {"a", PathFault::not_absolute},
      {"%2Fa", PathFault::encoded_separator},
      {"/", PathFault::empty_segment},
      {"//", PathFault::empty_segment},
      {"//a", PathFault::empty_segment},
      {"/a//b", PathFault::empty_segment},
      {"/a/", PathFault::empty_segment},
      {"/.", PathFault::dot_segment},
      {"/..", PathFault::dot_segment},
      {"/a/.", PathFault::dot_segment},
      {"/a/../b", PathFault::dot_segment},
      {"/./a", PathFault::dot_segment},
      {"/%2e/a", PathFault::dot_segment},
      {"/a/%2E%2e/b", PathFault::dot_segment},
      {"/a/.%2e", PathFault::dot_segment},
      {"/a%2Fb", PathFault::encoded_separator},
      {"/a%2fb", PathFault::encoded_separator},
      {"/a%5Cb", PathFault::encoded_separator},
      {"/a%5cb", PathFault::encoded_separator},
      {"/..%2f..%2fetc", PathFault::encoded_separator},
      {"/a\\b", PathFault::backslash},
      {"/a%00", PathFault::control_character},
      {"/a\0b"s, PathFault::control_character},
      {"/a%0A", PathFault::control_character},
      {"/a%0d%0a", PathFault::control_character},
      {"/a%1f", PathFault::control_character},
      {"/a%7F", PathFault::control_character},
      {"/a\tb", PathFault::control_character},
      {"/a%", PathFault::bad_percent_encoding},
      {"/a%4", PathFault::bad_percent_encoding},
      {"/a%4g", PathFault::bad_percent_encoding},
      {"/a%g4", PathFault::bad_percent_encoding},
      {"/a%%41", PathFault::bad_percent_encoding},
      {"/a%+1", PathFault::bad_percent_encoding},
      {"/a% 1", PathFault::bad_percent_encoding},
      {"/a#b", PathFault::fragment},
  };
  for (const auto& [encoded, fault] : kCases) {
    EXPECT_EQ(decode(encoded).fault, fault) << encoded;
    EXPECT_THAT(std::string(describe(fault)), testing::StartsWith("the path "));
  }
}

TEST(LinkPath, TakesEveryPrintableAsciiCharacterInAName) {
  for (int byte = 0x20; byte < 0x7f; ++byte) {
    const char c = static_cast<char>(byte);
    if (c == '/' || c == '\\') continue;
    const std::string path = {'/', 'x', c};
    EXPECT_EQ(decode(encode_path(path)).path, path);
  }
}

TEST(LinkPath, RefusesInvalidUtf8) {  // F1
  for (const auto* name :
       {"%80", "%C3", "%C3%28", "%C0%AF", "%C1%BF", "%E0%80%AF", "%ED%A0%80", "%ED%BF%BF",
        "%F0%80%80%AF", "%F4%90%80%80", "%F5%80%80%80", "%FE", "%FF", "%E2%82", "a%F0%9F%8E"}) {
    EXPECT_EQ(decode("/"s + name).fault, PathFault::invalid_utf8) << name;
  }
  for (const auto* name : {"%C2%80", "%DF%BF", "%E0%A0%80", "%ED%9F%BF", "%EE%80%80", "%EF%BF%BF",
                           "%F0%90%80%80", "%F4%8F%BF%BF"}) {
    EXPECT_EQ(decode("/"s + name).fault, std::nullopt) << name;
  }
}

TEST(LinkPath, IsAtMostAsLongAsTheLongestTarget) {
  EXPECT_EQ(decode("/" + std::string(kTargetBytesMax - 1, 'a')).path.size(), kTargetBytesMax);
  EXPECT_EQ(decode("/" + std::string(kTargetBytesMax, 'a')).fault, PathFault::too_long);
}

TEST(LinkPath, EncodesOnlyWhatMustBe) {
  EXPECT_EQ(encode_path("/music/Größe XL.flac"), "/music/Gr%C3%B6%C3%9Fe%20XL.flac");
  EXPECT_EQ(encode_path("/a-b_c.d~e/F9"), "/a-b_c.d~e/F9");
  EXPECT_EQ(encode_path("/tg=x?#%&+;"), "/tg%3Dx%3F%23%25%26%2B%3B");
}

TEST(LinkPath, CountsAndCutsSegments) {
  EXPECT_EQ(count_segments("/a"), 1U);
  EXPECT_EQ(count_segments("/a/b/c"), 3U);
  EXPECT_EQ(leading_folder("/aa/bb/cc", 1), "/aa/");
  EXPECT_EQ(leading_folder("/aa/bb/cc", 2), "/aa/bb/");
  EXPECT_EQ(last_segment("/aa/bb/cc"), "cc");
  EXPECT_EQ(last_segment("/aa"), "aa");
}

}  // namespace
}  // namespace tallygate::link
