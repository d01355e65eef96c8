// What does it cost the whole server that a link is counted?
//
// Small files over links that are used once each: nothing spreads a lease, its record and its
// settlement over more than one answer. The measure is the CPU time of the server's process for
// each request, with what is settled behind the answers. Counted links may take 15 % more than
// unlimited ones (`ratio` at 16 and 64 connections); beyond that, look at what each request hands
// to the journal and gets back. With one connection every request has an fdatasync of its own:
// `ratio` is then the price of durability that nobody shares, and decides nothing.
//
// Rounds of both kinds take turns on one server, since a machine's mood changes; `ratio` is the
// median of neighbours. Only a release build's figures mean anything:
//
//   bench.server.ledger.request_cost --benchmark_filter=And --benchmark_min_time=3
//
// TALLYGATE names another binary, TALLYGATE_BENCH_DIR a folder on the disk that is to be measured
// (by default that of temporary files). The server has core 0, the client core 1.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "core/link/keyring_file.h"
#include "core/link/sign.h"
#include "server/net/descriptor.h"

namespace tallygate {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr std::uint32_t kCounted = 3;  // the limit of each link
constexpr std::uint32_t kUnlimited = 0;

constexpr std::size_t kFileBytes = 4096;
constexpr const char* kPath = "/samples/Größe XL.pdf";
constexpr const char* kKeyring = R"([[key]]
id = "k1"
secret = "hex:6a09e667f3bcc908b2fb1366ea957d3e3adec17512775099da2f590b0667322a"
use = "sign"
)";
// @ is the server's folder.
constexpr const char* kSettings = R"([server]
listen = ["127.0.0.1:0"]
threads = 1
drain_timeout = "1s"
[admin]
socket = "@/admin.sock"
[content]
root = "@/files"
[links]
keyring = "@/keyring.toml"
[ledger]
dir = "@/ledger"
[log]
access = "off"
)";

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what);
}

