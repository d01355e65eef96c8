// In the steady state a request allocates nothing: counted over the whole server, in this process.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/link/keyring_file.h"
#include "core/link/sign.h"
#include "server/command/application.h"
#include "tests/support/temp_dir.h"

namespace {
// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables)
std::atomic<bool> counting{false};
std::atomic<std::size_t> allocations{0};
thread_local bool is_client = false;
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

void count() {
  if (counting && !is_client) ++allocations;
}
}  // namespace

#if !defined(TALLYGATE_SANITIZED)
// The C library's own, which the linker lets us stand in front of: operator new comes through here
// as well, and what Asio aligns.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void* malloc(std::size_t bytes) {
  count();
  return __libc_malloc(bytes);
}
void* calloc(std::size_t number, std::size_t bytes) {
  count();
  return __libc_calloc(number, bytes);
}
void* realloc(void* block, std::size_t bytes) {
  count();
  return __libc_realloc(block, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  count();
  return __libc_memalign(alignment, bytes);
}
}
#endif

namespace tallygate::command {
namespace {

constexpr std::string_view kKeyring =
    "[[key]]\nid = \"k1\"\nsecret = \"raw:a secret for this test\"\n"
    "use = \"sign\"\n";
constexpr std::size_t kFileBytes = 4096;

class SteadyState : public testing::Test {
 protected:
  explicit SteadyState(const std::function<void(Configuration&)>& set = [](auto&) {}) {
    is_client = true;
    folder.write("files/a.bin", std::string(kFileBytes, 'x'));
    folder.write("files/large.bin", std::string(64 * kFileBytes, 'x'));
    Configuration configuration;
    auto& settings = configuration.settings;
    settings.server.listen = {{"127.0.0.1", 0}};
    settings.server.threads = 1;
    settings.admin.socket = (folder / "admin.sock").string();
    settings.content.root = (folder / "files").string();
    settings.ledger.dir = (folder / "ledger").string();
    settings.log.access = "off";
    set(configuration);
    auto keyring = link::parse_keyring(std::string(kKeyring));
    EXPECT_TRUE(keyring.has_value());
    configuration.keyring = std::make_shared<const link::Keyring>(std::move(*keyring));
    auto started = Application::start(std::move(configuration), system_clock());
    EXPECT_TRUE(started.has_value()) << started.error();
    server = std::move(*started);
    connect();
  }
  ~SteadyState() override {
    counting = false;
    ::close(client);
  }

  void connect() {
    const std::string& address = server->addresses().front();
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port =
        htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.find(':') + 1))));
    client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(::connect(client, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  }
  std::string request(std::string_view path, std::string_view id, std::uint32_t limit,
                      const std::string& fields = {}) const {
    const std::int64_t now = system_clock().unix_now();
    link::LinkSpec spec;
    spec.path = path;
    spec.id = id;
    spec.limit = limit;
    spec.expires_at = now + 3600;
    const auto url = link::sign_url("", spec, *server->policy()->keyring, now);
    EXPECT_TRUE(url.has_value());
    return "GET " + *url + " HTTP/1.1\r\nHost: dl.example\r\nUser-Agent: test/1\r\n" + fields +
           "\r\n";
  }
  // Asks and takes the answer in.
  void get(const std::string& head, std::size_t body_bytes) const {
    ASSERT_EQ(::send(client, head.data(), head.size(), 0), static_cast<ssize_t>(head.size()));
    std::string answer;
    char buffer[65536];
    std::size_t wanted = std::string::npos;
    while (answer.size() < wanted) {
      const ssize_t n = ::recv(client, buffer, sizeof buffer, 0);
      ASSERT_GT(n, 0);
      answer.append(buffer, static_cast<std::size_t>(n));
      if (const auto end = answer.find("\r\n\r\n"); end != std::string::npos) {
        wanted = end + 4 + body_bytes;
      }
    }
    ASSERT_EQ(answer.compare(0, 15, "HTTP/1.1 200 OK"), 0) << answer.substr(0, 400);
  }
  // What `requests` of them allocate once the first ones have been answered.
  std::size_t allocations_of(const std::string& head, std::size_t body_bytes, int requests) const {
    return allocations_of(std::vector{head}, body_bytes, requests);
  }
  // The same for several that take turns.
  std::size_t allocations_of(const std::vector<std::string>& heads, std::size_t body_bytes,
                             int requests) const {
    const auto ask = [&](int i) {
      get(heads[static_cast<std::size_t>(i) % heads.size()], body_bytes);
    };
    for (int i = 0; i < 200; ++i) ask(i);
    allocations = 0;
    counting = true;
    for (int i = 0; i < requests; ++i) ask(i);
    counting = false;
    return allocations;
  }

  TempDir folder;
  std::unique_ptr<Application> server;
  int client = -1;
};

// The journal's thread may take some memory for a batch; a request takes none.
constexpr int kRequests = 2000;
constexpr std::size_t kNoneOfTheRequests = kRequests / 20;

TEST_F(SteadyState, ARequestOfASmallFileAllocatesNothing) {
#if defined(TALLYGATE_SANITIZED)
  GTEST_SKIP() << "a sanitizer has an allocator of its own";
#else
  EXPECT_LT(allocations_of(request("/a.bin", "order-1", 0), kFileBytes, kRequests),
            kNoneOfTheRequests);
#endif
}

TEST_F(SteadyState, ARequestOfALargeFileAllocatesNothing) {
#if defined(TALLYGATE_SANITIZED)
  GTEST_SKIP() << "a sanitizer has an allocator of its own";
#else
  EXPECT_LT(allocations_of(request("/large.bin", "order-2", 0), 64 * kFileBytes, kRequests),
            kNoneOfTheRequests);
#endif
}

TEST_F(SteadyState, ACountedRequestAllocatesNothing) {
#if defined(TALLYGATE_SANITIZED)
  GTEST_SKIP() << "a sanitizer has an allocator of its own";
#else
  // Here each is a batch of its own; the journal's queue takes a block for every few of them.
  EXPECT_LT(allocations_of(request("/a.bin", "order-3", 1'000'000), kFileBytes, kRequests),
            4 * kNoneOfTheRequests);
#endif
}

// One connection of a proxy, with the requests of many clients.
class SteadyStateBehindAProxy : public SteadyState {
 protected:
  SteadyStateBehindAProxy()
      : SteadyState([](Configuration& configuration) {
          configuration.settings.server.trusted_proxies = {"10.0.0.0/8", "127.0.0.1"};
        }) {}
};

TEST_F(SteadyStateBehindAProxy, ARequestOfAnotherClientAllocatesNothing) {
#if defined(TALLYGATE_SANITIZED)
  GTEST_SKIP() << "a sanitizer has an allocator of its own";
#else
  const auto from = [&](const std::string& address) {
    return request(
        "/a.bin", "order-4", 0,
        "X-Forwarded-For: 198.51.100.7, " + address + "\r\nX-Forwarded-For: 10.0.0.7\r\n");
  };
  EXPECT_LT(allocations_of({from("203.0.113.9"), from("2001:db8:1111:2222:3333:4444:5555:6666"),
                            from("[2001:db8:1111:2222:3333:4444:5555:7777]:4711"), from("unknown")},
                           kFileBytes, kRequests),
            kNoneOfTheRequests);
#endif
}

}  // namespace
}  // namespace tallygate::command
