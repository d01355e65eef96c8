#include "core/http/response_head.h"

#include <gmock/gmock.h>

#include <array>
#include <limits>
#include <string>

#include "core/http/content_disposition.h"
#include "core/http/mime.h"

namespace tallygate::http {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

const Common kPlain{"Thu, 01 Jan 2026 00:00:00 GMT", {}, Persistence::implied};
const Common kCors{"Thu, 01 Jan 2026 00:00:00 GMT", {"https://shop.example", true}};
const Representation kFile{12'345, "\"3039-5e0be100\"", "Wed, 31 Dec 2025 00:00:00 GMT",
                           "audio/flac", "attachment; filename=\"a.flac\""};

// The head that `write(out)` makes in a buffer of the promised size.
template <class Write>
std::string head_of(Write write) {
  std::array<char, kResponseHeadBytesMax> buffer;
  return std::string(write(std::span<char>(buffer)));
}

std::string problem_head(Problem problem, ProblemForm form = ProblemForm::json,
                         std::optional<std::uint64_t> file_size = std::nullopt) {
  return head_of(
      [&](auto out) { return write_problem(out, kPlain, problem, form, 99, file_size); });
}

TEST(ResponseHead, WholeFile) {
  EXPECT_EQ(head_of([](auto out) { return write_whole(out, kPlain, kFile); }),
            "HTTP/1.1 200 OK\r\n"
            "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
            "Content-Type: audio/flac\r\n"
            "Content-Length: 12345\r\n"
            "Accept-Ranges: bytes\r\n"
            "ETag: \"3039-5e0be100\"\r\n"
            "Last-Modified: Wed, 31 Dec 2025 00:00:00 GMT\r\n"
            "Content-Disposition: attachment; filename=\"a.flac\"\r\n"
            "Cache-Control: private, no-transform\r\n"
            "X-Accel-Buffering: no\r\n"
            "X-Content-Type-Options: nosniff\r\n"
            "Referrer-Policy: no-referrer\r\n"
            "\r\n");
}

TEST(ResponseHead, OneRange) {
  const auto head = head_of([](auto out) { return write_range(out, kPlain, kFile, {10, 20}); });
  EXPECT_THAT(head, HasSubstr("HTTP/1.1 206 Partial Content\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nContent-Length: 10\r\nContent-Range: bytes 10-19/12345\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nETag: \"3039-5e0be100\"\r\n"));
}

TEST(ResponseHead, SeveralRangesHaveTheirContentRangeInTheParts) {
  const Multipart parts(select_bytes("bytes=0-0,-1", kFile.size), kFile.size, kFile.content_type,
                        make_boundary(1, 2));
  const auto head = head_of([&](auto out) { return write_multipart(out, kPlain, kFile, parts); });
  EXPECT_THAT(head, HasSubstr("HTTP/1.1 206 Partial Content\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nContent-Type: multipart/byteranges; "
                              "boundary=00000000000000010000000000000002\r\n"));
  EXPECT_THAT(head,
              HasSubstr("\r\nContent-Length: " + std::to_string(parts.content_length()) + "\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("Content-Range")));
}

TEST(ResponseHead, NotModifiedSaysOnlyWhatACacheNeeds) {
  EXPECT_EQ(head_of([](auto out) { return write_not_modified(out, kPlain, kFile); }),
            "HTTP/1.1 304 Not Modified\r\n"
            "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
            "ETag: \"3039-5e0be100\"\r\n"
            "Cache-Control: private, no-transform\r\n"
            "\r\n");
}

TEST(ResponseHead, OptionsNamesTheMethods) {
  EXPECT_EQ(head_of([](auto out) { return write_options(out, kPlain, true); }),
            "HTTP/1.1 204 No Content\r\n"
            "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
            "Allow: GET, HEAD, OPTIONS\r\n"
            "\r\n");
}

TEST(ResponseHead, APreflightFromAGrantedOriginMayGoAhead) {
  const auto preflight = head_of([](auto out) { return write_options(out, kCors, true); });
  EXPECT_THAT(preflight, HasSubstr("\r\nAccess-Control-Allow-Origin: https://shop.example\r\n"));
  EXPECT_THAT(preflight, HasSubstr("\r\nAccess-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n"));
  EXPECT_THAT(preflight, HasSubstr("\r\nAccess-Control-Allow-Headers: If-Match, "));
  EXPECT_THAT(preflight, HasSubstr("\r\nVary: Origin\r\n"));
  const auto plain = head_of([](auto out) { return write_options(out, kCors, false); });
  EXPECT_THAT(plain, Not(HasSubstr("Access-Control-Allow-Methods")));
  EXPECT_THAT(plain, HasSubstr("Allow: GET, HEAD, OPTIONS"));
}

TEST(ResponseHead, AGrantedOriginMayReadFilesAndRefusals) {
  const auto file = head_of([](auto out) { return write_whole(out, kCors, kFile); });
  const auto refusal = head_of([](auto out) {
    return write_problem(out, kCors, Problem::link_expired, ProblemForm::json, 9);
  });
  for (const auto& head : {file, refusal}) {
    EXPECT_THAT(head, HasSubstr("\r\nAccess-Control-Allow-Origin: https://shop.example\r\n"));
    EXPECT_THAT(head, HasSubstr("\r\nAccess-Control-Expose-Headers: Accept-Ranges, "));
    EXPECT_THAT(head, HasSubstr("\r\nVary: Origin\r\n"));
  }
}

TEST(ResponseHead, AnotherOriginOnlyLearnsThatOriginMatters) {
  const Common other{"Thu, 01 Jan 2026 00:00:00 GMT", {"", true}};
  const auto head = head_of([&](auto out) { return write_whole(out, other, kFile); });
  EXPECT_THAT(head, HasSubstr("\r\nVary: Origin\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("Access-Control")));
  EXPECT_THAT(head_of([&](auto out) { return write_options(out, other, true); }),
              Not(HasSubstr("Access-Control")));
}

TEST(ResponseHead, SaysWhatBecomesOfTheConnectionWhereThatIsNotImplied) {
  EXPECT_EQ(persistence(11, true), Persistence::implied);
  EXPECT_EQ(persistence(10, true), Persistence::keep_alive);
  EXPECT_EQ(persistence(11, false), Persistence::close);
  EXPECT_EQ(persistence(10, false), Persistence::close);
  const auto with = [](Persistence p) {
    Common common = kPlain;
    common.persistence = p;
    return head_of([&](auto out) { return write_whole(out, common, kFile); });
  };
  EXPECT_THAT(with(Persistence::implied), Not(HasSubstr("Connection")));
  EXPECT_THAT(with(Persistence::keep_alive), EndsWith("\r\nConnection: keep-alive\r\n\r\n"));
  EXPECT_THAT(with(Persistence::close), EndsWith("\r\nConnection: close\r\n\r\n"));
}

TEST(ResponseHead, NoRefusalIsStored) {
  for (std::size_t i = 0; i < kProblems; ++i) {
    const auto head = problem_head(static_cast<Problem>(i));
    EXPECT_THAT(head, HasSubstr("\r\nCache-Control: no-store\r\n"));
    EXPECT_THAT(head, HasSubstr("\r\nContent-Length: 99\r\n"));
    EXPECT_THAT(head, HasSubstr("\r\nContent-Type: application/problem+json\r\n"));
    EXPECT_THAT(head, HasSubstr("\r\nReferrer-Policy: no-referrer\r\n"));
    EXPECT_THAT(head, Not(HasSubstr("ETag")));
  }
}

TEST(ResponseHead, RefusalsSayWhatTheirStatusDemands) {
  EXPECT_THAT(problem_head(Problem::downloads_in_progress), HasSubstr("\r\nRetry-After: 10\r\n"));
  EXPECT_THAT(problem_head(Problem::temporarily_unavailable), HasSubstr("\r\nRetry-After: 5\r\n"));
  EXPECT_THAT(problem_head(Problem::link_expired), Not(HasSubstr("Retry-After")));
  EXPECT_THAT(problem_head(Problem::method_not_allowed),
              HasSubstr("\r\nAllow: GET, HEAD, OPTIONS\r\n"));
  EXPECT_THAT(problem_head(Problem::range_not_satisfiable, ProblemForm::json, 12'345),
              HasSubstr("\r\nContent-Range: bytes */12345\r\n"));
}

TEST(ResponseHead, OnlyA416EverNamesTheSizeOfTheFile) {
  EXPECT_THAT(problem_head(Problem::link_expired, ProblemForm::json, 12'345),
              Not(HasSubstr("12345")));
}

TEST(ResponseHead, APageMayLoadNothing) {
  const auto head = problem_head(Problem::link_expired, ProblemForm::page);
  EXPECT_THAT(head, HasSubstr("\r\nContent-Type: text/html; charset=utf-8\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nContent-Security-Policy: default-src 'none'; "));
}

TEST(ResponseHead, TextFromOutsideNeverBeginsALine) {
  Representation file = kFile;
  file.content_type = "text/plain\r\nSet-Cookie: a=b";
  file.content_disposition = "attachment\nX: y";
  const auto head = head_of([&](auto out) { return write_whole(out, kPlain, file); });
  EXPECT_THAT(head, Not(HasSubstr("Set-Cookie")));
  EXPECT_THAT(head, Not(HasSubstr("X: y")));
  EXPECT_THAT(head, HasSubstr("\r\nContent-Length: 12345\r\n"));
}

TEST(ResponseHead, TheLargestFits) {
  const std::string type(kMediaTypeBytesMax, 'x');
  std::array<char, kContentDispositionBytesMax> buffer;
  std::string name;
  while (name.size() < 254) name += "ä";
  const auto disposition = write_content_disposition(buffer, Disposition::attachment, name);
  ASSERT_FALSE(disposition.empty());
  const std::string origin = "https://" + std::string(253, 'o');
  const Common common{kPlain.date, {origin, true}, Persistence::keep_alive};
  constexpr auto kHuge = std::numeric_limits<std::uint64_t>::max();
  const Representation file{kHuge, kFile.etag, kFile.last_modified, type, disposition};
  EXPECT_NE(head_of([&](auto out) { return write_range(out, common, file, {0, kHuge}); }), "");
}

TEST(ResponseHead, ATooSmallBufferGivesNothing) {
  std::array<char, 100> small;
  EXPECT_EQ(write_whole(small, kPlain, kFile), "");
}

}  // namespace
}  // namespace tallygate::http
