#include "core/http/problem.h"

#include <gmock/gmock.h>

#include <boost/json.hpp>
#include <set>
#include <string>

namespace tallygate::http {
namespace {

using testing::HasSubstr;
using testing::Not;

template <class Visit>
void for_each_problem(Visit visit) {
  for (std::size_t i = 0; i < kProblems; ++i) visit(static_cast<Problem>(i));
}

TEST(Problem, HasTheStatusesAndNamesThatAreOurInterface) {
  struct Row {
    Problem problem;
    unsigned status;
    std::string_view name;
  };
  for (const auto& [problem, status, name] : {
           Row{Problem::link_invalid, 403, "link-invalid"},
           Row{Problem::link_not_yet_valid, 403, "link-not-yet-valid"},
           Row{Problem::link_expired, 410, "link-expired"},
           Row{Problem::link_revoked, 403, "link-revoked"},
           Row{Problem::downloads_exhausted, 403, "downloads-exhausted"},
           Row{Problem::traffic_exhausted, 403, "traffic-exhausted"},
           Row{Problem::downloads_in_progress, 429, "downloads-in-progress"},
           Row{Problem::file_missing, 404, "file-missing"},
           Row{Problem::temporarily_unavailable, 503, "temporarily-unavailable"},
           Row{Problem::bad_request, 400, "http-400"},
           Row{Problem::method_not_allowed, 405, "http-405"},
           Row{Problem::request_timeout, 408, "http-408"},
           Row{Problem::precondition_failed, 412, "http-412"},
           Row{Problem::content_too_large, 413, "http-413"},
           Row{Problem::uri_too_long, 414, "http-414"},
           Row{Problem::range_not_satisfiable, 416, "http-416"},
           Row{Problem::expectation_failed, 417, "http-417"},
           Row{Problem::header_fields_too_large, 431, "http-431"},
           Row{Problem::internal_error, 500, "http-500"},
           Row{Problem::version_not_supported, 505, "http-505"},
       }) {
    EXPECT_EQ(code(describe(problem).status), status);
    EXPECT_EQ(describe(problem).name, name);
    const bool comes_back = status == 429 || status == 503;
    EXPECT_EQ(describe(problem).retry_after_seconds.has_value(), comes_back) << name;
  }
}

TEST(Problem, TellsEachCaseInItsOwnWords) {
  std::set<std::string_view> names;
  std::set<std::string_view> details;
  for_each_problem([&](Problem problem) {
    const auto& text = describe(problem);
    EXPECT_FALSE(text.title.empty());
    EXPECT_TRUE(text.detail.ends_with('.')) << text.name;
    names.insert(text.name);
    details.insert(text.detail);
  });
  EXPECT_EQ(names.size(), kProblems);
  EXPECT_EQ(details.size(), kProblems);
}

TEST(Problem, HttpsOwnAreFoundByStatus) {
  EXPECT_EQ(http_problem(Status::bad_request), Problem::bad_request);
  EXPECT_EQ(http_problem(Status::uri_too_long), Problem::uri_too_long);
  EXPECT_EQ(http_problem(Status::version_not_supported), Problem::version_not_supported);
  // 403 belongs to links: there is no http-403.
  EXPECT_EQ(http_problem(Status::forbidden), Problem::internal_error);
}

TEST(ProblemJson, IsWhatRfc9457Describes) {
  for_each_problem([](Problem problem) {
    const auto& text = describe(problem);
    const auto json = boost::json::parse(problem_json(problem)).as_object();
    EXPECT_EQ(json.size(), 4u);
    EXPECT_EQ(json.at("type").as_string(), "urn:tallygate:" + std::string(text.name));
    EXPECT_EQ(json.at("status").as_int64(), code(text.status));
    EXPECT_EQ(json.at("title").as_string(), text.title);
    EXPECT_EQ(json.at("detail").as_string(), text.detail);
  });
}

TEST(ProblemPage, SaysWhatHappenedAndWhatToDo) {
  for_each_problem([](Problem problem) {
    const auto page = problem_page(problem, "https://shop.example/contact");
    EXPECT_THAT(page, HasSubstr("<h1>" + std::string(describe(problem).title) + "</h1>"));
    EXPECT_THAT(page, HasSubstr(std::string(describe(problem).detail)));
    EXPECT_THAT(page, HasSubstr("<a href=\"https://shop.example/contact\">"));
    EXPECT_THAT(page, HasSubstr("<html lang=\"en\">"));
  });
}

TEST(ProblemPage, FetchesNothingAndRunsNothing) {
  const auto page = problem_page(Problem::link_expired, "");
  for (const auto* fetch : {"src=", "<link", "<script", "url(", "@import", "http://", "https://"}) {
    EXPECT_THAT(page, Not(HasSubstr(fetch)));
  }
  EXPECT_THAT(page, HasSubstr("color-scheme: light dark"));
}

TEST(ProblemPage, LinksOnlyToWebAndMail) {
  for (const auto* url :
       {"https://shop.example/", "HTTP://shop.example", "mailto:help@shop.example"}) {
    EXPECT_THAT(problem_page(Problem::link_expired, url), HasSubstr("<a href=")) << url;
  }
  for (const auto* url : {"", "https://", "javascript:alert(1)", "data:text/html,x", "shop.example",
                          "//shop.example", " https://shop.example", "https://x\ny", "ftp://x"}) {
    EXPECT_THAT(problem_page(Problem::link_expired, url), Not(HasSubstr("<a "))) << url;
  }
}

TEST(ProblemPage, EscapesTheContactUrl) {
  EXPECT_THAT(problem_page(Problem::link_expired, "https://x/?a=1&b='\"><script>"),
              HasSubstr("href=\"https://x/?a=1&amp;b=&#39;&quot;&gt;&lt;script&gt;\""));
}

}  // namespace
}  // namespace tallygate::http
