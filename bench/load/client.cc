// The load client of bench/load: one thread, one connection or thousands, and a report in JSON.
//
// It signs its links and connects, says {"ready": true}, waits for a line on its standard input,
// loads the server, and reports. Then it waits for the end of its input, so that whoever measures
// can look at a server that still has its connections. Exit code 1: something was wrong, on stderr.
#include <arpa/inet.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <iostream>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>

#include "bench/load/load.h"

namespace tallygate::load {
namespace {

constexpr const char* kUsage = R"(usage: bench.load.client --port PORT --path PATH --bytes N [...]
  --host H          of the Host field
  --mode M          keep_alive, new_each, once, probe or slow
  --connections N   at a time
  --seconds S       length of the window
  --requests N      ends the window early
  --rate R          of the probe, requests a second
  --scheme S        none, tallygate, secure_link or lua: how links are signed
  --secret TEXT     with what
  --path PATH       may be repeated; --bytes N is the size of each of them
  --limit N         of each link; 0: unlimited
  --links N         different ones, each with an id that was never used
  --each-once yes   every link is used once, the window ends with the last
  --range N         ranges of N bytes at random places
  --tls new|resume  TLS 1.3, with new or with resumed sessions
)";

// What was asked for on the command line.
class Options {
 public:
  Options(int argc, char** argv) {
    for (int i = 1; i < argc; i += 2) {
      const std::string name = argv[i];
      if (!name.starts_with("--") || i + 1 == argc) throw std::invalid_argument(name);
      if (name == "--path") {
        paths_.emplace_back(argv[i + 1]);
      } else {
        values_[name.substr(2)] = argv[i + 1];
      }
    }
  }
  [[nodiscard]] std::string text(const std::string& name, const std::string& otherwise) const {
    const auto found = values_.find(name);
    return found == values_.end() ? otherwise : found->second;
  }
  [[nodiscard]] double number(const std::string& name, double otherwise) const {
    const auto found = values_.find(name);
    return found == values_.end() ? otherwise : std::stod(found->second);
  }
  [[nodiscard]] std::uint64_t count(const std::string& name, std::uint64_t otherwise) const {
    const auto found = values_.find(name);
    return found == values_.end() ? otherwise : std::stoull(found->second);
  }
  template <typename T>
  [[nodiscard]] T one_of(const std::string& name, const std::map<std::string, T>& choices,
                         const std::string& otherwise) const {
    const auto found = choices.find(text(name, otherwise));
    if (found == choices.end()) throw std::invalid_argument("--" + name);
    return found->second;
  }
  [[nodiscard]] const std::vector<std::string>& paths() const { return paths_; }

 private:
  std::map<std::string, std::string> values_;
  std::vector<std::string> paths_;
};

Plan plan_of(const Options& options) {
  Plan plan;
  plan.mode = options.one_of<Mode>("mode",
                                   {{"keep_alive", Mode::keep_alive},
                                    {"new_each", Mode::new_each},
                                    {"once", Mode::once},
                                    {"probe", Mode::probe},
                                    {"slow", Mode::slow}},
                                   "keep_alive");
  plan.connections = options.count("connections", 1);
  plan.window = std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(options.number("seconds", 1)));
  plan.requests_max = options.count("requests", 0);
  plan.rate = options.number("rate", 500);
  plan.each_once = options.text("each-once", "no") == "yes";
  return plan;
}

Wanted wanted_of(const Options& options, Mode mode) {
  Wanted wanted;
  wanted.scheme = options.one_of<Scheme>("scheme",
                                         {{"none", Scheme::none},
                                          {"tallygate", Scheme::tallygate},
                                          {"secure_link", Scheme::secure_link},
                                          {"lua", Scheme::lua}},
                                         "none");
  wanted.secret = options.text("secret", "");
  wanted.host = options.text("host", "127.0.0.1");
  wanted.paths = options.paths();
  wanted.file_bytes = options.count("bytes", 0);
  wanted.range_bytes = options.count("range", 0);
  wanted.limit = static_cast<std::uint32_t>(options.count("limit", 0));
  wanted.links = std::max<std::uint64_t>(options.count("links", 1), wanted.paths.size());
  wanted.close = mode == Mode::new_each;
  if (wanted.paths.empty() || wanted.range_bytes > wanted.file_bytes) {
    throw std::invalid_argument("--path, --bytes or --range");
  }
  return wanted;
}

// As many descriptors as there may be.
void raise_limits() {
  ::rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

void print(Report& report) {
  std::printf(
      "{\"requests\": %llu, \"bytes\": %llu, \"seconds\": %.6f, \"p50_us\": %.1f, "
      "\"p99_us\": %.1f, \"max_us\": %.1f, \"resumed\": %llu}\n",
      static_cast<unsigned long long>(report.requests),
      static_cast<unsigned long long>(report.bytes), report.seconds, report.latencies.quantile(0.5),
      report.latencies.quantile(0.99), report.latencies.quantile(1),
      static_cast<unsigned long long>(report.resumed));
  std::fflush(stdout);
}

// A first connection, for its ticket.
void fetch_ticket(const Endpoint& endpoint, Requests& requests) {
  Plan plan;
  plan.mode = Mode::new_each;
  plan.window = std::chrono::seconds(10);
  plan.requests_max = 1;
  static_cast<void>(Load(plan, endpoint, requests).run());
  if (!endpoint.tls->has_ticket()) throw std::runtime_error("the server gives no session tickets");
}

void run(const Options& options) {
  raise_limits();
  std::optional<TlsClient> tls;
  Endpoint endpoint;
  endpoint.address.sin_family = AF_INET;
  endpoint.address.sin_port = htons(static_cast<std::uint16_t>(options.count("port", 0)));
  endpoint.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (const auto kind = options.text("tls", "no"); kind != "no") {
    tls.emplace(kind == "resume");
    endpoint.tls = &*tls;
  }
  const Plan plan = plan_of(options);
  Requests requests(wanted_of(options, plan.mode));
  if (options.text("tls", "no") == "resume") fetch_ticket(endpoint, requests);
  Load load(plan, endpoint, requests);
  std::printf("{\"ready\": true}\n");
  std::fflush(stdout);
  std::string line;
  if (!std::getline(std::cin, line)) return;
  Report report = load.run();
  print(report);
  while (std::getline(std::cin, line)) {
  }
}

}  // namespace
}  // namespace tallygate::load

int main(int argc, char** argv) {
  // Whoever measures may be killed; a client that nobody listens to has no purpose.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
  try {
    tallygate::load::run(tallygate::load::Options(argc, argv));
  } catch (const std::invalid_argument& mistake) {
    std::fprintf(stderr, "%s: not understood\n%s", mistake.what(), tallygate::load::kUsage);
    return 64;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "bench.load.client: %s\n", failure.what());
    return 1;
  }
  return 0;
}
