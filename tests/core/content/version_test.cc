#include "core/content/version.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include <limits>
#include <set>
#include <string>

#include "core/http/etag.h"

namespace tallygate::content {
namespace {

std::string etag_of(std::uint64_t size, std::int64_t seconds, std::uint32_t nanoseconds) {
  return etag({size, seconds, nanoseconds}).str();
}

TEST(FileVersion, ItsTagIsSizeAndMtimeInHex) {
  EXPECT_EQ(etag_of(0, 0, 0), "\"0-000000000\"");
  EXPECT_EQ(etag_of(12'345, 1'767'225'600, 123'456'789), "\"3039-6955b900075bcd15\"");
  EXPECT_EQ(etag_of(1, -1, 999'999'999), "\"1-ffffffffffffffff3b9ac9ff\"");
}

TEST(FileVersion, TheLongestTagIsNotCut) {
  const auto text = etag_of(std::numeric_limits<std::uint64_t>::max(), -1, 999'999'999);
  EXPECT_EQ(text, "\"ffffffffffffffff-ffffffffffffffff3b9ac9ff\"");
}

TEST(FileVersion, EveryChangeOfSizeOrTimeChangesTheTag) {
  std::set<std::string> tags;
  std::size_t versions = 0;
  for (const std::uint64_t size : {0u, 1u, 16u, 0x3039u}) {
    for (const std::int64_t seconds : {-1, 0, 1, 16, 0x100}) {
      for (const std::uint32_t nanoseconds : {0u, 1u, 16u, 0x1000'0000u, 999'999'999u}) {
        tags.insert(etag_of(size, seconds, nanoseconds));
        ++versions;
      }
    }
  }
  EXPECT_EQ(tags.size(), versions);
}

TEST(FileVersion, ItsTagIsAStrongEntityTag) {
  const auto text = etag_of(12'345, 1'767'225'600, 123'456'789);
  std::string_view rest = text;
  const auto tag = http::take_entity_tag(rest);
  ASSERT_TRUE(tag);
  EXPECT_EQ(tag->opaque, text);
  EXPECT_FALSE(tag->weak);
}

TEST(FileVersion, LastModifiedIsNeverInTheFuture) {
  const FileVersion version{1, 1000, 999'999'999};
  EXPECT_EQ(last_modified(version, 999), 999);
  EXPECT_EQ(last_modified(version, 1000), 1000);
  EXPECT_EQ(last_modified(version, 1001), 1000);
}

TEST(VersionKey, IsXxh3OfPathAndTag) {
  const std::string joined("/music/a.flac\0\"3039-1\"", 22);
  const auto key = version_key("/music/a.flac", "\"3039-1\"");
  EXPECT_EQ(key.hash, XXH3_64bits(joined.data(), joined.size()));
}

// Keys are stored: a library that hashes otherwise must not go unnoticed.
TEST(VersionKey, StaysWhatItIsOnDisk) {
  const auto key = version_key("/music/a.flac", "\"3039-1\"");
  EXPECT_EQ(key.hash, 0xcad877d31110c294u);
}

TEST(VersionKey, TellsPathFromTag) {
  EXPECT_NE(version_key("/a", "b"), version_key("/ab", ""));
  EXPECT_NE(version_key("/a", "\"1\""), version_key("/b", "\"1\""));
  EXPECT_NE(version_key("/a", "\"1\""), version_key("/a", "\"2\""));
  EXPECT_EQ(version_key("/a", "\"1\""), version_key("/a", "\"1\""));
  EXPECT_EQ(version_key(std::string(8192, 'x'), "\"1\""),
            version_key(std::string(8192, 'x'), "\"1\""));
}

}  // namespace
}  // namespace tallygate::content
