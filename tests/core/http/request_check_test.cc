#include "core/http/request_check.h"

#include <gmock/gmock.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/core/http/raw_head.h"

namespace tallygate::http {
namespace {

// 200 stands for "accepted".
int status_of(const std::string& text) {
  RawHead head(text);
  const auto request = check_request(*head);
  return request ? 200 : code(request.error().status);
}

// An accepted request, with its own copy of the target.
struct Accepted {
  Method method = Method::get;
  std::string target;
  bool keep_alive = false;
  std::uint32_t body_bytes = 0;
};

Accepted accepted(const std::string& text) {
  RawHead head(text);
  const auto request = check_request(*head);
  if (!request) {
    ADD_FAILURE() << text << "was refused: " << request.error().reason;
    return {};
  }
  return {request->method, std::string(request->target), request->keep_alive, request->body_bytes};
}

TEST(RequestCheck, AcceptsWhatBrowsersAndToolsSend) {
  const auto request = accepted(
      "GET /music/a.flac?tg=1.kk1.s00 HTTP/1.1\nHost: dl.example:8443\nUser-Agent: curl/7.88.1\n"
      "Accept: */*\nRange: bytes=0-\n");
  EXPECT_EQ(request.method, Method::get);
  EXPECT_EQ(request.target, "/music/a.flac?tg=1.kk1.s00");
  EXPECT_TRUE(request.keep_alive);
  EXPECT_EQ(request.body_bytes, 0u);
}

TEST(RequestCheck, KnowsOnlyVersions10And11) {
  EXPECT_EQ(status_of("GET /a HTTP/1.0\n"), 200);
  EXPECT_EQ(status_of("GET /a HTTP/1.1\nHost: x\n"), 200);
  EXPECT_EQ(status_of("GET /a HTTP/0.9\nHost: x\n"), 505);
  EXPECT_EQ(status_of("GET /a HTTP/1.2\nHost: x\n"), 505);
  EXPECT_EQ(status_of("PRI * HTTP/2.0\n"), 505);
}

TEST(RequestCheck, RefusesAnyTransferEncoding) {  // H8
  for (const auto* coding : {"chunked", "gzip", "identity", "", "gzip, chunked"}) {
    const auto field = std::string("transfer-encoding: ") + coding + "\n";
    EXPECT_EQ(status_of(get_with(field)), 400) << coding;
    EXPECT_EQ(status_of(get_with(field + "Content-Length: 3\n")), 400) << coding;
    EXPECT_EQ(status_of("GET /a HTTP/1.0\n" + field), 400) << coding;
  }
}

TEST(RequestCheck, RefusesSeveralOrUnclearContentLengths) {  // H8
  EXPECT_EQ(status_of(get_with("Content-Length: 5\n")), 200);
  for (const auto* fields :
       {"Content-Length: 5\nContent-Length: 5\n", "Content-Length: 5\nContent-Length: 6\n",
        "Content-Length: 5, 5\n", "Content-Length: +5\n", "Content-Length: -5\n",
        "Content-Length: 0x5\n", "Content-Length:\n", "Content-Length: 5 5\n"}) {
    EXPECT_EQ(status_of(get_with(fields)), 400) << fields;
  }
}

TEST(RequestCheck, DropsABodyOf64KiBAndRefusesOneByteMore) {
  EXPECT_EQ(accepted(get_with("Content-Length: 0\n")).body_bytes, 0u);
  const auto request = accepted(get_with("Content-Length: 65536\n"));
  EXPECT_EQ(request.body_bytes, 65536u);
  EXPECT_TRUE(request.keep_alive);
  EXPECT_EQ(status_of(get_with("Content-Length: 65537\n")), 413);
  EXPECT_EQ(status_of(get_with("Content-Length: 18446744073709551615\n")), 413);
  EXPECT_EQ(status_of(get_with("Content-Length: 99999999999999999999\n")), 413);
}

TEST(RequestCheck, WantsExactlyOneHostSinceHttp11) {  // H8
  EXPECT_EQ(status_of("GET /a HTTP/1.1\n"), 400);
  EXPECT_EQ(status_of("GET /a HTTP/1.1\nHost: x\nHost: x\n"), 400);
  EXPECT_EQ(status_of("GET /a HTTP/1.0\nHost: x\n"), 200);
  EXPECT_EQ(status_of("GET /a HTTP/1.0\nHost: x\nHost: y\n"), 400);
  EXPECT_EQ(status_of("GET /a HTTP/1.0\nHost: x y\n"), 400);
}

TEST(RequestCheck, ReadsHostsAsUrisHaveThem) {
  for (const auto* host :
       {"", "x", "dl.shop-1.example", "x:80", "x:", "127.0.0.1:8080", "[::1]", "[2001:db8::7]:443",
        "x,y", "a_b.example", "x%41.example", "xn--bcher-kva.de"}) {
    EXPECT_EQ(status_of(std::string("GET /a HTTP/1.1\nHost: ") + host + "\n"), 200) << host;
  }
  for (const auto* host :
       {"x y", "user@x", "x/y", "x:8a", "x:123456", "x:80:80", "::1", "[::1", "[]", "[::1]x",
        "[g::]", "x%4", "x%zz", "x\\y", "x?y", "x#y", "\"x\"", "\xc3\xa4.example", "x\x7f"}) {
    EXPECT_EQ(status_of(std::string("GET /a HTTP/1.1\nHost: ") + host + "\n"), 400) << host;
  }
}

TEST(RequestCheck, RefusesFoldedFieldsAndTooManyFields) {  // H8
  RawHead folded(get_with(""));
  folded->add("X", "joined elsewhere");
  EXPECT_EQ(check_request(*folded).error().status, Status::bad_request);

  std::string fields;
  for (std::size_t i = 1; i < kFieldsMax; ++i) fields += "X: y\n";
  EXPECT_EQ(status_of(get_with(fields)), 200);
  EXPECT_EQ(status_of(get_with(fields + "X: y\n")), 431);
}

TEST(RequestCheck, KnowsThreeMethodsInTheirExactSpelling) {  // H9
  const std::string rest = " /a HTTP/1.1\nHost: x\n";
  EXPECT_EQ(accepted("GET" + rest).method, Method::get);
  EXPECT_EQ(accepted("HEAD" + rest).method, Method::head);
  EXPECT_EQ(accepted("OPTIONS" + rest).method, Method::options);
  for (const auto* method : {"POST", "PUT", "DELETE", "TRACE", "PATCH", "get", "GETX", "CONNECT"}) {
    EXPECT_EQ(status_of(method + rest), 405) << method;
  }
}

TEST(RequestCheck, TakesTheTargetInItsThreeForms) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"GET /", "/"},
      {"GET /a%2fb?x=//y", "/a%2fb?x=//y"},
      {"GET //a", "//a"},
      {"GET http://dl.example/a?b", "/a?b"},
      {"GET HTTPS://dl.example:8443/a", "/a"},
      {"GET http://[::1]:80/a://b", "/a://b"},
      {"GET http://dl.example", "/"},
      {"GET http://dl.example?tg=1", "/"},
      {"OPTIONS *", "*"},
      {"OPTIONS http://dl.example", "*"},
      {"OPTIONS http://dl.example/", "/"},
  };
  for (const auto& [line, target] : cases) {
    EXPECT_EQ(accepted(line + " HTTP/1.1\nHost: x\n").target, target) << line;
  }
}

