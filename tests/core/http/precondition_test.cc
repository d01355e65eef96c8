#include "core/http/precondition.h"

#include <gtest/gtest.h>

#include <string>

#include "core/http/date.h"
#include "tests/core/http/raw_head.h"

namespace tallygate::http {
namespace {

constexpr std::int64_t kModified = 1'767'225'600;
constexpr std::int64_t kNow = kModified + 1000;
constexpr Validators kCurrent{"\"v2\"", kModified};

constexpr auto kProceed = Precondition::proceed;
constexpr auto kNotModified = Precondition::not_modified;
constexpr auto kFailed = Precondition::failed;

Precondition evaluate(std::string_view fields, Method method = Method::get) {
  RawHead head(get_with(fields));
  return evaluate_preconditions(*head, method, kCurrent, kNow);
}

std::string range(std::string_view fields, Method method = Method::get,
                  const Validators& current = kCurrent, std::int64_t now = kNow) {
  RawHead head(get_with(fields));
  return std::string(applicable_range(*head, method, current, now));
}

std::string date_field(std::string_view name, std::int64_t time) {
  return std::string(name) + ": " + format_date(time).str() + "\n";
}
std::string modified_since(std::int64_t time) {
  return date_field("If-Modified-Since", time);
}
std::string unmodified_since(std::int64_t time) {
  return date_field("If-Unmodified-Since", time);
}

TEST(Precondition, WithoutOneTheRequestProceeds) {
  EXPECT_EQ(evaluate(""), kProceed);
}

TEST(Precondition, IfMatchComparesStrongly) {
  EXPECT_EQ(evaluate("If-Match: \"v2\"\n"), kProceed);
  EXPECT_EQ(evaluate("If-Match: \"v1\", \"v2\"\n"), kProceed);
  EXPECT_EQ(evaluate("If-Match: \"v1\"\nIf-Match: \"v2\"\n"), kProceed);
  EXPECT_EQ(evaluate("If-Match: *\n"), kProceed);
  EXPECT_EQ(evaluate("If-Match: \"v1\"\n"), kFailed);
  EXPECT_EQ(evaluate("If-Match: W/\"v2\"\n"), kFailed);
}

TEST(Precondition, AMalformedListOfTagsMatchesNothing) {
  EXPECT_EQ(evaluate("If-Match: v2\n"), kFailed);
  EXPECT_EQ(evaluate("If-Match:\n"), kFailed);
  EXPECT_EQ(evaluate("If-Match: \"v2\"\nIf-Match: v2\n"), kFailed);
  EXPECT_EQ(evaluate("If-Match: \"v2\"\nIf-Match: *\n"), kFailed);
  EXPECT_EQ(evaluate("If-None-Match: v2\n"), kProceed);
  EXPECT_EQ(evaluate("If-None-Match: \"v2\", v1\n"), kProceed);
}

TEST(Precondition, IfUnmodifiedSinceFailsWhenTheFileIsNewer) {
  EXPECT_EQ(evaluate(unmodified_since(kModified - 1)), kFailed);
  EXPECT_EQ(evaluate(unmodified_since(kModified)), kProceed);
  EXPECT_EQ(evaluate(unmodified_since(kModified + 1)), kProceed);
}

TEST(Precondition, IfNoneMatchComparesWeakly) {
  EXPECT_EQ(evaluate("If-None-Match: \"v2\"\n"), kNotModified);
  EXPECT_EQ(evaluate("If-None-Match: W/\"v2\"\n"), kNotModified);
  EXPECT_EQ(evaluate("If-None-Match: \"v1\"\nIf-None-Match: \"v2\"\n"), kNotModified);
  EXPECT_EQ(evaluate("If-None-Match: *\n"), kNotModified);
  EXPECT_EQ(evaluate("If-None-Match: \"v1\"\n"), kProceed);
  EXPECT_EQ(evaluate("If-None-Match: \"v2\"\n", Method::head), kNotModified);
}

TEST(Precondition, IfModifiedSinceHoldsWhenTheFileIsNewer) {
  EXPECT_EQ(evaluate(modified_since(kModified - 1)), kProceed);
  EXPECT_EQ(evaluate(modified_since(kModified)), kNotModified);
  EXPECT_EQ(evaluate(modified_since(kModified + 1)), kNotModified);
  EXPECT_EQ(evaluate(modified_since(kModified), Method::head), kNotModified);
}

TEST(Precondition, DatesThatAreInvalidOrDoubledAreIgnored) {
  EXPECT_EQ(evaluate("If-Modified-Since: yesterday\n"), kProceed);
  EXPECT_EQ(evaluate("If-Unmodified-Since: yesterday\n"), kProceed);
  EXPECT_EQ(evaluate(modified_since(kModified) + modified_since(kModified)), kProceed);
  EXPECT_EQ(evaluate(unmodified_since(0) + unmodified_since(0)), kProceed);
}

TEST(Precondition, FollowsTheOrderOfPrecedence) {
  // Tags outrank dates, whatever the dates say.
  EXPECT_EQ(evaluate("If-Match: \"v2\"\n" + unmodified_since(0)), kProceed);
  EXPECT_EQ(evaluate("If-Match: v2\n" + unmodified_since(kNow)), kFailed);
  EXPECT_EQ(evaluate("If-None-Match: \"v1\"\n" + modified_since(kNow)), kProceed);
  EXPECT_EQ(evaluate("If-None-Match: v2\n" + modified_since(kNow)), kProceed);
  EXPECT_EQ(evaluate("If-None-Match: \"v2\"\n" + modified_since(0)), kNotModified);
  // A failure outranks "not modified".
  EXPECT_EQ(evaluate("If-None-Match: \"v2\"\nIf-Match: \"v1\"\n"), kFailed);
  EXPECT_EQ(evaluate(modified_since(kNow) + unmodified_since(0)), kFailed);
  // Both groups are looked at.
  EXPECT_EQ(evaluate("If-Match: \"v2\"\nIf-None-Match: \"v2\"\n"), kNotModified);
  EXPECT_EQ(evaluate("If-Match: \"v2\"\n" + modified_since(kNow)), kNotModified);
  EXPECT_EQ(evaluate(unmodified_since(kNow) + "If-None-Match: \"v2\"\n"), kNotModified);
}

TEST(Precondition, OptionsSelectsNothingAndHasNone) {
  EXPECT_EQ(evaluate("If-Match: \"v1\"\n", Method::options), kProceed);
  EXPECT_EQ(evaluate("If-None-Match: *\n", Method::options), kProceed);
}

TEST(IfRange, RangeCountsOnGetOnly) {
  EXPECT_EQ(range("Range: bytes=0-1\n"), "bytes=0-1");
  EXPECT_EQ(range("Range: bytes=0-1\n", Method::head), "");
  EXPECT_EQ(range("Range: bytes=0-1\n", Method::options), "");
  EXPECT_EQ(range("Range: bytes=0-1\nRange: bytes=0-1\n"), "");
  EXPECT_EQ(range("If-Range: \"v2\"\n"), "");
}

TEST(IfRange, HoldsForTheCurrentStrongTag) {
  EXPECT_EQ(range("Range: bytes=1-\nIf-Range: \"v2\"\n"), "bytes=1-");
  for (const auto* tag : {"\"v1\"", "W/\"v2\"", "\"v2\", \"v1\"", "\"v2\"x", "*", "v2", ""}) {
    EXPECT_EQ(range(std::string("Range: bytes=1-\nIf-Range: ") + tag + "\n"), "") << tag;
  }
  EXPECT_EQ(range("Range: bytes=1-\nIf-Range: \"v2\"\nIf-Range: \"v2\"\n"), "");
}

TEST(IfRange, HoldsForExactlyTheDateOfTheFile) {
  const auto with_date = [](std::int64_t time) {
    return range("Range: bytes=1-\n" + date_field("If-Range", time));
  };
  EXPECT_EQ(with_date(kModified - 1), "");
  EXPECT_EQ(with_date(kModified), "bytes=1-");
  EXPECT_EQ(with_date(kModified + 1), "");
  EXPECT_EQ(range("Range: bytes=1-\nIf-Range: Thu Jan  1 00:00:00 2026\n"), "bytes=1-");
}

TEST(IfRange, ADateIsWeakWithinItsOwnSecond) {
  const auto at = [](std::int64_t now) {
    return range("Range: bytes=1-\n" + date_field("If-Range", kModified), Method::get, kCurrent,
                 now);
  };
  EXPECT_EQ(at(kModified), "");
  EXPECT_EQ(at(kModified + 1), "bytes=1-");
}

}  // namespace
}  // namespace tallygate::http
