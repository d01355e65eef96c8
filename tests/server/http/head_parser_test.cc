#include "server/http/head_parser.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/http/request_check.h"

namespace tallygate::http {
namespace {

ParsedHead parse(std::string_view received, RequestHead& head) {
  std::size_t scanned = 0;
  return parse_head(received, scanned, head);
}
ParsedHead parse(std::string_view received) {
  RequestHead head;
  return parse(received, head);
}

constexpr std::string_view kGet =
    "GET /a.flac?tg=1.x HTTP/1.1\r\nHost: dl.example\r\nRange: bytes=0-9\r\n\r\n";

TEST(HeadParser, ReadsAHeadAndStopsBehindIt) {
  const std::string received = std::string(kGet) + "GET /next";
  RequestHead head;
  const auto parsed = parse(received, head);
  ASSERT_EQ(parsed.state, HeadState::complete);
  EXPECT_EQ(parsed.bytes, kGet.size());
  EXPECT_EQ(head.method(), "GET");
  EXPECT_EQ(head.target(), "/a.flac?tg=1.x");
  EXPECT_EQ(head.version(), 11u);
  EXPECT_EQ(head.find("host"), "dl.example");
  EXPECT_EQ(head.find("range"), "bytes=0-9");
  EXPECT_GE(head.target().data(), received.data()) << "views, not copies";
  EXPECT_LT(head.target().data(), received.data() + received.size());
}

TEST(HeadParser, GivesTheSameAnswerHoweverTheBytesArrive) {
  const std::string heads[] = {
      std::string(kGet),
      "\r\n" + std::string(kGet),
      "GET / HTTP/1.0\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n",
      "GET / HTTP/1.1\nHost: a\n\n\r\n\r\n",
      "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
      "GET  / HTTP/1.1\r\n\r\n",
      "GET / HTTP/2.0\r\n\r\n",
      "\x16\x03\x01\x02\r\n\r\n",
      "\r\n\r\n\r\n",
  };
  for (const std::string& bytes : heads) {
    const auto whole = parse(bytes);
    ASSERT_NE(whole.state, HeadState::incomplete) << bytes;
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
      std::size_t scanned = 0;
      RequestHead head;
      const std::string first = bytes.substr(0, cut);
      auto parsed = parse_head(first, scanned, head);
      if (parsed.state == HeadState::incomplete) parsed = parse_head(bytes, scanned, head);
      EXPECT_EQ(parsed.state, whole.state) << bytes << " cut at " << cut;
      EXPECT_EQ(parsed.bytes, whole.bytes) << bytes << " cut at " << cut;
      if (whole.state == HeadState::malformed) {
        EXPECT_EQ(parsed.status, whole.status) << bytes << " cut at " << cut;
      }
    }
    std::size_t scanned = 0;
    ParsedHead parsed;
    RequestHead head;
    for (std::size_t size = 1; size <= bytes.size(); ++size) {
      parsed = parse_head(std::string_view(bytes).substr(0, size), scanned, head);
      if (parsed.state != HeadState::incomplete) break;
    }
    EXPECT_EQ(parsed.state, whole.state) << bytes << " byte by byte";
  }
}

TEST(HeadParser, WaitsForTheRestOfAGoodHead) {
  for (std::size_t size = 0; size < kGet.size(); ++size) {
    EXPECT_EQ(parse(kGet.substr(0, size)).state, HeadState::incomplete) << size;
  }
}

TEST(HeadParser, IgnoresOneEmptyLineBeforeTheRequest) {
  const std::string one = "\r\n" + std::string(kGet);
  const auto parsed = parse(one);
  ASSERT_EQ(parsed.state, HeadState::complete);
  EXPECT_EQ(parsed.bytes, one.size());
  EXPECT_EQ(parse("\r\n\r\n" + std::string(kGet)).state, HeadState::malformed);
}

TEST(HeadParser, AnswersWhatItCannotRead) {  // H8, H9
  struct Case {
    std::string received;
    Status status;
  };
  const Case cases[] = {
      {"GET / HTTP/1.1\nHost: a\n", Status::bad_request},
      {"\n", Status::bad_request},
      {"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", Status::bad_request},
      {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", Status::bad_request},
      {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", Status::bad_request},
      {"GET / HTTP/1.1\r\n: a\r\n\r\n", Status::bad_request},
      {"GET / HTTP/1.1\r\nHost\r\n\r\n", Status::bad_request},
      {"GET /\r\n\r\n", Status::bad_request},
      {"GET\r\n\r\n", Status::bad_request},
      {" GET / HTTP/1.1\r\n\r\n", Status::bad_request},
      {"GET / HTTP/3.0\r\n\r\n", Status::version_not_supported},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Status::version_not_supported},
      {std::string("GET / HTTP/1.1\r\nX: a\0b\r\n\r\n", 26), Status::bad_request},
  };
  for (const Case& c : cases) {
    const auto parsed = parse(c.received);
    EXPECT_EQ(parsed.state, HeadState::malformed) << c.received;
    EXPECT_EQ(parsed.status, c.status) << c.received;
  }
}

TEST(HeadParser, NotesAFoldedFieldForWhoeverDecides) {  // H8
  for (const char* fold : {"\r\n ", "\r\n\t", " \r\n  "}) {
    const std::string received =
        std::string("GET / HTTP/1.1\r\nHost: a\r\nX: 1") + fold + "2\r\n\r\n";
    RequestHead head;
    const auto parsed = parse(received, head);
    ASSERT_EQ(parsed.state, HeadState::complete) << received;
    EXPECT_TRUE(head.has_folded_field());
    EXPECT_TRUE(check_request(head).has_error());
  }
}

TEST(HeadParser, TakesAHeadOfTheLargestSizeAndNotOneByteMore) {  // L13
  for (const bool fits : {true, false}) {
    std::string received = "GET / HTTP/1.1\r\nHost: a\r\n";
    const std::size_t wanted = kHeadBytesMax + (fits ? 0 : 1);
    while (received.size() + 200 < wanted) received += "X: " + std::string(95, 'x') + "\r\n";
    received += "X: " + std::string(wanted - received.size() - 7, 'x') + "\r\n\r\n";
    ASSERT_EQ(received.size(), wanted);
    const auto parsed = parse(received);
    EXPECT_EQ(parsed.state, fits ? HeadState::complete : HeadState::malformed);
    if (!fits) {
      EXPECT_EQ(parsed.status, Status::header_fields_too_large);
    }
    received.resize(received.size() - 1);  // its last byte has not come yet
    EXPECT_EQ(parse(received).state, fits ? HeadState::incomplete : HeadState::malformed);
  }
}

TEST(HeadParser, TellsATooLongTargetFromTooManyFields) {  // L13
  const std::string target = "GET /" + std::string(kHeadBytesMax, 'x');
  EXPECT_EQ(parse(target).status, Status::uri_too_long);
  EXPECT_EQ(parse(target + " HTTP/1.1\r\n\r\n").status, Status::uri_too_long);
  const std::string fields = "GET / HTTP/1.1\r\nX: " + std::string(kHeadBytesMax, 'x');
  EXPECT_EQ(parse(fields).status, Status::header_fields_too_large);
  // Below the bound of the head, the target's own bound is the next one's to check.
  const std::string long_target =
      "GET /" + std::string(kTargetBytesMax, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n";
  RequestHead head;
  ASSERT_EQ(parse(long_target, head).state, HeadState::complete);
  EXPECT_EQ(check_request(head).error().status, Status::uri_too_long);
}

TEST(HeadParser, LeavesABodyToWhoeverReadsTheHead) {
  const std::string head_bytes = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
  const auto parsed = parse(head_bytes + "hello");
  ASSERT_EQ(parsed.state, HeadState::complete);
  EXPECT_EQ(parsed.bytes, head_bytes.size());
}

TEST(HeadParser, ReadsEveryByteValueWithoutHarm) {
  for (int value = 0; value < 256; ++value) {
    for (std::size_t at = 0; at < kGet.size(); ++at) {
      std::string received(kGet);
      received[at] = static_cast<char>(value);
      RequestHead head;
      const auto parsed = parse(received, head);
      if (parsed.state == HeadState::complete) static_cast<void>(check_request(head));
    }
  }
}

}  // namespace
}  // namespace tallygate::http
