#include "core/http/mime.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "core/http/mime_builtin.h"

namespace tallygate::http {
namespace {

constexpr std::string_view kUnknown = "application/octet-stream";

TEST(MediaTypes, KnowsUsualDownloadsWithoutAnyFile) {
  const MediaTypes types;
  EXPECT_EQ(types.type_of("/music/a.flac"), "audio/flac");
  EXPECT_EQ(types.type_of("/books/b.epub"), "application/epub+zip");
  EXPECT_EQ(types.type_of("c.pdf"), "application/pdf");
  EXPECT_EQ(types.type_of("d.tar.gz"), "application/gzip");
  EXPECT_EQ(types.type_of("e.MP4"), "video/mp4");
  EXPECT_EQ(types.type_of("f.v1.2.3.Zip"), "application/zip");
}

TEST(MediaTypes, AnythingElseIsBytes) {
  const MediaTypes types;
  for (const auto* path : {"", "/", "a", "a.", "a.unknown", "/zip", ".zip", "/x/.zip", "/a.zip/b",
                           "a.zip.part", "a.zip~", "a. zip"}) {
    EXPECT_EQ(types.type_of(path), kUnknown) << path;
  }
  EXPECT_EQ(types.type_of("a." + std::string(1000, 'x')), kUnknown);
  EXPECT_EQ(types.type_of(std::string("a.zip\0", 6)), kUnknown);
  EXPECT_EQ(types.type_of(".hidden.zip"), "application/zip");
}

TEST(MediaTypes, ReadsTheFormatOfMimeTypes) {
  const MediaTypes types(
      "# comment\n"
      "\n"
      "application/x-one\t\tone  ONES # trailing comment\r\n"
      "   application/x-two two\n"
      "application/x-none\n"
      "application/x-last last");
  EXPECT_EQ(types.type_of("a.one"), "application/x-one");
  EXPECT_EQ(types.type_of("a.ones"), "application/x-one");
  EXPECT_EQ(types.type_of("a.two"), "application/x-two");
  EXPECT_EQ(types.type_of("a.last"), "application/x-last");
  EXPECT_EQ(types.type_of("a.trailing"), kUnknown);
}

TEST(MediaTypes, TheFileOutranksTheBuiltInTableAndItsFirstLineTheLater) {
  const MediaTypes types("audio/x-mine flac\naudio/x-later flac\n");
  EXPECT_EQ(types.type_of("a.flac"), "audio/x-mine");
  EXPECT_EQ(types.type_of("a.mp3"), "audio/mpeg");
}

TEST(MediaTypes, TheLongestKnownExtensionDecides) {
  const MediaTypes types("application/x-compressed-tar tar.gz\n");
  EXPECT_EQ(types.type_of("a.tar.gz"), "application/x-compressed-tar");
  EXPECT_EQ(types.type_of("a.1.tar.gz"), "application/x-compressed-tar");
  EXPECT_EQ(types.type_of("a.log.gz"), "application/gzip");
}

TEST(MediaTypes, SkipsLinesThatNameNoMediaType) {
  const auto longest = "application/" + std::string(kMediaTypeBytesMax - 12, 'x');
  const MediaTypes types(
      "text one\n/x one\ntext/ one\ntext/x;charset=y one\ntext/\x01 one\na/b/c one\n" + longest +
      "x one\n" + longest + " longest\n");
  EXPECT_EQ(types.type_of("a.one"), kUnknown);
  EXPECT_EQ(types.type_of("a.longest"), longest);
}

TEST(MediaTypes, TheBuiltInTableIsWellFormed) {
  std::istringstream lines{std::string(kBuiltinMediaTypes)};
  std::string line;
  const MediaTypes types;
  std::size_t extensions = 0;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string type;
    words >> type;
    for (std::string extension; words >> extension; ++extensions) {
      EXPECT_EQ(types.type_of("a." + extension), type) << "is " << extension << " listed twice?";
    }
  }
  EXPECT_GT(extensions, 120u);
}

}  // namespace
}  // namespace tallygate::http
