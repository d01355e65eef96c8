#include "core/http/accept.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/core/http/raw_head.h"

namespace tallygate::http {
namespace {

bool html_for(const std::string& accept) {
  RawHead head(get_with("Accept: " + accept + "\n"));
  return prefers_html(*head);
}

TEST(Accept, BrowsersGetAPage) {
  for (const auto* accept :
       {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/"
        "*;"
        "q=0.8,application/signed-exchange;v=b3;q=0.7",
        "text/html, application/xhtml+xml, */*", "text/html", "TEXT/HTML", "text/*",
        "text/html;level=1", "text/html;q=0.5, application/json;q=0.4",
        "text/html, image/gif, *; q=.2"}) {
    EXPECT_TRUE(html_for(accept)) << accept;
  }
}

TEST(Accept, ProgramsGetJson) {
  for (const auto* accept :
       {"*/*", "", "application/json", "application/problem+json", "application/*",
        "image/avif,*/*;q=0.8", "application/json, text/plain, */*",
        "application/problem+json, text/html", "text/html;q=0.4, application/json;q=0.5",
        "text/html;q=0", "text/html;q=0, */*;q=0", "text/html;q=0.000",
        "text/html;q=0.3, */*;q=0.4", "audio/*;q=0.9,*/*;q=0.5"}) {
    EXPECT_FALSE(html_for(accept)) << accept;
  }
  RawHead without(get_with(""));
  EXPECT_FALSE(prefers_html(*without));
}

TEST(Accept, TheMostSpecificRangeDecidesWhereverItStands) {
  EXPECT_FALSE(html_for("text/html;q=0.1, text/*;q=0.9, */*;q=0.5"));
  EXPECT_FALSE(html_for("*/*;q=0.5, text/*;q=0.9, text/html;q=0.1"));
  EXPECT_TRUE(html_for("text/*;q=0.6, */*;q=0.5"));
}

TEST(Accept, LinesAreOneList) {
  RawHead head(get_with("Accept: application/json;q=0.5\nAccept: text/html\n"));
  EXPECT_TRUE(prefers_html(*head));
}

TEST(Accept, AMalformedQualityAcceptsNothing) {
  for (const auto* quality :
       {"", "2", "1.001", "0.1234", ".5", "-1", "0,5", "01", "1.0.0", "x", "0.x"}) {
    EXPECT_FALSE(html_for(std::string("text/html;q=") + quality)) << quality;
  }
  for (const auto* quality : {"1", "1.", "1.0", "1.000", "0.001", "0.5"}) {
    EXPECT_TRUE(html_for(std::string("text/html ; Q=") + quality)) << quality;
  }
}

}  // namespace
}  // namespace tallygate::http
