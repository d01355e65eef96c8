#include "server/net/say.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tallygate {
namespace {

TEST(Say, BeginsWithTheSeverityInTheJournalAndWithTheNameElsewhere) {
  EXPECT_EQ(said_line(Severity::info, "tallygate: ", "serving on 127.0.0.1:80", false),
            "tallygate: serving on 127.0.0.1:80\n");
  EXPECT_EQ(said_line(Severity::info, "tallygate: ", "serving on 127.0.0.1:80", true),
            "<6>serving on 127.0.0.1:80\n");
  EXPECT_EQ(said_line(Severity::error, "", "f.toml:3: no", true), "<3>f.toml:3: no\n");
  EXPECT_EQ(said_line(Severity::warning, "", "f.toml:3: no", false), "f.toml:3: no\n");
}

TEST(Say, IsOneLineWhateverIsSaid) {
  std::string text;
  for (int c = 0; c < 128; ++c) text += static_cast<char>(c);
  const std::string line = said_line(Severity::error, "", text, true);
  EXPECT_EQ(line, "<3>" + std::string(32, ' ') + text.substr(32, 127 - 32) + " \n");
  EXPECT_EQ(said_line(Severity::error, "", "Größe", false), "Größe\n");
}

TEST(Say, KnowsTheJournalByItsDeviceAndInode) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  struct stat status {};
  ASSERT_EQ(::fstat(ends[1], &status), 0);
  const std::string name = std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
  EXPECT_TRUE(is_journal(ends[1], name.c_str()));
  EXPECT_FALSE(is_journal(ends[1], nullptr));
  EXPECT_FALSE(is_journal(ends[1], ""));
  EXPECT_FALSE(is_journal(ends[1], (name + "1").c_str()));
  EXPECT_FALSE(is_journal(-1, name.c_str()));
  for (const int end : ends) ::close(end);
}

}  // namespace
}  // namespace tallygate
