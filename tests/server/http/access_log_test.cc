#include "server/http/access_log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/json/parse.hpp>
#include <csignal>
#include <map>
#include <sstream>
#include <thread>
#include <tuple>

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

std::string line_of(const AccessRecord& record) {
  std::string line;
  append_json_line(line, record);
  return line + '\n';
}

AccessRecord numbered(unsigned status) {
  AccessRecord r = sample();
  r.status = status;
  return r;
}

Result<std::unique_ptr<AccessLog>, std::string> open_at(
    const std::string& where, config::LogFormat format = config::LogFormat::json,
    const AccessLog::Sockets& sockets = {}) {
  config::Settings::Log settings;
  settings.access = where;
  settings.format = format;
  return AccessLog::open(settings, sockets);
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

// -- the sink -----------------------------------------------------------------------------------

TEST(AccessLog, AppendsToItsFileInOrder) {
  const TempDir dir;
  const auto file = dir.write("access.log", "before\n");
  {
    const auto log = open_at(file.string());
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

// The lines that a log has once it is closed.
std::vector<boost::json::object> lines_of(const std::filesystem::path& file) {
  std::vector<boost::json::object> lines;
  std::istringstream in(slurp(file));
  for (std::string line; std::getline(in, line);) lines.push_back(parsed(line + "\n"));
  return lines;
}

TEST(AccessLog, LeavesOutWhatAClientSendsForNothingAndSaysHowMuch) {  // L14
  const TempDir dir;
  const auto guesser = *link::IpAddress::parse("192.0.2.7");
  const auto neighbour = *link::IpAddress::parse("192.0.2.8");
  {
    const auto log = open_at((dir / "access.log").string());
    ASSERT_TRUE(log) << log.error();
    for (int i = 0; i < 100'000; ++i) (*log)->write_refused(numbered(403), guesser, 10);
    (*log)->write_refused(numbered(404), neighbour, 10);
    for (int i = 0; i < 20; ++i) (*log)->write(numbered(200));
    EXPECT_EQ((*log)->left_out(), 99'990u);
    EXPECT_EQ((*log)->dropped(), 0u);
  }
  std::map<std::int64_t, int> statuses;
  const auto lines = lines_of(dir / "access.log");
  ASSERT_EQ(lines.size(), 10u + 1 + 20 + 1);
  for (const auto& line : lines) {
    if (line.contains("status")) ++statuses[line.at("status").as_int64()];
  }
  EXPECT_EQ(statuses, (std::map<std::int64_t, int>{{200, 20}, {403, 10}, {404, 1}}));
  EXPECT_EQ(lines.back().at("lines_left_out"), 99'990);
  EXPECT_EQ(lines.back().at("client"), "192.0.2.7");
}

TEST(AccessLog, CountsAnIpv6ClientByIts64) {
  const TempDir dir;
  const auto log = open_at((dir / "access.log").string());
  ASSERT_TRUE(log) << log.error();
  (*log)->write_refused(numbered(403), *link::IpAddress::parse("2001:db8:1:2::1"), 1);
  (*log)->write_refused(numbered(403), *link::IpAddress::parse("2001:db8:1:2::2"), 1);
  (*log)->write_refused(numbered(403), *link::IpAddress::parse("2001:db8:1:3::1"), 1);
  EXPECT_EQ((*log)->left_out(), 1u);
}

TEST(AccessLog, WithoutABoundWritesAll) {
  const TempDir dir;
  {
    const auto log = open_at((dir / "access.log").string());
    ASSERT_TRUE(log) << log.error();
    for (int i = 0; i < 1000; ++i) {
      (*log)->write_refused(numbered(403), *link::IpAddress::parse("192.0.2.7"), 0);
    }
    EXPECT_EQ((*log)->left_out(), 0u);
  }
  EXPECT_EQ(lines_of(dir / "access.log").size(), 1000u);
}

TEST(AccessLog, ThatIsOffWritesNothing) {
  const auto log = open_at("off");
  ASSERT_TRUE(log);
  EXPECT_TRUE((*log)->is_off());
  (*log)->write(sample());
  EXPECT_EQ((*log)->dropped(), 0u);
}

TEST(AccessLog, ThatCannotBeOpenedSaysWhy) {
  const auto log = open_at("/nonexistent/access.log");
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error(),
            "log.access /nonexistent/access.log cannot be opened: No such file or directory");
}

TEST(AccessLog, DoesNotWaitForSomebodyToReadItsFifo) {
  const TempDir dir;
  ASSERT_EQ(::mkfifo((dir / "fifo").c_str(), 0600), 0);
  EXPECT_FALSE(open_at((dir / "fifo").string()));
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
    auto log = open_at("stdout");
    ::dup2(saved_stdout_, STDOUT_FILENO);
    return log;
  }
  // The next line; empty: there is no writer any more.
  std::string read_line() {
    for (;;) {
      if (const auto end = text_.find('\n', searched_); end != text_.npos) {
        std::string line = text_.substr(0, end + 1);
        text_.erase(0, end + 1);
        searched_ = 0;
        return line;
      }
      searched_ = text_.size();
      char buffer[65536];
      const ssize_t n = ::read(ends_[0], buffer, sizeof buffer);
      if (n <= 0) return {};
      text_.append(buffer, static_cast<std::size_t>(n));
    }
  }
  void close_reader() {
    ::close(ends_[0]);
    ends_[0] = -1;
  }

 private:
  std::string text_;  // read and not returned yet
  std::size_t searched_ = 0;
  int ends_[2] = {-1, -1};
  int saved_stdout_ = -1;
};

TEST(AccessLog, OnAPipeThatIsFullHoldsNobodyUpAndCountsWhatItDrops) {  // P11
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
  for (std::size_t i = 0; i < kLines; ++i) ASSERT_EQ(pipe.read_line(), line_of(sample()));
  EXPECT_EQ((*log)->dropped(), 0u);
}

TEST(AccessLog, WhoseReaderIsGoneGoesOn) {  // P11
  std::signal(SIGPIPE, SIG_IGN);            // as the server does
  FullPipe pipe;
  auto log = pipe.open_log();
  ASSERT_TRUE(log);
  pipe.close_reader();
  for (int i = 0; i < 100; ++i) (*log)->write(sample());
  log->reset();
}

// -- what is missing ----------------------------------------------------------------------------

// Writes lines until some are dropped; how many it wrote.
std::uint64_t overfill(AccessLog& log) {
  AccessRecord r = sample();
  const std::string agent(kLoggedValueBytesMax, '\x01');  // six bytes each
  r.user_agent = agent;
  std::uint64_t written = 0;
  while (log.dropped() < 10) {  // write() returns each time; else this never ends
    log.write(r);
    if (++written == 1'000'000) break;
  }
  return written;
}

// What a reader of all lines knows of those that were written.
struct Account {
  std::uint64_t lines = 0;
  std::uint64_t lost = 0;
  std::uint64_t notices = 0;  // that some are lost

  void add(const std::string& line) {
    const auto object = parsed(line);
    if (const auto* missing = object.if_contains("lines_lost")) {
      lost += static_cast<std::uint64_t>(missing->as_int64());
      ++notices;
    } else {
      EXPECT_EQ(object.at("status"), 206);
      ++lines;
    }
  }
  [[nodiscard]] std::uint64_t sum() const { return lines + lost; }
};

// Nothing is missing that nobody tells of, and few lines tell of many.
void expect_all(const Account& account, std::uint64_t written, const AccessLog& log) {
  EXPECT_EQ(account.sum(), written);
  EXPECT_EQ(account.lost, log.dropped());
  EXPECT_GE(account.notices, 1u);
  EXPECT_LE(account.notices, 2u);
}

TEST(AccessLog, SaysHowManyLinesAreMissingWhenThePipeIsReadAgain) {
  FullPipe pipe;
  auto log = pipe.open_log();
  ASSERT_TRUE(log);
  const auto written = overfill(**log);
  Account account;
  while (account.sum() < written) account.add(pipe.read_line());
  expect_all(account, written, **log);
  (*log)->write(numbered(299));
  EXPECT_EQ(parsed(pipe.read_line()).at("status"), 299);
}

// -- a file that is renamed ---------------------------------------------------------------------

TEST(AccessLog, GoesOnInANewFileAndLosesNoLineWhenItIsRotated) {
  const TempDir dir;
  const auto file = dir / "access.log";
  constexpr unsigned kLines = 4000;
  constexpr unsigned kRotations = 8;
  {
    const auto log = open_at(file.string());
    ASSERT_TRUE(log) << log.error();
    std::thread writer([&] {
      for (unsigned i = 0; i < kLines; ++i) (*log)->write(numbered(1000 + i));
    });
    for (unsigned i = 0; i < kRotations; ++i) {
      std::filesystem::rename(file, dir / ("access.log." + std::to_string(i)));
      EXPECT_TRUE((*log)->reopen());
    }
    writer.join();
  }
  std::string all;
  for (unsigned i = 0; i < kRotations; ++i) all += slurp(dir / ("access.log." + std::to_string(i)));
  all += slurp(file);
  std::istringstream lines(all);
  std::string line;
  for (unsigned i = 0; i < kLines; ++i) {
    ASSERT_TRUE(std::getline(lines, line)) << i;
    ASSERT_EQ(parsed(line + "\n").at("status"), 1000 + i);
  }
  EXPECT_FALSE(std::getline(lines, line));
}

TEST(AccessLog, ThatCannotBeReopenedSaysWhyAndKeepsTheOldFile) {
  const TempDir dir;
  std::filesystem::create_directory(dir / "logs");
  const auto file = dir / "logs" / "access.log";
  {
    const auto log = open_at(file.string());
    ASSERT_TRUE(log);
    std::filesystem::rename(dir / "logs", dir / "old");
    const auto reopened = (*log)->reopen();
    ASSERT_FALSE(reopened);
    EXPECT_EQ(reopened.error(),
              "log.access " + file.string() + " cannot be opened: No such file or directory");
    (*log)->write(numbered(200));
  }
  EXPECT_EQ(parsed(slurp(dir / "old" / "access.log")).at("status"), 200);
}

TEST(AccessLog, ThatIsNoFileHasNothingToReopen) {
  for (const char* where : {"off", "stdout", "syslog", "journald"}) {
    const auto log = open_at(where, config::LogFormat::json, {"/nonexistent", "/nonexistent"});
    ASSERT_TRUE(log) << where;
    EXPECT_TRUE((*log)->reopen()) << where;
  }
}

TEST(AccessLog, MakesAFileThatOthersCannotRead) {
  const TempDir dir;
  const auto log = open_at((dir / "access.log").string());
  ASSERT_TRUE(log);
  struct stat status {};
  ASSERT_EQ(::stat((dir / "access.log").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0137, 0u);
}

// -- a full disk --------------------------------------------------------------------------------

// As a full disk: files of this process may become no longer than the limit. Beyond it a write
// takes what fits, then fails.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &saved_);
    rlimit limit{bytes, saved_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { lift(); }
  void lift() { ::setrlimit(RLIMIT_FSIZE, &saved_); }

 private:
  rlimit saved_{};
};

TEST(AccessLog, OnAFullDiskHoldsNobodyUpAndLaterSaysWhatIsMissing) {
  const TempDir dir;
  const auto file = dir / "access.log";
  FileSizeLimit full(1000);  // in the midst of a line
  const auto log = open_at(file.string());
  ASSERT_TRUE(log);
  const auto written = overfill(**log);
  full.lift();
  // No line is torn, though the disk was full in the midst of one.
  Account account;
  std::ifstream lines;
  for (std::string line; account.sum() < written;) {
    if (!lines.is_open()) lines.open(file);
    const auto at = lines.tellg();
    if (std::getline(lines, line) && !lines.eof()) {
      account.add(line + "\n");
    } else {  // not there yet
      lines.clear();
      lines.seekg(at);
      std::this_thread::yield();
    }
  }
  expect_all(account, written, **log);
}

TEST(AccessLog, OnADiskThatStaysFullEndsAllTheSame) {
  const TempDir dir;
  const FileSizeLimit full(100);
  const auto log = open_at((dir / "access.log").string());
  ASSERT_TRUE(log);
  for (int i = 0; i < 100; ++i) (*log)->write(sample());
}

TEST(AccessLog, WritesALineThatAFullDiskCutOnceMoreIntoANewFile) {
  const TempDir dir;
  const auto file = dir / "access.log";
  FileSizeLimit full(100);
  {
    const auto log = open_at(file.string());
    ASSERT_TRUE(log);
    (*log)->write(numbered(200));
    while (std::filesystem::file_size(file) < 100) std::this_thread::yield();
    std::filesystem::rename(file, dir / "full.log");
    full.lift();
    // Now the old one would take the rest of the line, or the new one takes all of it.
    ASSERT_TRUE((*log)->reopen());
  }
  const auto old = slurp(dir / "full.log");
  EXPECT_EQ(old.ends_with("}\n") ? old : slurp(file), line_of(numbered(200)));
}

// -- syslog and journald ------------------------------------------------------------------------

// A daemon's socket of datagrams.
class LogSocket {
 public:
  explicit LogSocket(std::filesystem::path path) : path_(std::move(path)) {
    fd_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.string().copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const timeval patience{60, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  ~LogSocket() {
    ::close(fd_);
    std::filesystem::remove(path_);
  }
  std::string receive() {
    std::string datagram(1 << 20, 0);
    const ssize_t n = ::recv(fd_, datagram.data(), datagram.size(), 0);
    datagram.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return datagram;
  }

 private:
  const std::filesystem::path path_;
  int fd_ = -1;
};

TEST(AccessLog, SendsToSyslogAsTheCLibraryDoes) {
  const TempDir dir;
  LogSocket syslog(dir / "log");
  const auto log = open_at("syslog", config::LogFormat::json, {(dir / "log").string(), ""});
  ASSERT_TRUE(log);
  (*log)->write(sample());
  const std::string datagram = syslog.receive();
  const auto line = line_of(sample());
  EXPECT_THAT(datagram,
              testing::MatchesRegex("<30>[A-Z][a-z][a-z] [ 0-9][0-9] [0-9][0-9]:[0-9][0-9]"
                                    ":[0-9][0-9] tallygate.[0-9]+.: .*"));
  EXPECT_TRUE(datagram.ends_with(": " + line.substr(0, line.size() - 1))) << datagram;
}

TEST(AccessLog, SendsFieldsToTheJournal) {
  const TempDir dir;
  LogSocket journal(dir / "journal");
  const AccessLog::Sockets sockets{"", (dir / "journal").string()};
  for (const auto format : {config::LogFormat::json, config::LogFormat::combined}) {
    const auto log = open_at("journald", format, sockets);
    ASSERT_TRUE(log);
    (*log)->write(sample());
    std::string line;
    if (format == config::LogFormat::json) {
      append_json_line(line, sample());
    } else {
      append_combined_line(line, sample());
    }
    EXPECT_EQ(journal.receive(),
              "PRIORITY=6\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=tallygate\nTALLYGATE_STATUS=206\n"
              "TALLYGATE_BODY_BYTES=10\nTALLYGATE_BODY_LENGTH=100\nTALLYGATE_DURATION_US=1234\n"
              "TALLYGATE_LINK=i7\nTALLYGATE_CLIENT=192.0.2.7\nMESSAGE=" +
                  line + "\n");
  }
}

TEST(AccessLog, SendsTheLongestValuesToTheJournalInOneDatagram) {
  const TempDir dir;
  LogSocket journal(dir / "journal");
  const auto log = open_at("journald", config::LogFormat::json, {"", (dir / "journal").string()});
  ASSERT_TRUE(log);
  AccessRecord r = sample();
  const std::string worst(20'000, '\x01');  // six bytes each
  r.method = r.target = r.range = r.user_agent = r.referer = worst;
  (*log)->write(r);
  EXPECT_GT(journal.receive().size(), 5u * 6 * kLoggedValueBytesMax);
  EXPECT_EQ((*log)->dropped(), 0u);
}

TEST(AccessLog, WaitsForADaemonThatIsAwayAndLosesNothingThatFits) {
  for (const std::string where : {"syslog", "journald"}) {
    const TempDir dir;
    const auto log = open_at(where, config::LogFormat::json,
                             {(dir / "socket").string(), (dir / "socket").string()});
    ASSERT_TRUE(log) << "nobody there is no reason not to start";
    (*log)->write(numbered(201));
    {
      LogSocket daemon(dir / "socket");
      EXPECT_NE(daemon.receive().find("\"status\":201"), std::string::npos);
    }  // restarts
    (*log)->write(numbered(202));
    LogSocket daemon(dir / "socket");
    EXPECT_NE(daemon.receive().find("\"status\":202"), std::string::npos);
    EXPECT_EQ((*log)->dropped(), 0u);
  }
}

TEST(AccessLog, HoldsNobodyUpWhereADaemonReadsNothingAndLaterSaysWhatIsMissing) {
  for (const std::string where : {"syslog", "journald"}) {
    const TempDir dir;
    LogSocket daemon(dir / "socket");
    const auto log = open_at(where, config::LogFormat::json,
                             {(dir / "socket").string(), (dir / "socket").string()});
    ASSERT_TRUE(log);
    const auto written = overfill(**log);
    Account account;
    while (account.sum() < written) {
      const std::string datagram = daemon.receive();
      ASSERT_FALSE(datagram.empty());
      account.add(datagram.substr(datagram.find('{')) + (datagram.ends_with('\n') ? "" : "\n"));
    }
    expect_all(account, written, **log);
    (*log)->write(numbered(299));
    EXPECT_NE(daemon.receive().find("\"status\":299"), std::string::npos);
  }
}

TEST(AccessLog, EndsThoughItsDaemonIsGone) {
  const TempDir dir;
  for (const char* where : {"syslog", "journald"}) {
    const auto log =
        open_at(where, config::LogFormat::json, {(dir / "none").string(), (dir / "none").string()});
    ASSERT_TRUE(log);
    for (int i = 0; i < 100; ++i) (*log)->write(sample());
  }
}

}  // namespace
}  // namespace tallygate::http