TEST(RequestCheck, RefusesEveryOtherTarget) {
  for (const auto* line :
       {"GET *", "HEAD *", "OPTIONS **", "GET a", "GET dl.example:80", "GET ftp://x/a",
        "GET http:/a", "GET http:///a", "GET http://:80/a", "GET http://user@x/a",
        "GET http://x:y/a", "GET ://x/a", "GET /a#b", "GET http://x#y"}) {
    EXPECT_EQ(status_of(std::string(line) + " HTTP/1.1\nHost: x\n"), 400) << line;
  }
}

TEST(RequestCheck, AllowsOnlyVisibleAsciiInTheTarget) {
  for (int c = 1; c < 256; ++c) {
    if (c == '\n' || c == '#') continue;
    const std::string line = std::string("GET /a") + static_cast<char>(c) + "b HTTP/1.1\nHost: x\n";
    EXPECT_EQ(status_of(line), c >= 0x21 && c <= 0x7e ? 200 : 400) << c;
  }
}

TEST(RequestCheck, AllowsATargetOf8KiBAndNoByteMore) {  // L13
  const auto request = [](std::size_t bytes) {
    return "GET /" + std::string(bytes - 1, 'a') + " HTTP/1.1\nHost: x\n";
  };
  EXPECT_EQ(status_of(request(8192)), 200);
  EXPECT_EQ(status_of(request(8193)), 414);
}

TEST(RequestCheck, KnowsOneExpectation) {
  EXPECT_EQ(status_of(get_with("Expect: 100-Continue\n")), 200);
  EXPECT_EQ(status_of(get_with("Expect: 100-continue, \n")), 200);
  EXPECT_EQ(status_of(get_with("Expect: 200-ok\n")), 417);
  EXPECT_EQ(status_of(get_with("Expect: 100-continue, 200-ok\n")), 417);
  EXPECT_EQ(status_of(get_with("Expect: 100-continue\nExpect: x\n")), 417);
}

TEST(RequestCheck, DoesNotWaitForABodyThatWaitsForUs) {
  const auto waiting = accepted(get_with("Expect: 100-continue\nContent-Length: 5\n"));
  EXPECT_EQ(waiting.body_bytes, 0u);
  EXPECT_FALSE(waiting.keep_alive);
  EXPECT_TRUE(accepted(get_with("Expect: 100-continue\n")).keep_alive);
  // HTTP/1.0 does not know 100: the body comes anyway (RFC 9110 §10.1.1).
  const auto old = accepted(
      "GET /a HTTP/1.0\nConnection: keep-alive\nExpect: 100-continue\nContent-Length: 5\n");
  EXPECT_EQ(old.body_bytes, 5u);
  EXPECT_TRUE(old.keep_alive);
}

TEST(RequestCheck, KeepsTheConnectionAsTheVersionAndConnectionSay) {
  EXPECT_TRUE(accepted(get_with("")).keep_alive);
  EXPECT_TRUE(accepted(get_with("Connection: Keep-Alive\n")).keep_alive);
  EXPECT_FALSE(accepted(get_with("Connection: TE, Close\n")).keep_alive);
  EXPECT_FALSE(accepted(get_with("Connection: keep-alive\nConnection: close\n")).keep_alive);
  EXPECT_FALSE(accepted("GET /a HTTP/1.0\n").keep_alive);
  EXPECT_TRUE(accepted("GET /a HTTP/1.0\nConnection: keep-alive\n").keep_alive);
  EXPECT_FALSE(accepted("GET /a HTTP/1.0\nConnection: keep-alive, close\n").keep_alive);
}

TEST(RequestCheck, FramingFaultsComeBeforeAllOthers) {  // H8
  EXPECT_EQ(status_of("POST nowhere HTTP/1.1\nTransfer-Encoding: chunked\n"), 400);
  EXPECT_EQ(status_of("POST nowhere HTTP/2.0\nTransfer-Encoding: chunked\n"), 505);
  EXPECT_EQ(status_of("POST nowhere HTTP/1.1\nHost: x\nExpect: y\n"), 405);
}

}  // namespace
}  // namespace tallygate::http
