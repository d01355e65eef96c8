#include "server/http/access_line.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <random>

#include "tests/support/seed.h"

namespace tallygate::http {
namespace {

constexpr std::string_view kMac =
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

AccessRecord sample() {
  static const std::string target = "/a.flac?tg=1.kk1.i7.s" + std::string(kMac);
  AccessRecord r;
  r.unix_ms = 1'767'225'600'042;
  r.client = "192.0.2.7";
  r.method = "GET";
  r.target = target;
  r.status = 206;
  r.body_bytes = 10;
  r.body_length = 100;
  r.duration_us = 1234;
  r.range = "bytes=0-99";
  r.link_id = "i7";
  return r;
}

std::string json_line(const AccessRecord& record) {
  std::string line;
  append_json_line(line, record);
  return line;
}

std::string combined_line(const AccessRecord& record) {
  std::string line;
  append_combined_line(line, record);
  return line;
}

boost::json::object parsed(const std::string& line) {
  boost::json::error_code ec;
  const auto value = boost::json::parse(line, ec);
  EXPECT_FALSE(ec) << ec.message() << ": " << line;
  return ec ? boost::json::object() : value.as_object();
}

// Every text that a client sends.
void set_all(AccessRecord& record, std::string_view text) {
  record.method = record.target = record.range = record.user_agent = record.referer = text;
}

// What a reader by lines, a terminal or a parser of JavaScript could stumble over.
bool is_harmless(std::string_view line) {
  for (const char c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  }
  for (const std::string_view bad :
       {"\xc2\x80", "\xc2\x85", "\xc2\x9b", "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xae",
        "\xe2\x81\xa6", "\xef\xbb\xbf"}) {
    if (line.find(bad) != line.npos) return false;
  }
  return true;
}

// The six parts of a combined line, as programs that read Apache's logs take them apart.
std::vector<std::string> parts(const std::string& line) {
  std::vector<std::string> found;
  std::string part;
  char closing = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (closing == 0 && c == ' ') {
      found.push_back(std::exchange(part, {}));
    } else if (closing == 0 && part.empty() && (c == '"' || c == '[')) {
      closing = c == '"' ? '"' : ']';
      part += c;
    } else if (closing != 0 && c == '\\') {
      part += line.substr(i++, 2);
    } else {
      if (c == closing) closing = 0;
      part += c;
    }
  }
  found.push_back(part);
  return found;
}

// -- JSON ---------------------------------------------------------------------------------------

TEST(JsonLine, IsOneObject) {
  EXPECT_EQ(json_line(sample()),
            R"({"time":"2026-01-01T00:00:00.042Z","client":"192.0.2.7","method":"GET",)"
            R"("target":"/a.flac?tg=***","protocol":"HTTP/1.1","status":206,"body_bytes":10,)"
            R"("body_length":100,"duration_us":1234,"range":"bytes=0-99","link":"i7"})");
}

TEST(JsonLine, WithEveryFieldKeepsEach) {
  AccessRecord r = sample();
  r.version = 10;
  r.reason = "expired";
  r.user_agent = "curl/8";
  r.referer = "https://shop.example/?tg=1.kk1.s00";
  r.key_id = "k1";
  r.data = "order 7";
  const auto line = parsed(json_line(r));
  EXPECT_EQ(line.at("protocol"), "HTTP/1.0");
  EXPECT_EQ(line.at("reason"), "expired");
  EXPECT_EQ(line.at("user_agent"), "curl/8");
  EXPECT_EQ(line.at("referer"), "https://shop.example/?tg=***");
  EXPECT_EQ(line.at("key"), "k1");
  EXPECT_EQ(line.at("data"), "order 7");
}

TEST(JsonLine, SurvivesEveryByteInEveryValue) {  // H13
  for (int value = 0; value < 256; ++value) {
    const std::string hostile = std::string("a") + static_cast<char>(value) + "b\"}\r\n{";
    AccessRecord r = sample();
    set_all(r, hostile);
    r.data = hostile;
    const auto written = json_line(r);
    EXPECT_TRUE(is_harmless(written)) << value;
    const auto line = parsed(written);
    EXPECT_EQ(line.size(), 14u) << value;
    if (value < 0x80) {
      EXPECT_EQ(line.at("user_agent").as_string(), hostile) << value;
    }
  }
}

TEST(JsonLine, ReplacesWhatIsNotUtf8AndEscapesWhatATerminalWouldObey) {
  const struct {
    std::string_view bytes;
    std::string_view json;
  } cases[] = {
      {"Größe \xe2\x82\xac \xf0\x9f\x8e\xb5", "Größe \xe2\x82\xac \xf0\x9f\x8e\xb5"},
      {"\x1b[31m\x7f", "\\u001b[31m\\u007f"},
      {"\xc2\x9b", "\\u009b"},  // a C1 control
      {"\xe2\x80\xa8\xe2\x80\xa9", "\\u2028\\u2029"},
      {"\xe2\x80\xae"
       "evil",
       "\\u202eevil"},                         // right-to-left override
      {"\xf3\xa0\x80\x81", "\\udb40\\udc01"},  // a tag, beyond 16 bits
      {"\xff\xfe", "\\ufffd\\ufffd"},
      {"\xc0\xaf", "\\ufffd\\ufffd"},             // overlong
      {"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"},  // a surrogate
      {"\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"},
      {"\xe2\x82", "\\ufffd\\ufffd"},  // cut short
      {"\xe2\x82g", "\\ufffd\\ufffdg"},
  };
  for (const auto& c : cases) {
    AccessRecord r = sample();
    r.user_agent = c.bytes;
    const std::string line = json_line(r);
    EXPECT_NE(line.find("\"user_agent\":\"" + std::string(c.json) + "\""), std::string::npos)
        << line;
    parsed(line);
  }
}

TEST(JsonLine, CutsALongValueAndNeverATokenOutOfItsMask) {
  AccessRecord r = sample();
  const std::string agent(10'000, 'x');
  r.user_agent = agent;
  // The mask comes before the cut: no part of a token is left at its end.
  const std::string target = "/" + std::string(2040, 'p') + "?tg=1.kk1.sdeadbeef";
  r.target = target;
  for (const std::string& line : {json_line(r), combined_line(r)}) {
    EXPECT_LT(line.size(), 5000u);
    EXPECT_EQ(line.find("dead"), std::string::npos);
  }
  parsed(json_line(r));
}

// -- combined -----------------------------------------------------------------------------------

TEST(CombinedLine, IsWhatApacheWrites) {
  AccessRecord r = sample();
  r.duration_us = 2'000'000;
  r.user_agent = "curl/8";
  r.referer = "https://shop.example/";
  EXPECT_EQ(combined_line(r),
            R"(192.0.2.7 - - [31/Dec/2025:23:59:58 +0000] "GET /a.flac?tg=*** HTTP/1.1" 206 10 )"
            R"("https://shop.example/" "curl/8")");
}

TEST(CombinedLine, HasADashForWhatIsNotThere) {
  AccessRecord r;
  r.unix_ms = 1'767'225'600'042;
  EXPECT_EQ(combined_line(r), R"(- - - [01/Jan/2026:00:00:00 +0000] "-" 000 - "-" "-")");
}

TEST(CombinedLine, EscapesAsApacheDoes) {
  const struct {
    std::string_view bytes;
    std::string_view written;
  } cases[] = {
      {R"(a"b\c)", R"(a\"b\\c)"},
      {"\b\n\r\t\v", R"(\b\n\r\t\v)"},
      {"\f\x1b[2J\x7f", R"(\x0c\x1b[2J\x7f)"},
      {"Größe", R"(Gr\xc3\xb6\xc3\x9fe)"},
      {"\xff\xe2\x80\xa8", R"(\xff\xe2\x80\xa8)"},
  };
  for (const auto& c : cases) {
    AccessRecord r = sample();
    r.user_agent = c.bytes;
    EXPECT_TRUE(combined_line(r).ends_with(" \"" + std::string(c.written) + "\""))
        << combined_line(r);
  }
  AccessRecord r = sample();
  r.user_agent = std::string_view("\0", 1);
  EXPECT_TRUE(combined_line(r).ends_with(R"( "\x00")"));
}

TEST(CombinedLine, SurvivesEveryByteInEveryValue) {  // H13
  for (int value = 0; value < 256; ++value) {
    const std::string hostile = std::string("a") + static_cast<char>(value) + "b\" 200 1 \"\\";
    AccessRecord r = sample();
    set_all(r, hostile);
    const std::string line = combined_line(r);
    EXPECT_TRUE(is_harmless(line)) << line;
    EXPECT_EQ(parts(line).size(), 9u) << line;
    EXPECT_TRUE(std::ranges::all_of(line, [](char c) { return c >= 0x20 && c <= 0x7e; })) << line;
  }
}

// -- whatever is sent ---------------------------------------------------------------------------

TEST(AccessLine, IsOneHarmlessLineWhateverIsSent) {  // H13
  const auto seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  const std::string_view pieces[] = {"\n",
                                     "\r\n",
                                     "\x1b]0;x\x07",
                                     "\"",
                                     "\\",
                                     "\xe2\x80\xa8",
                                     "\xe2\x80\xae",
                                     "\xc2\x9b",
                                     "\xff",
                                     "\xf0\x9f\x8e",
                                     "\\u0041",
                                     "\\x41",
                                     "tg=",
                                     "%74%67=",
                                     "?",
                                     "&",
                                     "/",
                                     "}",
                                     "\",\"status\":200",
                                     " 200 5 \"",
                                     "[",
                                     "]"};
  for (int round = 0; round < 1000; ++round) {
    std::string text;
    const std::size_t length = random() % 8 == 0 ? 5000 : random() % 60;
    while (text.size() < length) {
      if (random() % 2 == 0) {
        text += pieces[random() % std::size(pieces)];
      } else {
        text += static_cast<char>(random());
      }
    }
    AccessRecord r = sample();
    set_all(r, text);
    const std::string json = json_line(r);
    EXPECT_TRUE(is_harmless(json));
    EXPECT_EQ(parsed(json).at("status"), 206);
    const std::string combined = combined_line(r);
    EXPECT_TRUE(is_harmless(combined));
    const auto taken_apart = parts(combined);
    ASSERT_EQ(taken_apart.size(), 9u) << combined;
    EXPECT_EQ(taken_apart[5], "206");
  }
}

TEST(AccessLine, NeverHasATokenWhereverAClientPutsIt) {  // H13
  const std::string token = "1.kk1.e1767225600.i7.s" + std::string(kMac);
  const std::string sent[] = {"/a?tg=" + token,
                              "/tg=" + token + "/a",
                              "/a?x=1&TG=" + token,
                              "/a?%74g=" + token,
                              "/a?%2574%67%3d" + token,
                              "http://h/a?tg=" + token,
                              "/a?next=%2Fb%3Ftg%3D" + token,
                              "/a?token=" + token,
                              "/" + token,
                              "agent (" + token + ")",
                              "tg%3D" + token};
  for (const auto& text : sent) {
    AccessRecord r = sample();
    set_all(r, text);
    for (const std::string& line : {json_line(r), combined_line(r)}) {
      EXPECT_EQ(line.find(kMac.substr(0, 16)), line.npos) << line;
    }
  }
}

TEST(AccessLine, SaysHowManyAreMissing) {
  std::string json;
  append_json_loss(json, 1'767'225'600'042, 7);
  EXPECT_EQ(json, R"({"time":"2026-01-01T00:00:00.042Z","lines_lost":7})");
  std::string combined;
  append_combined_loss(combined, 1'767'225'600'042, 7);
  EXPECT_EQ(combined,
            R"(- - - [01/Jan/2026:00:00:00 +0000] "-" 000 - "-" "tallygate: 7 lines lost")");
  EXPECT_EQ(parts(combined).size(), 9u);
}

TEST(AccessLine, SaysHowManyOfAClientWereLeftOut) {
  std::string json;
  append_json_left_out(json, 1'767'225'600'042, "192.0.2.7", 7);
  EXPECT_EQ(json, R"({"time":"2026-01-01T00:00:00.042Z","client":"192.0.2.7","lines_left_out":7})");
  json.clear();
  append_json_left_out(json, 1'767'225'600'042, {}, 7);
  EXPECT_EQ(json, R"({"time":"2026-01-01T00:00:00.042Z","lines_left_out":7})");
  std::string combined;
  append_combined_left_out(combined, 1'767'225'600'042, "192.0.2.7", 7);
  EXPECT_EQ(
      combined,
      R"(192.0.2.7 - - [01/Jan/2026:00:00:00 +0000] "-" 000 - "-" "tallygate: 7 lines left out")");
  EXPECT_EQ(parts(combined).size(), 9u);
}

TEST(AccessLine, HasFieldsForTheJournal) {
  AccessRecord r = sample();
  r.reason = "expired";
  r.key_id = "k\n1";  // cannot be; would be harmless
  std::string fields;
  append_journal_fields(fields, r);
  EXPECT_EQ(fields,
            "TALLYGATE_STATUS=206\nTALLYGATE_BODY_BYTES=10\nTALLYGATE_BODY_LENGTH=100\n"
            "TALLYGATE_DURATION_US=1234\nTALLYGATE_LINK=i7\nTALLYGATE_KEY=k?1\n"
            "TALLYGATE_REASON=expired\nTALLYGATE_CLIENT=192.0.2.7\n");
}

TEST(AccessLine, ShowsAsMuchOfTheClientAsTheSettingsAllow) {
  using config::ClientIp;
  const auto v4 = link::IpAddress::v4({192, 0, 2, 77});
  const auto v6 = link::IpAddress::v6({0x20, 1, 0xd, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  EXPECT_EQ(shown_client(v4, ClientIp::full).view(), "192.0.2.77");
  EXPECT_EQ(shown_client(v4, ClientIp::truncated).view(), "192.0.2.0");
  EXPECT_EQ(shown_client(v4, ClientIp::none).view(), "");
  EXPECT_EQ(shown_client(v6, ClientIp::full).view(), "2001:db8:102:304:506:708:90a:b0c");
  EXPECT_EQ(shown_client(v6, ClientIp::truncated).view(), "2001:db8:102::");
  EXPECT_EQ(shown_client(v6, ClientIp::none).view(), "");
}

}  // namespace
}  // namespace tallygate::http
