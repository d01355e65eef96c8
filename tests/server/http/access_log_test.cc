#include "server/http/access_log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json/parse.hpp>
#include <csignal>
#include <sstream>

#include "tests/support/temp_dir.h"

namespace tallygate::http {
namespace {

AccessRecord sample() {
  AccessRecord r;
  r.unix_ms = 1'767'225'600'042;
  r.client = "192.0.2.7";
  r.method = "GET";
  r.target =
      "/a.flac?tg=1.kk1.i7.s0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
  r.status = 206;
  r.body_bytes = 10;
  r.body_length = 100;
  r.duration_us = 1234;
  r.range = "bytes=0-99";
  r.link_id = "i7";
  return r;
}

boost::json::object parsed(const std::string& line) {
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1) << line;
  EXPECT_TRUE(line.ends_with("}\n")) << line;
  boost::json::error_code ec;
  const auto value = boost::json::parse(line, ec);
  EXPECT_FALSE(ec) << ec.message() << ": " << line;
  return ec ? boost::json::object() : value.as_object();
}

std::string slurp(const std::filesystem::path& file) {
  std::ostringstream out;
  out << std::ifstream(file, std::ios::binary).rdbuf();
  return out.str();
}

// -- the line -----------------------------------------------------------------------------------

TEST(AccessLine, IsOneJsonObject) {
  EXPECT_EQ(format_json_line(sample()),
            R"({"time":"2026-01-01T00:00:00.042Z","client":"192.0.2.7","method":"GET",)"
            R"("target":"/a.flac?tg=***","protocol":"HTTP/1.1","status":206,"body_bytes":10,)"
            R"("body_length":100,"duration_us":1234,"range":"bytes=0-99","link":"i7"})"
            "\n");
}

TEST(AccessLine, WithEveryFieldKeepsEach) {
  AccessRecord r = sample();
  r.version = 10;
  r.reason = "expired";
  r.user_agent = "curl/8";
  r.referer = "https://shop.example/?tg=1.kk1.s00";
  r.key_id = "k1";
  r.data = "order 7";
  const auto line = parsed(format_json_line(r));
  EXPECT_EQ(line.at("protocol"), "HTTP/1.0");
  EXPECT_EQ(line.at("reason"), "expired");
  EXPECT_EQ(line.at("user_agent"), "curl/8");
  EXPECT_EQ(line.at("referer"), "https://shop.example/?tg=***");
  EXPECT_EQ(line.at("key"), "k1");
  EXPECT_EQ(line.at("data"), "order 7");
}

TEST(AccessLine, SurvivesEveryByteInEveryValue) {
  for (int value = 0; value < 256; ++value) {
    const std::string hostile = std::string("a") + static_cast<char>(value) + "b\"}\r\n{";
    AccessRecord r = sample();
    r.method = r.target = r.range = r.user_agent = r.referer = r.data = hostile;
    const auto line = parsed(format_json_line(r));
    EXPECT_EQ(line.size(), 14u) << value;
    if (value < 0x80) {
      EXPECT_EQ(line.at("user_agent").as_string(), hostile) << value;
    }
  }
}

TEST(AccessLine, ReplacesWhatIsNotUtf8AndEscapesWhatATerminalWouldObey) {
  const struct {
    std::string_view bytes;
    std::string_view json;
  } cases[] = {
      {"Größe \xe2\x82\xac \xf0\x9f\x8e\xb5", "Größe \xe2\x82\xac \xf0\x9f\x8e\xb5"},
      {"\x1b[31m\x7f", "\\u001b[31m\\u007f"},
      {"\xc2\x9b", "\\u009b"},  // a C1 control
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
    const std::string line = format_json_line(r);
    EXPECT_NE(line.find("\"user_agent\":\"" + std::string(c.json) + "\""), std::string::npos)
        << line;
    parsed(line);
  }
}

TEST(AccessLine, CutsALongValueAndNeverATokenOutOfItsMask) {
  AccessRecord r = sample();
  const std::string agent(10'000, 'x');
  r.user_agent = agent;
  // The mask comes before the cut: no part of a token is left at its end.
  const std::string target = "/" + std::string(2040, 'p') + "?tg=1.kk1.sdeadbeef";
  r.target = target;
  const std::string line = format_json_line(r);
  EXPECT_LT(line.size(), 5000u);
  EXPECT_EQ(line.find("dead"), std::string::npos);
  parsed(line);
}

TEST(AccessLine, ShowsAsMuchOfTheClientAsTheSettingsAllow) {
  using config::ClientIp;
  const auto v4 = link::IpAddress::v4({192, 0, 2, 77});
  const auto v6 = link::IpAddress::v6({0x20, 1, 0xd, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  EXPECT_EQ(shown_client(v4, ClientIp::full), "192.0.2.77");
  EXPECT_EQ(shown_client(v4, ClientIp::truncated), "192.0.2.0");
  EXPECT_EQ(shown_client(v4, ClientIp::none), "");
  EXPECT_EQ(shown_client(v6, ClientIp::full), "2001:db8:102:304:506:708:90a:b0c");
  EXPECT_EQ(shown_client(v6, ClientIp::truncated), "2001:db8:102::");
  EXPECT_EQ(shown_client(v6, ClientIp::none), "");
}

// -- the sink -----------------------------------------------------------------------------------

TEST(AccessLog, AppendsToItsFileInOrder) {
  const TempDir dir;
  const auto file = dir.write("access.log", "before\n");
  {
    const auto log = AccessLog::open(file.string());
    ASSERT_TRUE(log) << log.error();
    EXPECT_FALSE((*log)->is_off());
    for (unsigned i = 0; i < 1000; ++i) {
      AccessRecord r = sample();
      r.status = 1000 + i;
      (*log)->write(r);
    }
  }
  std::istringstream lines(slurp(file));
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "before");
  for (unsigned i = 0; i < 1000; ++i) {
    ASSERT_TRUE(std::getline(lines, line));
    EXPECT_EQ(parsed(line + "\n").at("status"), 1000 + i);
  }
  EXPECT_FALSE(std::getline(lines, line));
}

TEST(AccessLog, ThatIsOffWritesNothing) {
  const auto log = AccessLog::open("off");
  ASSERT_TRUE(log);
  EXPECT_TRUE((*log)->is_off());
  (*log)->write(sample());
  EXPECT_EQ((*log)->dropped(), 0u);
}

TEST(AccessLog, ThatCannotBeOpenedSaysWhy) {
  const auto log = AccessLog::open("/nonexistent/access.log");
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error(),
            "log.access /nonexistent/access.log cannot be opened: No such file or directory");
}

TEST(AccessLog, DoesNotWaitForSomebodyToReadItsFifo) {
  const TempDir dir;
  ASSERT_EQ(::mkfifo((dir / "fifo").c_str(), 0600), 0);
  EXPECT_FALSE(AccessLog::open((dir / "fifo").string()));
}

// A pipe that blocks, as standard output is, and that nobody reads.
class FullPipe {
 public:
  FullPipe() {
    EXPECT_EQ(::pipe2(ends_, O_CLOEXEC), 0);
    ::fcntl(ends_[1], F_SETPIPE_SZ, 4096);
    saved_stdout_ = ::dup(STDOUT_FILENO);
  }
  ~FullPipe() {
    for (const int fd : {ends_[0], ends_[1], saved_stdout_}) ::close(fd);
  }
  // Opens a log whose standard output is the pipe.
  Result<std::unique_ptr<AccessLog>, std::string> open_log() {
    std::fflush(stdout);
    ::dup2(ends_[1], STDOUT_FILENO);
    auto log = AccessLog::open("stdout");
    ::dup2(saved_stdout_, STDOUT_FILENO);
    return log;
  }
  // All that comes until `lines` lines are there.
  std::string read_lines(std::size_t lines) {
    std::string text;
    char buffer[4096];
    while (static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) < lines) {
      const ssize_t n = ::read(ends_[0], buffer, sizeof buffer);
      if (n <= 0) break;
      text.append(buffer, static_cast<std::size_t>(n));
    }
    return text;
  }
  void close_reader() {
    ::close(ends_[0]);
    ends_[0] = -1;
  }

 private:
  int ends_[2] = {-1, -1};
  int saved_stdout_ = -1;
};

TEST(AccessLog, OnAPipeThatIsFullHoldsNobodyUpAndCountsWhatItDrops) {
  FullPipe pipe;
  std::uint64_t written = 0;
  {
    auto log = pipe.open_log();
    ASSERT_TRUE(log) << log.error();
    while ((*log)->dropped() == 0) {  // returns each time; else the test never ends
      (*log)->write(sample());
      ++written;
      ASSERT_LT(written, 1'000'000u);
    }
    EXPECT_GT(written, 10'000u);
  }  // and ends, though nobody reads
}

TEST(AccessLog, OnASlowPipeWritesEveryLineWhole) {
  FullPipe pipe;
  auto log = pipe.open_log();
  ASSERT_TRUE(log);
  constexpr std::size_t kLines = 2000;
  for (std::size_t i = 0; i < kLines; ++i) (*log)->write(sample());
  std::istringstream lines(pipe.read_lines(kLines));
  std::string line;
  std::size_t count = 0;
  while (std::getline(lines, line)) {
    EXPECT_EQ(line + "\n", format_json_line(sample()));
    ++count;
  }
  EXPECT_EQ(count, kLines);
  EXPECT_EQ((*log)->dropped(), 0u);
}

TEST(AccessLog, WhoseReaderIsGoneGoesOn) {
  std::signal(SIGPIPE, SIG_IGN);  // as the server does
  FullPipe pipe;
  auto log = pipe.open_log();
  ASSERT_TRUE(log);
  pipe.close_reader();
  for (int i = 0; i < 100; ++i) (*log)->write(sample());
  log->reset();
}

}  // namespace
}  // namespace tallygate::http
