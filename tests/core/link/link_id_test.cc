#include "core/link/link_id.h"

#include <gtest/gtest.h>

#include <string>

#include "core/link/token.h"

namespace tallygate::link {
namespace {

// The hashes were computed with PHP 8.2: hash('xxh128', …), hash('xxh3', …).

TEST(LinkId, OfATokenWithoutOneIsTheHashOfTheSignedBytes) {
  const auto bytes = signed_bytes("/free/leaflet.pdf", 0, "1.kshop2.e1767225600");
  EXPECT_EQ(hashed_link_id(bytes).view(), "h.405ae141d1ad80810f26bd268ce29cba");
}

TEST(LinkId, OfAFileBelowAFolderEndsWithTheHashOfItsPath) {
  EXPECT_EQ(file_link_id(LinkId("o-881-3"), "/dl/game-7/disk1.iso").view(),
            "o-881-3:a4418ddf532ebec0");
}

TEST(LinkId, FitsForTheLongestIdThatCanBeSigned) {
  const std::string longest(kLinkIdBytesMax, 'x');
  EXPECT_EQ(file_link_id(LinkId(longest), "/music/a/b").view(), longest + ":c3a071b0bc081892");
}

TEST(LinkId, OfAFileTellsItsFolder) {
  const struct {
    std::string_view id, folder;
  } cases[] = {
      {"o-881-3:a4418ddf532ebec0", "o-881-3"},
      {"o-881-3", ""},
      {"h.405ae141d1ad80810f26bd268ce29cba", ""},
      {"", ""},
      {":a4418ddf532ebec0", ""},
      {"a:b:a4418ddf532ebec0", "a:b"},  // no shop can sign a colon, but its table may have one
  };
  for (const auto& c : cases) EXPECT_EQ(folder_of(c.id), c.folder) << c.id;
  const std::string longest(kLinkIdBytesMax, 'x');
  EXPECT_EQ(folder_of(file_link_id(LinkId(longest), "/music/a/b").view()), longest);
}

}  // namespace
}  // namespace tallygate::link
