#include "server/admin/routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

namespace tallygate::admin {
namespace {

using testing::ElementsAre;

TEST(FindRoute, FillsInTheId) {
  const Match link = find_route(routes(), Verb::get, "/v1/links/1001-7");
  ASSERT_NE(link.route, nullptr);
  EXPECT_EQ(link.route->pattern, "/v1/links/{id}");
  EXPECT_EQ(link.parameter, "1001-7");
  const Match history = find_route(routes(), Verb::head, "/v1/links/a:b/history");
  ASSERT_NE(history.route, nullptr);
  EXPECT_EQ(history.route->pattern, "/v1/links/{id}/history");
  EXPECT_EQ(history.parameter, "a:b");
}

TEST(FindRoute, AnIdIsOneSegment) {
  for (const auto* path : {"/v1/links/", "/v1/links", "/v1/links/a/b", "/v1/links//history",
                           "/v1/links/a/history/", "", "/nothing"}) {
    const Match found = find_route(routes(), Verb::get, path);
    EXPECT_EQ(found.route, nullptr) << path;
    EXPECT_TRUE(found.others.empty()) << path;
  }
}

TEST(FindRoute, TellsTheMethodsThatThereAre) {
  EXPECT_THAT(find_route(routes(), Verb::delete_, "/v1/links/a").others,
              ElementsAre(Verb::get, Verb::post));
  EXPECT_THAT(find_route(routes(), Verb::get, "/v1/reload").others, ElementsAre(Verb::post));
}

TEST(QueryValue, FindsTheNameAndNothingElse) {
  EXPECT_EQ(query_value("limit=5&link=a", "link"), "a");
  EXPECT_EQ(query_value("limits=5&limit=6", "limit"), "6");
  EXPECT_EQ(query_value("limit", "limit"), "");
  EXPECT_EQ(query_value("", "limit"), "");
}

// What needs no login is this and no more.
TEST(Routes, AreClosedUnlessListedHere) {
  std::set<std::string> open;
  for (const Route& route : routes()) {
    if (route.login == Login::not_needed) {
      open.insert(std::string(boost::beast::http::to_string(route.method)) + " " +
                  std::string(route.pattern));
    }
  }
  EXPECT_EQ(open, (std::set<std::string>{"GET /login", "POST /login", "GET /page.js",
                                         "GET /page.css", "GET /modules/{id}", "GET /readyz"}));
}

TEST(Routes, AreDescribedInOpenApi) {
  std::ifstream file(TALLYGATE_OPENAPI);
  std::stringstream text;
  text << file.rdbuf();
  const boost::json::object document = boost::json::parse(text.str()).as_object();
  std::set<std::string> described;
  for (const auto& [path, item] : document.at("paths").as_object()) {
    for (const auto& [method, operation] : item.as_object()) {
      if (method == "parameters") continue;
      std::string name = std::string(method) + " " + std::string(path);
      const auto* security = operation.as_object().if_contains("security");
      if (security != nullptr && security->as_array().empty()) name += " open";
      described.insert(std::move(name));
    }
  }
  std::set<std::string> served;
  for (const Route& route : routes()) {
    const bool is_get = route.method == Verb::get;
    std::string name = (is_get ? "get " : "post ") + std::string(route.pattern);
    if (route.login == Login::not_needed) name += " open";
    served.insert(std::move(name));
  }
  EXPECT_EQ(described, served);
}

}  // namespace
}  // namespace tallygate::admin
