#include "server/admin/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace tallygate::admin {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kToken = "a-token-of-the-operator";
const Sessions::Time kNow{1000h};

Asking get(std::string_view host = "127.0.0.1:8081") {
  Asking asking;
  asking.host = host;
  return asking;
}

Asking post(std::string_view origin = {}) {
  Asking asking = get();
  asking.changes = true;
  asking.origin = origin;
  return asking;
}

// -- who sends it

TEST(CheckSender, TakesNamesThatNobodyElseCanPointHere) {
  for (const auto* host : {"127.0.0.1", "127.0.0.1:8081", "127.0.0.53:1", "localhost",
                           "LOCALHOST:8081", "[::1]", "[::1]:8081"}) {
    EXPECT_EQ(check_sender(get(host)), std::nullopt) << host;
  }
  for (const auto* host :
       {"", "attacker.example", "attacker.example:8081", "127.0.0.1.attacker.example",
        "localhost.attacker.example", "192.0.2.1:8081", "[2001:db8::1]:8081", "0.0.0.0:8081",
        "127.0.0.1:80a", "localhost:8081:1"}) {
    EXPECT_EQ(check_sender(get(host)), Refusal::wrong_host) << host;
  }
}

TEST(CheckSender, AChangeComesFromOurOwnPageOrFromNoPage) {
  EXPECT_EQ(check_sender(post()), std::nullopt);
  EXPECT_EQ(check_sender(post("http://127.0.0.1:8081")), std::nullopt);
  EXPECT_EQ(check_sender(post("https://127.0.0.1:8081")), std::nullopt);
  for (const auto* origin : {"null", "http://attacker.example", "http://127.0.0.1:8080",
                             "http://127.0.0.1", "http://localhost:8081", "file://127.0.0.1:8081",
                             "http://127.0.0.1:8081.attacker.example", "://127.0.0.1:8081"}) {
    EXPECT_EQ(check_sender(post(origin)), Refusal::wrong_origin) << origin;
  }
  // Reading changes nothing, and what it says the other page cannot see.
  Asking reading = get();
  reading.origin = "http://attacker.example";
  EXPECT_EQ(check_sender(reading), std::nullopt);
}

// -- the token

TEST(Decide, TheTokenIsEnoughForEverything) {
  Sessions sessions;
  for (const auto* field : {"Bearer a-token-of-the-operator", "bearer  a-token-of-the-operator"}) {
    Asking asking = post();
    asking.authorization = field;
    const Decision decision = decide(asking, sessions, kToken, kNow);
    EXPECT_EQ(decision.refusal, std::nullopt) << field;
    EXPECT_EQ(decision.access.by, By::token);
  }
}

TEST(Decide, AnyOtherTokenIsRefused) {
  Sessions sessions;
  for (const auto* field : {"Bearer a-token-of-the-operato", "Bearer a-token-of-the-operator2",
                            "Bearer ", "Bearer A-TOKEN-OF-THE-OPERATOR"}) {
    Asking asking = get();
    asking.authorization = field;
    EXPECT_EQ(decide(asking, sessions, kToken, kNow).refusal, Refusal::wrong_token) << field;
  }
  Asking other = get();
  other.authorization = "Basic a-token-of-the-operator";
  EXPECT_EQ(decide(other, sessions, kToken, kNow).refusal, Refusal::no_login);
  EXPECT_EQ(decide(get(), sessions, kToken, kNow).refusal, Refusal::no_login);
}

TEST(Decide, WithoutATokenNobodyHasIt) {
  Sessions sessions;
  Asking asking = get();
  asking.authorization = "Bearer ";
  EXPECT_EQ(decide(asking, sessions, "", kNow).refusal, Refusal::wrong_token);
}

TEST(Decide, LooksAtTheSenderFirst) {
  Sessions sessions;
  Asking asking = get("attacker.example");
  asking.authorization = "Bearer a-token-of-the-operator";
  EXPECT_EQ(decide(asking, sessions, kToken, kNow).refusal, Refusal::wrong_host);
}

// -- sessions

class DecideBySession : public testing::Test {
 protected:
  Asking with_cookie(Asking asking) {
    cookie_ = "theme=dark; tallygate_session=" + session_->id + "; x=y";
    asking.cookie = cookie_;
    return asking;
  }

