#include "core/http/request_head.h"

#include <gmock/gmock.h>

#include "tests/core/http/raw_head.h"

namespace tallygate::http {
namespace {

TEST(RequestHead, FindsFieldsWithoutRegardToCase) {
  RawHead head(get_with("ACCEPT: */*\nAccept-Language: de\n"));
  EXPECT_EQ(head->find("Accept"), "*/*");
  EXPECT_EQ(head->find("accept-language"), "de");
  EXPECT_FALSE(head->find("Accept-"));
  EXPECT_EQ(head->count("Host"), 1u);
  EXPECT_EQ(head->count("Cookie"), 0u);
}

TEST(RequestHead, AFieldThatStandsThereTwiceHasNoSingleValue) {
  RawHead head(get_with("Range: bytes=0-1\nrange: bytes=2-3\nIf-Range: \"a\"\n"));
  EXPECT_EQ(head->find("Range"), "bytes=0-1");
  EXPECT_FALSE(head->find_only("Range"));
  EXPECT_EQ(head->find_only("If-Range"), "\"a\"");
  EXPECT_FALSE(head->find_only("If-Match"));
}

TEST(RequestHead, LinesOfAListAreOneList) {
  RawHead head(get_with("Connection: keep-alive, TE\nConnection: Close\n"));
  EXPECT_TRUE(head->lists("Connection", "close"));
  EXPECT_TRUE(head->lists("connection", "te"));
  EXPECT_FALSE(head->lists("Connection", "keep"));
  EXPECT_FALSE(head->lists("Accept", "close"));
}

TEST(RequestHead, AValueOutsideTheBufferIsAFoldAndIsNotKept) {
  const std::string received = "X: a";
  const std::string elsewhere = "joined by the parser";
  RequestHead head;
  head.start(received, "GET", "/", 11);
  head.add(std::string_view(received).substr(0, 1), std::string_view(received).substr(3));
  EXPECT_FALSE(head.has_folded_field());
  head.add(std::string_view(received).substr(0, 1), elsewhere);
  EXPECT_TRUE(head.has_folded_field());
  EXPECT_EQ(head.fields(), 1u);
}

TEST(RequestHead, AContinuationOfNothingButWhiteSpaceIsAFoldToo) {
  for (const std::string received :
       {"X:\r\n \r\n\r\n", "X: a\r\n\t\r\n\r\n", "X: a\r\n b\r\n\r\n"}) {
    const std::string_view all = received;
    for (std::size_t at = 2; at < all.size(); ++at) {  // wherever a parser says the value is
      RequestHead head;
      head.start(all, "GET", "/", 11);
      head.add(all.substr(0, 1), all.substr(at, 1));
      EXPECT_TRUE(head.has_folded_field()) << received << at;
    }
  }
  const std::string_view plain = "X: a\r\nY: b\r\n\r\n";
  RequestHead head;
  head.start(plain, "GET", "/", 11);
  head.add(plain.substr(0, 1), plain.substr(3, 1));
  head.add(plain.substr(6, 1), plain.substr(9, 1));
  EXPECT_FALSE(head.has_folded_field());
  EXPECT_EQ(head.find("Y"), "b");
}

TEST(RequestHead, AnEmptyValueAtTheVeryEndOfTheBufferIsNoFold) {
  const std::string received = "X:";
  RequestHead head;
  head.start(received, "GET", "/", 11);
  head.add(std::string_view(received).substr(0, 1), std::string_view(received).substr(2));
  EXPECT_FALSE(head.has_folded_field());
  EXPECT_EQ(head.find("X"), "");
  head.add(std::string_view(received).substr(0, 1), std::string_view());
  EXPECT_TRUE(head.has_folded_field());
}

TEST(RequestHead, Holds64FieldsAndNotesThe65th) {
  std::string fields;
  for (std::size_t i = 1; i < kFieldsMax; ++i) fields += "X: y\n";  // Host is the first
  RawHead full(get_with(fields));
  EXPECT_EQ(full->fields(), kFieldsMax);
  EXPECT_FALSE(full->has_too_many_fields());
  RawHead overfull(get_with(fields + "X: y\n"));
  EXPECT_TRUE(overfull->has_too_many_fields());
}

TEST(RequestHead, IsReadBackwardsAsLongAsAsked) {
  RawHead head(get_with("X: a\nY: no\nx: b\nX: c\n"));
  std::string seen;
  head->each_backwards("X", [&](std::string_view value) {
    seen += value;
    return true;
  });
  EXPECT_EQ(seen, "cba");
  seen.clear();
  head->each_backwards("X", [&](std::string_view value) {
    seen += value;
    return seen.size() < 2;
  });
  EXPECT_EQ(seen, "cb");
  head->each_backwards("Z", [](std::string_view) -> bool { throw std::logic_error("no Z"); });
}

TEST(RequestHead, StartForgetsTheHeadBefore) {
  RawHead head(get_with("Range: bytes=0-1\n"));
  head->add("X", "not in the buffer");
  const std::string next = "GET / HTTP/1.0";
  head->start(next, "HEAD", "/", 10);
  EXPECT_EQ(head->fields(), 0u);
  EXPECT_FALSE(head->has_folded_field());
  EXPECT_EQ(head->method(), "HEAD");
  EXPECT_EQ(head->version(), 10u);
}

}  // namespace
}  // namespace tallygate::http