std::string environment(const char* name, const std::string& otherwise) {
  const char* const value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

// Of the calling process. Where there is no such core it stays where it was.
void pin_to_core(std::size_t core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  static_cast<void>(::sched_setaffinity(0, sizeof cores, &cores));
}

// -- the server ---------------------------------------------------------------------------------

// A tallygate with one worker, on core 0, in a folder of its own. It ends with us, however we end.
class Server {
 public:
  // Delegates, so that the destructor cleans up behind a start that fails.
  Server() : Server(make_folder()) {
    write("keyring.toml", kKeyring);
    fs::permissions(folder_ / "keyring.toml", fs::perms::owner_read);
    write(std::string("files") + kPath, std::string(kFileBytes, 'x'));
    std::string settings(kSettings);
    for (std::size_t at = 0; (at = settings.find('@', at)) != settings.npos;) {
      settings.replace(at, 1, folder_.string());
    }
    write("tallygate.toml", settings);
    start(environment("TALLYGATE", TALLYGATE_BINARY));
    wait_until_ready();
  }
  ~Server() {
    int status = 0;
    if (child_ > 0) {
      ::kill(child_, SIGTERM);
      ::waitpid(child_, &status, 0);
    }
    if (status != 0) std::fprintf(stderr, "the server's status at its end: %d\n", status);
    std::error_code ec;
    fs::remove_all(folder_, ec);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  // User and system time of all its threads.
  [[nodiscard]] std::chrono::nanoseconds cpu_time() const {
    ::clockid_t clock{};
    ::timespec time{};
    if (::clock_getcpuclockid(child_, &clock) != 0 || ::clock_gettime(clock, &time) != 0) {
      fail("no CPU time of the server");
    }
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  }

 private:
  explicit Server(fs::path folder) : folder_(std::move(folder)) {}

  static fs::path make_folder() {
    const fs::path parent = environment("TALLYGATE_BENCH_DIR", fs::temp_directory_path());
    std::string name = parent / "tallygate-bench-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) fail("cannot make a folder in " + parent.string());
    return name;
  }

  void write(const std::string& name, const std::string& text) const {
    const fs::path file = folder_ / name;
    fs::create_directories(file.parent_path());
    if (!(std::ofstream(file) << text).flush()) fail("cannot write " + file.string());
  }

  void start(const std::string& program) {
    const std::string settings = folder_ / "tallygate.toml";
    const Descriptor said(::open((folder_ / "said").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    child_ = ::fork();
    if (child_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin_to_core(0);
    ::dup2(said.get(), STDERR_FILENO);
    ::execl(program.c_str(), program.c_str(), "serve", "--config", settings.c_str(), nullptr);
    ::_exit(127);
  }

  void wait_until_ready() {
    constexpr std::string_view kReady = "serving on 127.0.0.1:";
    for (const auto begin = std::time(nullptr);; std::this_thread::sleep_for(2ms)) {
      ::siginfo_t ended{};
      ::waitid(P_PID, static_cast<::id_t>(child_), &ended, WEXITED | WNOHANG | WNOWAIT);
      std::ifstream in(folder_ / "said");
      const std::string said(std::istreambuf_iterator<char>(in), {});
      const auto at = said.find(kReady);
      if (at != said.npos && said.find('\n', at) != said.npos) {
        port_ = static_cast<std::uint16_t>(std::stoul(said.substr(at + kReady.size())));
        return;
      }
      if (ended.si_pid != 0 || std::time(nullptr) > begin + 20) fail("no server: " + said);
    }
  }

  const fs::path folder_;
  ::pid_t child_ = -1;
  std::uint16_t port_ = 0;
};

// -- the client ---------------------------------------------------------------------------------

// GET requests, each for a link that nobody has used before.
std::vector<std::string> fresh_requests(std::uint32_t limit, std::size_t count) {
  static const auto keyring = link::parse_keyring(kKeyring);
  static std::uint64_t links = 100'000'000;  // ids of one length
  const std::int64_t now = std::time(nullptr);
  link::LinkSpec spec;
  spec.path = kPath;
  spec.limit = limit;
  spec.expires_at = now + 7 * 86400;
  std::vector<std::string> requests(count);
  for (std::string& request : requests) {
    spec.id = std::to_string(++links) + "-1";
    const auto target = link::sign_url("", spec, *keyring, now);
    request = "GET " + *target + " HTTP/1.1\r\nHost: dl.shop.example\r\n";
    request += "User-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n";
  }
  return requests;
}

// Connections that are kept, each with one request outstanding.
class Client {
 public:
  Client(std::uint16_t port, std::size_t connections)
      : epoll_(::epoll_create1(EPOLL_CLOEXEC)), connections_(connections) {
    ::sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (Connection& connection : connections_) {
      connection.socket = Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const int socket = connection.socket.get();
      ::epoll_event event{EPOLLIN, {.ptr = &connection}};
      if (::connect(socket, reinterpret_cast<::sockaddr*>(&address), sizeof address) != 0 ||
          ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket, &event) != 0) {
        fail("cannot connect: " + last_error().message());
      }
    }
  }

  // Sends all, looks at every answer, and returns how long that took.
  std::chrono::duration<double> ask(const std::vector<std::string>& requests) {
    const auto begin = std::chrono::steady_clock::now();
    auto next = requests.begin();
    const auto send_next = [&](Connection& connection) {
      if (next != requests.end()) send(connection, *next++);
    };
    for (Connection& connection : connections_) send_next(connection);
    std::array<::epoll_event, 64> events{};
    for (std::size_t answered = 0; answered < requests.size();) {
      const int ready = ::epoll_wait(epoll_.get(), events.data(), events.size(), 10'000);
      if (ready == 0 || (ready < 0 && errno != EINTR)) fail("no answer within 10 s");
      for (int i = 0; i < ready; ++i) {
        auto& connection = *static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr);
        if (!receive(connection)) continue;
        ++answered;
        send_next(connection);
      }
    }
    return std::chrono::steady_clock::now() - begin;
  }

 private:
  struct Connection {
    Descriptor socket;
    std::array<char, 2 * kFileBytes> buffer{};
    std::size_t received = 0;
  };

  static void send(Connection& connection, const std::string& request) {
    const auto n = ::send(connection.socket.get(), request.data(), request.size(), MSG_NOSIGNAL);
    if (n != static_cast<ssize_t>(request.size())) fail("cannot send a request");
    connection.received = 0;
  }

  // True: the answer is complete, and the right one.
  static bool receive(Connection& connection) {
    auto& [socket, buffer, received] = connection;
    const auto n = ::recv(socket.get(), buffer.data() + received, buffer.size() - received, 0);
    if (n <= 0) fail("the server has closed a connection");
    received += static_cast<std::size_t>(n);
    const std::string_view answer(buffer.data(), received);
    const auto head_bytes = answer.find("\r\n\r\n") + 4;
    if (head_bytes < 4) return false;  // npos
    const auto head = answer.substr(0, head_bytes);
    if (!head.starts_with("HTTP/1.1 200 ") || received > head_bytes + kFileBytes ||
        head.find("\r\nContent-Length: 4096\r\n") == head.npos) {
      fail("not the file: " + std::string(answer));
    }
    return received == head_bytes + kFileBytes;
  }

  Descriptor epoll_;
  std::vector<Connection> connections_;
};

// -- measuring ----------------------------------------------------------------------------------

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// An iteration is a round of each of the kinds, forwards and backwards in turns.
void BM_Serve(benchmark::State& state, std::vector<std::uint32_t> limits) try {
  // The first call is Google Benchmark's trial of one iteration, and all that ctest asks for.
  const bool trial = state.max_iterations == 1;
  const std::size_t requests_per_round = (state.range(0) == 1 ? 1000U : 5000U) / (trial ? 20U : 1U);
  const auto count = static_cast<double>(requests_per_round);
  pin_to_core(1);
  Server server;
  Client client(server.port(), static_cast<std::size_t>(state.range(0)));
  std::map<std::uint32_t, std::vector<double>> cpu_us;  // for each request, by limit
  std::map<std::uint32_t, std::vector<double>> per_second;
  std::vector<double> ratios;
  for (auto _ : state) {
    double waited = 0;
    for (const std::uint32_t limit : limits) {
      const auto requests = fresh_requests(limit, requests_per_round);
      const auto before = server.cpu_time();
      const double seconds = client.ask(requests).count();
      // The worker settles within 100 ms, and the journal may take as long.
      std::this_thread::sleep_for(trial ? 20ms : 300ms);
      const std::chrono::duration<double, std::micro> cpu = server.cpu_time() - before;
      cpu_us[limit].push_back(cpu.count() / count);
      per_second[limit].push_back(count / seconds);
      waited += seconds;
    }
    state.SetIterationTime(waited);
    if (limits.size() > 1) ratios.push_back(cpu_us[kCounted].back() / cpu_us[kUnlimited].back());
    std::reverse(limits.begin(), limits.end());
  }
  state.SetItemsProcessed(state.iterations() *
                          static_cast<std::int64_t>(limits.size() * requests_per_round));
  for (const std::uint32_t limit : limits) {
    const std::string kind = limit == kCounted ? "counted" : "unlimited";
    state.counters["cpu_us_" + kind] = median(cpu_us[limit]);
    state.counters["rps_" + kind] = median(per_second[limit]);
  }
  if (!ratios.empty()) state.counters["ratio"] = median(ratios);
} catch (const std::exception& failure) {
  state.SkipWithError(failure.what());
}

void at_connections(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("connections")->Arg(1)->Arg(16)->Arg(64)->UseManualTime();
  benchmark->Unit(benchmark::kMillisecond);
}
BENCHMARK_CAPTURE(BM_Serve, CountedAndUnlimited, {kCounted, kUnlimited})->Apply(at_connections);
// For a look with a profiler.
BENCHMARK_CAPTURE(BM_Serve, Counted, {kCounted})->Apply(at_connections);
BENCHMARK_CAPTURE(BM_Serve, Unlimited, {kUnlimited})->Apply(at_connections);

}  // namespace
}  // namespace tallygate