  Sessions sessions_;
  const Session* session_ = sessions_.begin(kToken, kNow);
  std::string cookie_;
};

TEST_F(DecideBySession, ACookieIsEnoughToRead) {
  const Decision decision = decide(with_cookie(get()), sessions_, kToken, kNow);
  EXPECT_EQ(decision.refusal, std::nullopt);
  EXPECT_EQ(decision.access.by, By::cookie);
  ASSERT_NE(decision.access.session, nullptr);
  EXPECT_EQ(decision.access.session->csrf, session_->csrf);
}

TEST_F(DecideBySession, AChangeNeedsTheSecretThatOtherPagesCannotRead) {
  EXPECT_EQ(decide(with_cookie(post()), sessions_, kToken, kNow).refusal, Refusal::wrong_csrf);
  Asking guessed = with_cookie(post());
  guessed.csrf = session_->id;
  EXPECT_EQ(decide(guessed, sessions_, kToken, kNow).refusal, Refusal::wrong_csrf);
  Asking own = with_cookie(post());
  own.csrf = session_->csrf;
  EXPECT_EQ(decide(own, sessions_, kToken, kNow).refusal, std::nullopt);
}

TEST_F(DecideBySession, EndsWithItsTimeWithTheTokenAndWhenItIsAsked) {
  const auto refused = [&](std::string_view token, Sessions::Time now) {
    return decide(with_cookie(get()), sessions_, token, now).refusal;
  };
  const std::string id = session_->id;
  EXPECT_EQ(refused(kToken, kNow + Sessions::kLifetime - 1s), std::nullopt);
  sessions_.end("another");
  EXPECT_EQ(refused(kToken, kNow), std::nullopt);
  const Sessions before = sessions_;
  sessions_.end(id);
  EXPECT_EQ(sessions_.find(id, kToken, kNow), nullptr);
  sessions_ = before;
  EXPECT_EQ(sessions_.find(id, kToken, kNow + Sessions::kLifetime), nullptr);
  sessions_ = before;
  EXPECT_EQ(sessions_.find(id, "another-token-than-before", kNow), nullptr);
}

TEST(Sessions, AreAllDifferentAndBounded) {
  Sessions sessions;
  const std::string first = sessions.begin(kToken, kNow)->id;
  std::string last;
  for (std::size_t i = 0; i < Sessions::kSessionsMax; ++i) {
    const Session* session = sessions.begin(kToken, kNow);
    ASSERT_EQ(session->id.size(), 32u);
    ASSERT_EQ(session->csrf.size(), 32u);
    ASSERT_NE(session->id, session->csrf);
    ASSERT_NE(session->id, last);
    last = session->id;
  }
  EXPECT_EQ(sessions.find(first, kToken, kNow), nullptr);  // the oldest went
  EXPECT_NE(sessions.find(last, kToken, kNow), nullptr);
  EXPECT_EQ(sessions.find("", kToken, kNow), nullptr);
}

// -- fields

TEST(CookieValue, FindsTheNameAndNothingElse) {
  EXPECT_EQ(cookie_value("a=1; b=2; c=3", "b"), "2");
  EXPECT_EQ(cookie_value("a=1;b=2", "b"), "2");
  EXPECT_EQ(cookie_value("ab=1; b=2=3", "b"), "2=3");
  EXPECT_EQ(cookie_value("a=b", "b"), "");
  EXPECT_EQ(cookie_value("bb=1", "b"), "");
  EXPECT_EQ(cookie_value("", "b"), "");
  EXPECT_EQ(cookie_value(";;;b", "b"), "");
}

TEST(FormValue, DecodesOrFindsNothing) {
  EXPECT_EQ(form_value("token=a%2Bb+c%3d", "token"), "a+b c=");
  EXPECT_EQ(form_value("x=1&token=2&token=3", "token"), "2");
  EXPECT_EQ(form_value("tokens=1&token", "token"), "");
  EXPECT_EQ(form_value("token=%2", "token"), "");
  EXPECT_EQ(form_value("token=%zz", "token"), "");
  EXPECT_EQ(form_value("token=%", "token"), "");
  EXPECT_EQ(form_value("token=a%41", "token"), "aA");
}

}  // namespace
}  // namespace tallygate::admin
