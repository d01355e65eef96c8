#include "core/http/head_writer.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <string>

namespace tallygate::http {
namespace {

TEST(HeadWriter, WritesLinesInTheOrderTheyAreGiven) {
  std::array<char, 200> buffer;
  HeadWriter head(buffer);
  head.status(Status::partial_content).field("Date", "today").field("Content-Length", 5);
  EXPECT_EQ(head.finish(),
            "HTTP/1.1 206 Partial Content\r\nDate: today\r\nContent-Length: 5\r\n\r\n");
}

TEST(HeadWriter, WritesTheLargestNumber) {
  std::array<char, 200> buffer;
  HeadWriter head(buffer);
  head.field("N", std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(head.finish(), "N: 18446744073709551615\r\n\r\n");
}

TEST(HeadWriter, FitsExactlyOrNotAtAll) {
  const std::string_view whole = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
  std::array<char, 100> buffer;
  for (std::size_t room = 0; room <= whole.size() + 1; ++room) {
    const std::span<char> all(buffer);
    HeadWriter head(all.first(room));
    head.status(Status::ok).field("A", "b");
    EXPECT_EQ(head.finish(), room < whole.size() ? "" : whole) << room;
  }
}

TEST(HeadWriter, LeavesOutTextThatCouldBeginALine) {
  for (int c = 0; c < 256; ++c) {
    const std::string value = std::string("a") + static_cast<char>(c) + "b";
    std::array<char, 100> buffer;
    HeadWriter head(buffer);
    head.text_field("X", value);
    const bool is_control = (c < 0x20 && c != '\t') || c == 0x7f;
    EXPECT_EQ(head.finish(), is_control ? "\r\n" : "X: " + value + "\r\n\r\n") << c;
  }
}

TEST(HeadWriter, LeavesOutEmptyText) {
  std::array<char, 100> buffer;
  HeadWriter head(buffer);
  head.text_field("X", "");
  EXPECT_EQ(head.finish(), "\r\n");
}

}  // namespace
}  // namespace tallygate::http
