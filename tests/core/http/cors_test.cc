#include "core/http/cors.h"

#include <gtest/gtest.h>

namespace tallygate::http {
namespace {

TEST(Cors, WithoutOriginsNothingIsSaid) {
  const CorsPolicy policy;
  EXPECT_EQ(policy.grant("https://shop.example").allow_origin, "");
  EXPECT_FALSE(policy.grant("https://shop.example").vary);
}

TEST(Cors, AListedOriginIsNamedAndCachesAreTold) {
  const CorsPolicy policy({"https://shop.example", "https://www.shop.example:8443"});
  const auto grant = policy.grant("https://www.shop.example:8443");
  EXPECT_EQ(grant.allow_origin, "https://www.shop.example:8443");
  EXPECT_TRUE(grant.vary);
}

TEST(Cors, AnyOtherOriginGetsNoGrantButCachesAreToldToo) {
  const CorsPolicy policy({"https://shop.example"});
  for (const auto* origin :
       {"https://evil.example", "http://shop.example", "https://shop.example:443",
        "https://shop.example.evil.example", "HTTPS://shop.example", "null", "", "*"}) {
    EXPECT_EQ(policy.grant(origin).allow_origin, "") << origin;
    EXPECT_TRUE(policy.grant(origin).vary);
  }
  EXPECT_EQ(policy.grant(std::nullopt).allow_origin, "");
  EXPECT_TRUE(policy.grant(std::nullopt).vary);
}

TEST(Cors, AStarIsForEveryoneAndVariesNot) {
  const CorsPolicy policy({"https://shop.example", "*"});
  for (const auto origin :
       {std::optional<std::string_view>("https://x.example"), std::optional<std::string_view>()}) {
    EXPECT_EQ(policy.grant(origin).allow_origin, "*");
    EXPECT_FALSE(policy.grant(origin).vary);
  }
}

}  // namespace
}  // namespace tallygate::http
